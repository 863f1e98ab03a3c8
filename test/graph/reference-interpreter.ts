import type { Graph, Node } from '../../lib/graph/graph.js'
import type { Dimension, Tensor } from '../../lib/graph/tensor.js'
import { SEQUENCE_BOUNDS, TOKENS } from '../../lib/native/addon-types.js'
import { roundToBf16 } from '../ops/bf16.js'
import { referenceOperations } from './reference-operations.js'

type Numbers = ArrayLike<number>

/** What a run of a graph needs, by the names of tensors. */
export interface ReferenceRun {
  parameters: ReadonlyMap<string, Numbers>
  /** input_ids [T] and cu_seqlens [S+1] say how large the run is. */
  inputs: Readonly<Record<string, Numbers>>
  /** In place of the graph's own, which are float32. */
  constants?: Readonly<Record<string, Numbers>>
}

export interface ReferenceResult {
  outputs: Map<string, Float64Array>
  /** By the names of the parameters. */
  gradients: Map<string, Float64Array>
}

/**
 * Runs a graph operation by operation in double, from its definition alone: no memory plan, no kernel. A tensor that the graph
 * has in bfloat16 is rounded to that where it is stored, as the native program does it, and nothing else is: of a graph in
 * float32 this gives what is exact, of one in bfloat16 what is to be expected of its roundings.
 */
export function interpretReference(graph: Graph, run: ReferenceRun): ReferenceResult {
  const memory = new ReferenceMemory(run.inputs)
  for (const [name, tensor] of graph.parameters) memory.store(tensor, run.parameters.get(name)!)
  for (const tensor of graph.inputs) memory.store(tensor, run.inputs[tensor.name]!)
  for (const [tensor, values] of graph.constants) memory.store(tensor, run.constants?.[tensor.name] ?? values)
  for (const tensor of graph.gradients.values()) memory.store(tensor, new Float64Array(memory.sizeOf(tensor)))
  for (const node of graph.nodes) {
    const operation = referenceOperations[node.op.name]
    if (!operation) throw new Error(`${node.op.name} has no reference`)
    operation(new ReferenceOperands(node, memory))
  }
  const named = (tensors: Iterable<readonly [string, Tensor]>) =>
    new Map([...tensors].map(([name, tensor]) => [name, memory.load(tensor)]))
  return {
    outputs: named(graph.outputs.map((tensor) => [tensor.name, tensor])),
    gradients: named([...graph.gradients].map(([parameter, gradient]) => [parameter.name, gradient])),
  }
}

/** The values of all tensors of a run; views look into those of their base. */
class ReferenceMemory {
  private readonly values = new Map<Tensor, Float64Array>()

  constructor(private readonly inputs: ReferenceRun['inputs']) {}

  private dimension(dimension: Dimension): number {
    if (dimension === TOKENS) return this.inputs.input_ids!.length
    return dimension === SEQUENCE_BOUNDS ? this.inputs.cu_seqlens!.length : dimension
  }

  sizeOf(tensor: Tensor): number {
    return tensor.shape.reduce((size, dimension) => size * this.dimension(dimension), 1)
  }

  /** The values of a tensor, dense. What was never written is NaN. */
  load(tensor: Tensor): Float64Array {
    const storage = this.storageOf(tensor)
    if (!tensor.base) return storage
    const [columns, stride] = [tensor.shape[1]!, tensor.base.shape[1]!]
    const dense = new Float64Array(this.sizeOf(tensor))
    for (let start = 0, from = tensor.columnOffset; start < dense.length; start += columns, from += stride)
      dense.set(storage.subarray(from, from + columns), start)
    return dense
  }

  store(tensor: Tensor, values: Numbers): void {
    if (values.length !== this.sizeOf(tensor))
      throw new Error(`expected ${this.sizeOf(tensor)} values for ${tensor.name} but received ${values.length}`)
    const rounded = tensor.dtype === 'bf16' ? roundToBf16(values) : values
    const storage = this.storageOf(tensor)
    if (!tensor.base) {
      storage.set(rounded)
      return
    }
    const [columns, stride] = [tensor.shape[1]!, tensor.base.shape[1]!]
    const dense = Float64Array.from(rounded)
    for (let start = 0, to = tensor.columnOffset; start < dense.length; start += columns, to += stride)
      storage.set(dense.subarray(start, start + columns), to)
  }

  private storageOf(tensor: Tensor): Float64Array {
    let storage = this.values.get(tensor.storage)
    if (!storage) {
      storage = new Float64Array(this.sizeOf(tensor.storage)).fill(NaN)
      this.values.set(tensor.storage, storage)
    }
    return storage
  }
}

/** The operands of one node as its reference sees them. */
export class ReferenceOperands {
  constructor(
    private readonly node: Node,
    private readonly memory: ReferenceMemory,
  ) {}

  has(name: string): boolean {
    return name in this.node.operands
  }

  /** The values of an operand that the operation reads, or has written. */
  load(name: string): Float64Array {
    return this.memory.load(this.node.operands[name]!)
  }

  /** Columns of an operand of two dimensions. */
  columns(name: string): number {
    return this.node.operands[name]!.shape[1]!
  }

  /** Writes an operand, or adds to it where the operation accumulates; nothing when the node does not have it. */
  store(name: string, values: Numbers): void {
    const tensor = this.node.operands[name]
    if (!tensor) return
    const { access } = this.node.op.operands[name]!
    if (access === 'read') throw new Error(`${this.node.op.name} only reads ${name}`)
    const before = access === 'accumulate' ? this.memory.load(tensor) : undefined
    this.memory.store(tensor, before ? before.map((value, i) => value + values[i]!) : values)
  }

  attribute(name: string): number {
    return this.node.attributes[name] as number
  }
}
