import { Graph } from '../graph/graph.js'
import { aligned, tensorBytes } from '../graph/memory-plan.js'
import type { AttributeValue, OpDefinition } from '../graph/op.js'
import { Tensor } from '../graph/tensor.js'
import type { Device } from '../native/device.js'
import { PlanBuilder } from '../plan/plan.js'
import { Session } from '../plan/session.js'
import { type ComputeType, fromBf16, toBf16 } from './compute-type.js'

/** An operand of a benchmarked operation, of the type that the operation's rule says; written ones have no values. */
export interface BenchOperand {
  shape: number[]
  values?: Float32Array | Int32Array
}

/** One operation at one shape: what it does, how much work that is, and how its result is held against double. */
export interface OpCase {
  op: OpDefinition
  /** `forward`, `backward`, or which gradient. */
  direction: string
  shape: Record<string, number>
  /** The operands, those of `before` included, and the attributes. */
  operands: Record<string, BenchOperand>
  attributes?: Record<string, AttributeValue>
  /** An operation that makes some of the operands, run once beforehand. */
  before?: OpDefinition
  /** Floating-point operations of one call, for what computing bounds. */
  flops?: number
  /** Bytes that one call must move, for what memory bounds. */
  bytes?: number
  /** Throws when a written operand is wrong. */
  check: (result: CheckedResult) => Promise<void>
}

/** Results of a case, for its check. */
export interface CheckedResult {
  /** The values of an operand. */
  read(operand: string): Promise<Float32Array>
  /**
   * Throws unless a value of an operand is within `bound` of what it should be. A bound is that of sums in float32: what
   * storing the result in the operand's own type adds to it is added here.
   */
  expectClose(operand: string, index: number, got: number, expected: number, bound: number): void
}

/** A case whose program is compiled, with its operands in place. */
export interface PreparedCase {
  /** Bytes of all its operands. */
  bytes: number
  run: () => Promise<unknown>
  /** The same program with the operation repeated, where that makes sense. */
  repeated?: (calls: number) => () => Promise<unknown>
  /** Runs it on the operands as they were given, and throws where the result is wrong; before any other run. */
  check: () => Promise<void>
}

/** Puts a case on a device as a program of one operation, its operands one after another in a storage. */
export async function prepareCase(device: Device, type: ComputeType, opCase: OpCase): Promise<PreparedCase> {
  const rules = { ...opCase.before?.operands, ...opCase.op.operands }
  const dtypeOf = (name: string) => rules[name]?.dtype ?? type.dtype
  const tensors = new Map<string, Tensor>()
  const offsets = new Map<Tensor, number>()
  const bounds = { maxTokens: 0, maxSequences: 0 }
  let bytes = 0
  for (const [name, { shape }] of Object.entries(opCase.operands)) {
    // Persistent like a parameter: written once and read by many runs.
    const tensor = new Tensor({ name, kind: 'parameter', shape, dtype: dtypeOf(name) })
    tensors.set(name, tensor)
    offsets.set(tensor, bytes)
    bytes += aligned(tensorBytes(tensor, bounds))
  }
  const planOf = (op: OpDefinition, calls = 1) => {
    const graph = new Graph(type.dtype)
    const operands = Object.fromEntries([...tensors].filter(([name]) => name in op.operands))
    const attributes = Object.entries(opCase.attributes ?? {}).filter(([name]) => op.attributes?.includes(name))
    for (let call = 0; call < calls; call++) graph.append(op, operands, Object.fromEntries(attributes))
    const place = (tensor: Tensor) => ({ storage: 'operands' as const, offset: offsets.get(tensor)! })
    return new PlanBuilder<'operands', 'call'>({ operands: bytes }, { device: device.name, threads: device.info.threads })
      .add('call', graph, { bounds, place })
      .build()
  }
  const session = await Session.open(planOf(opCase.op), device)
  const { operands } = session.arenas
  const before = opCase.before && (await Session.open(planOf(opCase.before), device, { operands }))
  const offsetOf = (name: string) => offsets.get(tensors.get(name)!)!
  for (const [name, { values }] of Object.entries(opCase.operands)) {
    if (!values) continue
    await operands.write(offsetOf(name), dtypeOf(name) === 'bf16' ? toBf16(values as Float32Array) : values)
  }
  await before?.run('call')
  const read = async (name: string) => {
    const { buffer } = await operands.read(offsetOf(name), tensorBytes(tensors.get(name)!, bounds))
    return dtypeOf(name) === 'bf16' ? fromBf16(new Uint16Array(buffer)) : new Float32Array(buffer)
  }
  return {
    bytes,
    run: () => session.run('call'),
    repeated(calls) {
      const repeated = Session.open(planOf(opCase.op, calls), device, { operands })
      return async () => (await repeated).run('call')
    },
    async check() {
      await session.run('call')
      await opCase.check({
        read,
        expectClose(name, index, got, expected, bound) {
          const roundoff = dtypeOf(name) === 'bf16' ? type.roundoff : 0
          const tolerance = bound + roundoff * (Math.abs(expected) + bound)
          if (!(Math.abs(got - expected) <= tolerance))
            throw new Error(`${opCase.op.name}: expected ${name}[${index}] to be ${expected} ± ${tolerance} but received ${got}`)
        },
      })
    },
  }
}
