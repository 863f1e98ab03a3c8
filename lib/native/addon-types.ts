import type { DeviceOpening } from '../config/device-name.js'

/** The whole surface of the native addon (native/addon/addon.cpp), written down once. */

/** Types of tensors. */
export type Dtype = 'f32' | 'i32' | 'bf16' | 'f16'

/** What weights, activations and matrix products are in; sums, statistics, gradients of weights and moments are float32. */
export type ComputeDtype = 'f32' | 'bf16'

/** First dimension of a tensor that each run decides: the tokens at hand. */
export const TOKENS = -1
/** First dimension of a tensor that each run decides: the sequences at hand plus one, as in `cu_seqlens`. */
export const SEQUENCE_BOUNDS = -2
/** First dimension of a tensor that each run decides: the sequences at hand. */
export const SEQUENCES = -3

/** A view inside an arena: one to three dimensions, the last one contiguous; three are dense. */
export interface TensorDescription {
  /** Index into the arenas given to `compile`. */
  arena: number
  /** Bytes from the start of the arena. */
  offset: number
  dtype: Dtype
  /** Each at least 1; the first may be {@link TOKENS}, {@link SEQUENCE_BOUNDS} or {@link SEQUENCES}. */
  shape: number[]
  /** Elements between two rows; dense when absent. */
  rowStride?: number
}

/** An operation as a program names it: what it reads and writes, and its attributes. */
export interface OpDescription {
  op: string
  operands: Record<string, TensorDescription>
  /** A number, or the name of a scalar that each run gives. */
  attributes: Record<string, number | { scalar: string }>
  /** `compute` when absent; the others take operations that only move memory. */
  queue?: 'compute' | 'copy' | 'communication'
  /** Numbers of earlier operations that it waits for; those of its own queue come before it anyway. */
  after?: number[]
}

/** A flat list of operations on tensors at known places: what TypeScript compiles and native code runs. */
export interface ProgramDescription {
  maxTokens: number
  maxSequences: number
  ops: OpDescription[]
  /** Written before a run from `inputs` of the same names. */
  inputs: Record<string, TensorDescription>
  /** Read after a run; float32. */
  outputs: Record<string, TensorDescription>
}

export interface RunRequest {
  inputs: Record<string, Int32Array | Float32Array>
  scalars: Record<string, number>
}

export interface NativeArena {
  write(offset: number, bytes: Uint8Array): Promise<void>
  /** Fills `target`. */
  read(offset: number, target: Uint8Array): Promise<void>
  load(
    offset: number,
    source: { fileDescriptor: number; fileOffset: number; elements: number; dtype: Dtype; to: ComputeDtype },
  ): Promise<void>
}

export interface NativeProgram {
  run(request: RunRequest): { promise: Promise<Record<string, Float32Array>>; cancel(): void }
}

/** `pinned-host`: memory of the host that the device copies to and from while both go on; on the CPU there is no difference. */
export type MemoryKind = 'device' | 'pinned-host'

export interface NativeDevice {
  allocate(bytes: number, memory?: MemoryKind): NativeArena
  compile(program: ProgramDescription, arenas: NativeArena[]): NativeProgram
  close(): Promise<void>
  measureMultiplyAddRate(small: boolean): Promise<number>
  measureBf16MultiplyAddRate(small: boolean): Promise<number>
  measureUpdateRate(small: boolean): Promise<number>
  measureReadRate(small: boolean): Promise<number>
  readonly info: {
    threads: number
    isa: string
    description: string
    scratchBytes: number
    refusedProducts: number
    memoryBytes?: number
    closed: boolean
  }
}

export interface Addon {
  Device: new (
    /** `threads` and `isa` of the CPU alone. */
    options: DeviceOpening & { threads?: number; isa?: string },
  ) => NativeDevice
  describeCpu(): {
    /** Instruction sets that devices can be opened for: this build has kernels for them and this processor has them. The best is last. */
    instructionSets: string[]
    best: string
    /** Instruction sets of this processor that this build has no kernels for. */
    notBuilt: string[]
    /** Instruction sets that this build has kernels for. */
    built: string[]
    /** Instruction sets of this architecture that kernels can be built for. */
    known: string[]
    scratchBytesPerThread: number
  }
  /** The contract of every operation, as its header in native/ops states it. */
  describeOps(): {
    name: string
    operands: { name: string; access: string; shape: string; dtype?: string; optional?: true; onDevice?: true }[]
    attributes: string[]
    workingMemory: { name: string; backend: string; access: string; shape: string; dtype?: string; only?: string }[]
  }[]
  /** What multiplies matrices is looked for where it is asked for. */
  describeCuda(withProducts: boolean): {
    library: boolean
    products: string
    driver: boolean
    memoryBytes: number[]
    reason: string
  }
}
