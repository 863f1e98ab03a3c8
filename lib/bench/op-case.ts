import { Graph } from '../graph/graph.js'
import { aligned, planMemory, tensorBytes } from '../graph/memory-plan.js'
import type { AttributeValue, OpDefinition } from '../graph/op.js'
import { describeProgram } from '../graph/program.js'
import { Tensor } from '../graph/tensor.js'
import type { Dtype } from '../native/addon-types.js'
import type { CompiledProgram, Device } from '../native/device.js'

export type Values = Float32Array | Int32Array

/** An operand of a benchmarked operation; written ones have no values. */
export interface BenchOperand {
  shape: number[]
  values?: Values
  dtype?: Dtype
}

/** One operation at one shape: what it does, how much work that is, and how its result is held against double. */
export interface OpCase {
  op: OpDefinition
  /** `forward`, `backward`, or which gradient. */
  direction: string
  shape: Record<string, number>
  operands: Record<string, BenchOperand>
  attributes?: Record<string, AttributeValue>
  /** An operation that makes some of the operands, run once beforehand. */
  before?: OpDefinition
  /** Floating-point operations of one call, for what computing bounds. */
  flops?: number
  /** Bytes that one call must move, for what memory bounds. */
  bytes?: number
  /** Throws when a written operand is wrong. `read` gives its values. */
  check: (read: (operand: string) => Promise<Float32Array>) => Promise<void>
}

/** A case whose program is compiled, with its operands in place. */
export interface PreparedCase {
  /** Bytes of all its operands. */
  bytes: number
  run: () => Promise<unknown>
  check: () => Promise<void>
}

/** Puts a case on a device as a program of one operation, its operands one after another in an arena. */
export async function prepareCase(device: Device, opCase: OpCase): Promise<PreparedCase> {
  const tensors = new Map<string, Tensor>()
  const offsets = new Map<Tensor, number>()
  const bounds = { maxTokens: 0, maxSequences: 0 }
  let bytes = 0
  for (const [name, { shape, dtype }] of Object.entries(opCase.operands)) {
    const tensor = new Tensor({ name, kind: 'input', shape, ...(dtype && { dtype }) })
    tensors.set(name, tensor)
    offsets.set(tensor, bytes)
    bytes += aligned(tensorBytes(tensor, bounds))
  }
  const arena = device.allocate(bytes)
  const compile = (op: OpDefinition): CompiledProgram => {
    const graph = new Graph()
    graph.append(op, Object.fromEntries([...tensors].filter(([name]) => name in op.operands)), opCase.attributes)
    const memory = planMemory(graph, bounds)
    const place = (tensor: Tensor) => ({ arena: 0, offset: offsets.get(tensor)! })
    return device.compile(describeProgram(graph, { memory, activationArena: 0, place }), [arena])
  }
  const before = opCase.before && compile(opCase.before)
  const program = compile(opCase.op)
  const offsetOf = (name: string) => offsets.get(tensors.get(name)!)!
  const fill = async () => {
    for (const [name, { values }] of Object.entries(opCase.operands)) if (values) await arena.write(offsetOf(name), values)
    await before?.run()
  }
  await fill()
  return {
    bytes,
    run: () => program.run(),
    async check() {
      await fill()
      await program.run()
      await opCase.check(async (name) => {
        const elements = opCase.operands[name]!.shape.reduce((product, size) => product * size, 1)
        const read = await arena.read(offsetOf(name), elements * 4)
        return new Float32Array(read.buffer, read.byteOffset, elements)
      })
    },
  }
}

/** Throws unless `got` is within `tolerance` of `expected`. */
export function expectClose(what: string, got: number, expected: number, tolerance: number): void {
  if (!(Math.abs(got - expected) <= tolerance))
    throw new Error(`${what}: expected ${expected} ± ${tolerance} but received ${got}`)
}
