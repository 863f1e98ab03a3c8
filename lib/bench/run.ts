import type { ComputeDtype } from '../native/addon-types.js'
import { type Device, openDevice } from '../native/device.js'
import type { Baseline } from './baseline.js'
import { type Ceilings, ceilingsOf } from './ceilings.js'
import { type ComputeType, computeTypes } from './compute-type.js'
import { type RunTimes, timeRuns } from './measure.js'
import { type PreparedCase, prepareCase } from './op-case.js'
import { opCases } from './op-cases.js'
import { type Peer, type PeerCase, timeAgainst } from './peer.js'
import { type BenchRecord, recordOf } from './record.js'
import type { BenchRow } from './row.js'
import { type BenchScale, benchSizes } from './sizes.js'
import { prepareStep, stepCases, stepFlops, stepShape } from './step-cases.js'

export interface BenchOptions {
  ops: readonly string[]
  /** Names of steps. */
  steps: readonly string[]
  dtypes: readonly ComputeDtype[]
  /** `cpu`, `cuda`, `cuda:1`, … */
  device: string
  /** The sizes of shapes. */
  scale: BenchScale
  /** Threads of the CPU. */
  threads: number
  /** The peer to compare with. */
  peer?: Peer | undefined
  /** Rows of an earlier run to compare with. */
  baseline?: Baseline | undefined
}

/** A case before its memory is taken: what it is, how much work, and how it gets onto a device. */
interface Case {
  name: { op: string } | { step: string }
  direction: string
  shape: Record<string, number>
  flops?: number
  bytes?: number
  tokens?: number
  prepare: (device: Device, type: ComputeType) => Promise<PreparedCase>
}

function* casesOf({ ops, steps, scale }: BenchOptions, type: ComputeType): Generator<Case> {
  for (const opCase of opCases(ops, type, benchSizes[scale])) {
    const { op, direction, shape, flops, bytes } = opCase
    const work = flops === undefined ? { bytes: bytes! } : { flops }
    yield {
      ...{ name: { op: op.name }, direction, shape, ...work },
      prepare: (device) => prepareCase(device, type, opCase),
    }
  }
  for (const stepCase of stepCases[scale]) {
    if (!steps.includes(stepCase.name)) continue
    yield {
      ...{ name: { step: stepCase.name }, direction: 'train', shape: stepShape(stepCase), tokens: stepCase.tokens },
      flops: stepFlops(stepCase),
      prepare: (device) => prepareStep(device, type, stepCase),
    }
  }
}

/** Measures the ceilings, then one case after the other; each is checked against double before it is timed. */
export async function* runBench(options: BenchOptions): AsyncGenerator<{ record: BenchRecord } | { row: BenchRow }> {
  const device = await openDevice(options.device, { threads: options.threads })
  try {
    const small = options.scale === 'small'
    const ceilings = ceilingsOf(device, { small })
    for (const dtype of options.dtypes) await ceilings[dtype].measure()
    await ceilings.memory.measure()
    const { threads, instructionSet, description } = device.info
    const gflops = { f32: ceilings.f32.rate, bf16: ceilings.bf16.rate }
    yield { record: await recordOf({ threads, instructionSet, description, gflops, gbps: ceilings.memory.rate }) }
    for (const dtype of options.dtypes) {
      for (const benchCase of casesOf(options, computeTypes[dtype])) {
        const row = await measureCase(benchCase, computeTypes[dtype], ceilings, options)
        const baseline = options.baseline?.compare(row)
        yield { row: baseline ? { ...row, baseline } : row }
      }
    }
  } finally {
    await device.close()
  }
}

async function measureCase(
  benchCase: Case,
  type: ComputeType,
  ceilings: Ceilings,
  { device: name, threads, peer, scale }: BenchOptions,
): Promise<BenchRow> {
  const { name: of, direction, shape, flops, bytes, tokens } = benchCase
  const ceiling = ceilings[flops === undefined ? 'memory' : type.dtype]
  // A device of its own gives the case's memory back when it is done.
  const device = await openDevice(name, { threads })
  try {
    const prepared = await benchCase.prepare(device, type)
    await prepared.check()
    await ceiling.measure()
    const peakBytes = prepared.bytes + device.info.scratchBytes
    const limits = { minRuns: 'step' in of ? 3 : 5, minMs: scale === 'small' ? 0 : 'step' in of ? 2000 : 300 }
    const peerCase: PeerCase = { ...of, direction, shape, dtype: type.dtype, threads }
    const times = peer
      ? await timeAgainst(peer, peerCase, { ...limits, run: prepared.run, close: () => device.close(), bytes: peakBytes })
      : await timeCalls(prepared, limits, name !== 'cpu')
    const rate = (flops ?? bytes!) / times.medianMs / 1e6
    const share = await ceiling.shareOf(rate)
    return {
      ...{ ...of, direction, dtype: type.dtype, threads, shape, ...times },
      ...(flops === undefined ? { gbps: rate } : { gflops: rate }),
      ...(tokens !== undefined && { tokensPerSecond: (tokens / times.medianMs) * 1000 }),
      ...{ ceiling: ceiling.rate, share, peakBytes },
      ...(device.info.refusedProducts > 0 && { refusedProducts: device.info.refusedProducts }),
    }
  } finally {
    await device.close()
  }
}

/** Overhead of one run: about a tenth of a millisecond, more than a small operation takes on a GPU. */
const ENOUGH_MS = 20

/** The time of one call. Where the device works on its own, as many calls are queued at once as make the way there and back small. */
async function timeCalls(prepared: PreparedCase, limits: { minRuns: number; minMs: number }, queues: boolean): Promise<RunTimes> {
  if (!queues || !prepared.repeated) return timeRuns(prepared.run, limits)
  const { medianMs: one } = await timeRuns(prepared.run, { minRuns: 3, minMs: 0 })
  const calls = Math.min(200, Math.max(1, Math.ceil(ENOUGH_MS / one)))
  const { medianMs, minMs, p90Ms, runs } = await timeRuns(prepared.repeated(calls), limits)
  return { medianMs: medianMs / calls, minMs: minMs / calls, p90Ms: p90Ms / calls, runs }
}
