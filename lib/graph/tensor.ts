import { type Dtype, SEQUENCE_BOUNDS, SEQUENCES, TOKENS } from '../native/addon-types.js'

/**
 * Purpose of a tensor, which decides its memory. Parameters, gradients, optimizer state and a cache of keys and values each
 * have an arena that lasts for the run. Inputs and constants are written from outside. Activations share one arena by liveness.
 * Outputs are read after a run.
 */
export type TensorKind = 'parameter' | 'gradient' | 'optimizer' | 'cache' | 'input' | 'constant' | 'activation' | 'output'

/** A dimension: a number of elements, or one that each run decides ({@link TOKENS}, {@link SEQUENCE_BOUNDS}, {@link SEQUENCES}). */
export type Dimension = number

export interface TensorOptions {
  name: string
  kind: TensorKind
  shape: readonly Dimension[]
  dtype?: Dtype
}

/** A value of a graph: dense and row-major, or a view of some columns of another one. */
export class Tensor {
  readonly name: string
  kind: TensorKind
  readonly shape: readonly Dimension[]
  readonly dtype: Dtype
  /** For a view: the tensor it looks into, which is never a view itself. */
  readonly base: Tensor | undefined
  /** For a view: its first column in the base. */
  readonly columnOffset: number
  /** Keep it for the backward pass even where the layer that made it is recomputed. */
  keep = false

  constructor(options: TensorOptions, view?: { base: Tensor; columnOffset: number }) {
    this.name = options.name
    this.kind = options.kind
    this.shape = options.shape
    this.dtype = options.dtype ?? 'f32'
    this.base = view?.base
    this.columnOffset = view?.columnOffset ?? 0
  }

  /** Columns [offset, offset + columns) of this tensor [T, C], without a copy. */
  columns(offset: number, columns: number, name: string): Tensor {
    return new Tensor(
      { name, kind: this.kind, shape: [this.shape[0]!, columns], dtype: this.dtype },
      { base: this.base ?? this, columnOffset: this.columnOffset + offset },
    )
  }

  /** The tensor that holds the elements: the base of a view, or the tensor itself. */
  get storage(): Tensor {
    return this.base ?? this
  }

  /** Whether some element of the other tensor is one of this. */
  overlaps(other: Tensor): boolean {
    if (this.storage !== other.storage) return false
    const end = this.columnOffset + (this.shape[1] ?? 1)
    const otherEnd = other.columnOffset + (other.shape[1] ?? 1)
    return this.columnOffset < otherEnd && other.columnOffset < end
  }
}

/** The largest size of a dimension in a run of at most `maxTokens` tokens in `maxSequences` sequences. */
export function dimensionSize(dimension: Dimension, bounds: { maxTokens: number; maxSequences: number }): number {
  if (dimension === TOKENS) return bounds.maxTokens
  if (dimension === SEQUENCE_BOUNDS) return bounds.maxSequences + 1
  if (dimension === SEQUENCES) return bounds.maxSequences
  return dimension
}

export function dtypeBytes(dtype: Dtype): number {
  return dtype === 'f32' || dtype === 'i32' ? 4 : 2
}

const dynamicNames: Readonly<Record<Dimension, string>> = { [TOKENS]: 'T', [SEQUENCE_BOUNDS]: 'S+1', [SEQUENCES]: 'S' }

/** `[T, 128]`, with T for the tokens, S for the sequences and S+1 for their bounds. */
export function shapeText(shape: readonly Dimension[]): string {
  return `[${shape.map((dimension) => dynamicNames[dimension] ?? String(dimension)).join(', ')}]`
}

/** Whether each run decides a dimension. */
export function isDynamic(dimension: Dimension): boolean {
  return dimension in dynamicNames
}
