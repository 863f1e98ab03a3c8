import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { OpContract } from '../../lib/graph/op.js'
import { contracts } from '../../lib/graph/ops/contracts.js'
import { workingMemoryOf } from '../../lib/graph/working-memory.js'
import { type ProgramDescription, SEQUENCES, type TensorDescription, TOKENS } from '../../lib/native/addon-types.js'
import { backendOf } from '../../lib/native/backend.js'
import { loadAddon } from '../../lib/native/binding.js'
import { type Arena, type Device, openDevice } from '../../lib/native/device.js'
import { packageRoot } from '../../lib/package-root.js'
import { Session } from '../../lib/plan/session.js'
import { allTests } from '../command-line.js'
import { fromBf16, toBf16 } from './bf16.js'

/** Where a call runs: on an instruction set of the processor with so many threads, or on a CUDA device. */
export interface Target {
  /** What messages say; the instruction set of the CPU where no device is named. */
  instructionSet: string
  threads: number
  device?: string
  /** Operands start at multiples of 256 bytes, as in real programs. When absent they are not aligned at all. */
  aligned?: boolean
  /** What the emulated device says that it is: 80 or 90. */
  capability?: number
  /** Its library for matrix products chooses an algorithm by the number of rows, and with it an order of sums. */
  choosesBySize?: boolean
}

const device = process.env.LIMO_TEST_DEVICE

const built = loadAddon().describeCpu().instructionSets

/** The instruction sets to test on: portable and this processor's best, or with `npm run test:all` all that it has. */
export const instructionSets = allTests ? built : built.filter((_, i) => i === 0 || i === built.length - 1)

/** Whether to test over the emulator too, which `npm run test:all` and `npm run dev -- --emulator` build. */
const testsEmulator = allTests || process.env.LIMO_TEST_EMULATOR === '1'
const emulator = join(process.env.LIMO_NATIVE_PREBUILD ?? packageRoot, 'build/Release/liblimo_cuda_emulated.so')

/** Why nothing is tested over the emulator, where that is so. */
export const whyNoEmulator = testsEmulator
  ? 'the emulated CUDA device is not built here'
  : 'the emulated CUDA device: npm run test:all'

/**
 * The CUDA device to test on, once for each set of kernels that it has: the one that LIMO_TEST_DEVICE names, where nothing else
 * is tested then, or the emulator.
 */
export const cudaTargets: Target[] = (() => {
  if (device !== undefined) {
    const choosesBySize = device !== 'cuda-emulated'
    return [{ instructionSet: device, threads: 1, device, aligned: true, choosesBySize }]
  }
  if (!testsEmulator || !existsSync(emulator)) return []
  return [90, 80].map((capability) => ({
    ...{ instructionSet: `emulated sm_${capability}`, threads: 1, device: 'cuda-emulated', aligned: true, capability },
  }))
})()

/** Instruction sets that differ from another only in how they multiply bfloat16, and that one. */
const onlyForBf16 = new Map([
  ['avx512bf16', 'avx512'],
  ['amx', 'avx512'],
  ['neonbf16', 'neon'],
])

/** Where operations are tested on the CPU: nowhere when a device is named. */
export const cpuTargets: Target[] =
  device === undefined ? instructionSets.map((instructionSet) => ({ instructionSet, threads: 1 })) : []

/** Where an operation is tested that has the same kernels on all CUDA devices. */
export const opTargets: Target[] = [...cpuTargets, ...cudaTargets.slice(0, 1).flatMap((target) => [target, notAligned(target)])]

/** The same for a call without bfloat16. */
export const float32OpTargets = opTargets.filter(
  ({ instructionSet }) => !instructionSets.includes(onlyForBf16.get(instructionSet) ?? 'none'),
)

/** The same with operands that lie anywhere. */
export function notAligned(target: Target): Target {
  return { ...target, aligned: false, instructionSet: `${target.instructionSet}, not aligned` }
}

/** Where whole steps are tested: two threads of each instruction set, and CUDA devices. */
export const stepTargets: Target[] = [...cpuTargets.map((target) => ({ ...target, threads: 2 })), ...cudaTargets]

/** Where training is tested, and steps in float32: two threads of the best instruction set, and a CUDA device. */
export const trainingTargets: Target[] = [...stepTargets.slice(0, cpuTargets.length).slice(-1), ...cudaTargets.slice(0, 1)]

/** One operand of a call, dense unless `rowStride` is given. The first dimension may be 'T' or 'S': the tokens or sequences of the call. */
export interface Operand {
  /** `read` operands are given; `write` ones start as NaN; `update` ones start from their values and are given back as well. */
  access: 'read' | 'write' | 'update'
  shape: readonly (number | 'T' | 'S')[]
  /** Int32Array for i32. Those of bf16 must be numbers that bfloat16 has. */
  values?: Float32Array | Int32Array
  dtype?: 'f32' | 'bf16' | 'i32'
  /** Elements between two rows. */
  rowStride?: number
  /** The name of an earlier operand whose memory a written one shares. */
  over?: string
}

/** One operation as a program of its own. */
export interface OpCall {
  op: string
  operands: Record<string, Operand>
  attributes?: Record<string, number>
  /** What 'T' stands for. The program is compiled for more tokens than that. */
  tokens?: number
  /** What 'S' stands for, likewise. */
  sequences?: number
}

export type OperandOptions = Pick<Operand, 'rowStride' | 'dtype'>

export const given = (values: Float32Array | Int32Array, shape: Operand['shape'], options: OperandOptions = {}): Operand => ({
  access: 'read',
  shape,
  values,
  ...options,
})
export const written = (shape: Operand['shape'], options: OperandOptions & { over?: string } = {}): Operand => ({
  access: 'write',
  shape,
  ...options,
})
export const accumulated = (values: Float32Array, shape: Operand['shape'], options: OperandOptions = {}): Operand => ({
  access: 'update',
  shape,
  values,
  ...options,
})

/** Tokens and sequences that a program is compiled for beyond those of the run: their rows must stay as they are. */
export const SPARE_ROWS = 3
const CANARY = 0xa5
/** Bytes before, between and after operands, at least; not a multiple of a vector, so that operands are not aligned either. */
const CANARY_BYTES = 68

const elementBytes = ({ dtype }: Operand) => (dtype === 'bf16' ? 2 : 4)

const devices = new Map<string, Promise<Device>>()

/** The device of a place, opened once. */
export function deviceAt({ instructionSet, threads, device: name = 'cpu', capability }: Target): Promise<Device> {
  const key = `${name} ${instructionSet} ${threads}`
  let device = devices.get(key)
  if (!device) {
    const [variable, value] = name === 'cpu' ? ['LIMO_CPU', instructionSet] : ['LIMO_EMULATED_CAPABILITY', `${capability ?? ''}`]
    const before = process.env[variable]
    process.env[variable] = value
    device = openDevice(name, { threads })
    if (before === undefined) delete process.env[variable]
    else process.env[variable] = before
    devices.set(key, device)
  }
  return device
}

export async function closeDevices(): Promise<void> {
  for (const device of devices.values()) await (await device).close()
  devices.clear()
}

/** Where an operand lies in the arena of a call, in bytes. */
interface Region {
  offset: number
  rows: number
  cols: number
  rowBytes: number
  strideBytes: number
}

/** Lays out the operands with canaries around each. `rows` are those of the run; room is kept for the spare tokens too. */
function layOut(call: OpCall, aligned: boolean): { regions: Map<string, Region>; bytes: number } {
  const regions = new Map<string, Region>()
  let bytes = CANARY_BYTES
  for (const [name, operand] of Object.entries(call.operands)) {
    const { shape, rowStride, over } = operand
    const element = elementBytes(operand)
    const rows = shape[0] === 'T' ? call.tokens! : shape[0] === 'S' ? call.sequences! : shape[0]!
    const cols = shape.slice(1).reduce<number>((product, size) => product * Number(size), 1)
    const strideBytes = (rowStride ?? cols) * element
    // Numbers of two bytes start between two of four: no pair of them is aligned.
    const start = aligned ? Math.ceil(bytes / 256) * 256 : Math.ceil(bytes / 4) * 4 + (element % 4)
    const region = { offset: over ? regions.get(over)!.offset : start, rows, cols, rowBytes: cols * element, strideBytes }
    regions.set(name, region)
    if (!over) bytes = start + strideBytes * (rows + (typeof shape[0] === 'string' ? SPARE_ROWS : 0)) + CANARY_BYTES
  }
  return { regions, bytes }
}

function eachRow({ offset, rows, rowBytes, strideBytes }: Region, body: (row: number, start: number, end: number) => void): void {
  for (let row = 0; row < rows; row++) body(row, offset + row * strideBytes, offset + row * strideBytes + rowBytes)
}

function bytesOf(name: string, { dtype }: Operand, values: Float32Array | Int32Array): Uint8Array {
  if (dtype !== 'bf16') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bits = toBf16(values)
  const lost = fromBf16(bits).findIndex((value, i) => !Object.is(value, values[i]!))
  if (lost >= 0) throw new Error(`${name} has ${values[lost]} at ${lost}, which bfloat16 has not`)
  return new Uint8Array(bits.buffer)
}

/** The arena before the call: canaries everywhere, and in them the values, or NaN where the operation has to write. */
function fillImage(call: OpCall, regions: Map<string, Region>, bytes: number): Uint8Array {
  const image = new Uint8Array(bytes).fill(CANARY)
  for (const [name, operand] of Object.entries(call.operands)) {
    if (operand.over) continue
    const region = regions.get(name)!
    const values = operand.values ?? new Float32Array(region.rows * region.cols).fill(NaN)
    if (values.length !== region.rows * region.cols)
      throw new Error(`${name} has ${values.length} values for ${region.rows} rows`)
    const from = bytesOf(name, operand, values)
    eachRow(region, (row, start) => image.set(from.subarray(row * region.rowBytes, (row + 1) * region.rowBytes), start))
  }
  return image
}

function describe(operand: Operand, region: Region): TensorDescription {
  return {
    arena: 0,
    offset: region.offset,
    dtype: operand.values instanceof Int32Array ? 'i32' : (operand.dtype ?? 'f32'),
    shape: operand.shape.map((dimension) => (dimension === 'T' ? TOKENS : dimension === 'S' ? SEQUENCES : dimension)),
    ...(operand.rowStride ? { rowStride: operand.rowStride } : {}),
  }
}

/** A call with its operands in memory, ready to run. */
interface PreparedCall {
  regions: Map<string, Region>
  arena: Arena
  /** The memory of the operands before the run. */
  image: Uint8Array
  /** The call with the working memory that its backend needs. */
  call: OpCall
  /** Compiles and runs. */
  run(): Promise<unknown>
}

/** The call with working memory that is only written: between rows of it there is room that must not change. */
function withWorkingMemory(call: OpCall, { device = 'cpu' }: Target): OpCall {
  const op: OpContract | undefined = (contracts as Readonly<Record<string, OpContract>>)[call.op]
  if (op?.workingMemory === undefined) return call
  const letters = { T: TOKENS, S: SEQUENCES } as const
  const shapes = Object.entries(call.operands).map(([name, { shape, dtype, values }]) => [
    name,
    {
      shape: shape.map((size) => (typeof size === 'number' ? size : letters[size])),
      dtype: values instanceof Int32Array ? ('i32' as const) : (dtype ?? 'f32'),
    },
  ])
  const working = Object.entries(workingMemoryOf(op, Object.fromEntries(shapes), backendOf(device).name))
  const operands = working.map(([name, { shape }]) => {
    const named = shape.map((size) => (size === TOKENS ? 'T' : size === SEQUENCES ? 'S' : size)) as Operand['shape']
    return [name, written(named, { rowStride: Number(shape[1] ?? 1) + 3 })]
  })
  return { ...call, operands: { ...call.operands, ...Object.fromEntries(operands) } }
}

async function prepare(given: OpCall, target: Target): Promise<PreparedCall> {
  const call = withWorkingMemory(given, target)
  const device = await deviceAt(target)
  const { regions, bytes } = layOut(call, target.aligned ?? false)
  // Inputs of the program that no operation reads say how many tokens and sequences the run has.
  const [tokens, sequences] = [call.tokens ?? 0, call.sequences ?? 1]
  const [maxTokens, maxSequences] = [tokens + SPARE_ROWS, sequences + SPARE_ROWS]
  const description: ProgramDescription = {
    maxTokens,
    maxSequences,
    ops: [
      {
        op: call.op,
        operands: Object.fromEntries(
          Object.entries(call.operands).map(([name, operand]) => [name, describe(operand, regions.get(name)!)]),
        ),
        attributes: call.attributes ?? {},
      },
    ],
    inputs: {
      tokens: { arena: 1, offset: 0, dtype: 'f32', shape: [TOKENS] },
      sequences: { arena: 1, offset: maxTokens * 4, dtype: 'f32', shape: [SEQUENCES] },
    },
    outputs: {},
  }
  const storages = [
    { name: 'operands', bytes },
    { name: 'inputs', bytes: (maxTokens + maxSequences) * 4 },
  ] as const
  // There before the session, so that what a refused call has left can be looked at.
  const operands = device.allocate(bytes)
  const image = fillImage(call, regions, bytes)
  await operands.write(0, image)
  const plan = { storages, constants: [], programs: { call: { description } } }
  const inputs = { tokens: new Float32Array(tokens), sequences: new Float32Array(sequences) }
  const run = async () => {
    const session = await Session.open<'operands' | 'inputs', 'call'>(plan, device, { operands })
    return session.run('call', { inputs })
  }
  return { regions, arena: operands, image, call, run }
}

function checkUnchanged(call: OpCall, target: Target, { image, regions }: PreparedCall, after: Uint8Array): void {
  const changed = Buffer.compare(after, image) === 0 ? -1 : after.findIndex((byte, at) => byte !== image[at])
  if (changed >= 0)
    throw new Error(`${call.op} on ${target.instructionSet} changed byte ${changed} of ${describeRegions(regions)}`)
}

/**
 * Runs one operation and gives back what it wrote, dense and as float32, by operand.
 *
 * @throws Error when it changed a byte that it does not own: an operand that it only reads, the room between rows,
 * rows past those of the run, or a canary.
 */
export async function runOp(call: OpCall, target: Target): Promise<Record<string, Float32Array>> {
  const prepared = await prepare(call, target)
  const { regions, arena, image } = prepared
  await prepared.run()
  const after = await arena.read(0, image.length)

  const outputs: Record<string, Float32Array> = {}
  for (const [name, operand] of Object.entries(prepared.call.operands)) {
    if (operand.access === 'read') continue
    const region = regions.get(name)!
    const dense = new Uint8Array(region.rows * region.rowBytes)
    eachRow(region, (row, start, end) => {
      dense.set(after.subarray(start, end), row * region.rowBytes)
      image.set(after.subarray(start, end), start)
    })
    if (!(name in call.operands)) continue
    outputs[name] =
      operand.dtype === 'bf16'
        ? fromBf16(new Uint16Array(dense.buffer))
        : operand.dtype === 'i32'
          ? Float32Array.from(new Int32Array(dense.buffer))
          : new Float32Array(dense.buffer)
  }
  checkUnchanged(call, target, prepared, after)
  return outputs
}

/**
 * What a call is refused with, when it is compiled or when it runs.
 *
 * @throws Error when it is not refused, or when a byte has changed all the same.
 */
export async function refusalOf(call: OpCall, target: Target): Promise<unknown> {
  const prepared = await prepare(call, target)
  let refusal: unknown
  try {
    await prepared.run()
  } catch (error) {
    refusal = error
  }
  if (refusal === undefined) throw new Error(`${call.op} on ${target.instructionSet} is not refused`)
  checkUnchanged(call, target, prepared, await prepared.arena.read(0, prepared.image.length))
  return refusal
}

function describeRegions(regions: Map<string, Region>): string {
  return [...regions].map(([name, { offset, rows, strideBytes }]) => `${name}@${offset}+${rows}x${strideBytes}`).join(' ')
}
