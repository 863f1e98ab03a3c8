import { availableParallelism, cpus } from 'node:os'
import type { Argv, CommandModule } from 'yargs'
import { timeRuns } from '../../bench/measure.js'
import { prepareCase } from '../../bench/op-case.js'
import { benchmarkedOps, opCases } from '../../bench/op-cases.js'
import { runStepCase, stepCases, stepFlops } from '../../bench/step-cases.js'
import { ConfigError } from '../../errors.js'
import { type Device, openDevice } from '../../native/device.js'
import { formatBytes } from '../format.js'

interface BenchArguments {
  what: string[] | undefined
  threads: string | undefined
  json: boolean
}

/** One measured thing. `share` is of the ceiling that was measured in the same run, 0 to 1. */
interface BenchRow {
  op?: string
  step?: string
  direction: string
  dtype: 'f32'
  threads: number
  shape: Record<string, number>
  medianMs: number
  gflops?: number
  gbps?: number
  tokensPerSecond?: number
  share: number
  peakBytes: number
}

const choices: readonly string[] = [...benchmarkedOps, 'step']

export const benchCommand: CommandModule<object, BenchArguments> = {
  command: 'bench [what..]',
  describe: 'kernels and whole training steps against what this machine can do',
  builder: (yargs: Argv) =>
    yargs
      .positional('what', {
        type: 'string',
        array: true,
        describe: `${choices.join(', ')}, or a step by name (S, M, Q); all when absent`,
      })
      .option('threads', { type: 'string', describe: 'numbers of threads, with commas; default: 1 and all' })
      .option('json', { type: 'boolean', default: false, describe: 'print one object a line' })
      .strict() as unknown as Argv<BenchArguments>,
  handler: async ({ what = [], threads, json }) => {
    const known = [...new Set([...choices, ...stepCases.map(({ name }) => name)])]
    for (const name of what) {
      if (!known.includes(name))
        throw new ConfigError('CONFIG_INVALID_VALUE', `expected one of ${known.join(', ')} to bench but received "${name}"`, {
          name,
        })
    }
    if (!json)
      console.log(`${cpus()[0]?.model.trim() ?? 'unknown processor'}; float32; every result is checked before it is timed`)
    for (const count of threadCounts(threads)) {
      const device = await openDevice('cpu', { threads: count })
      try {
        await benchDevice(device, what, (row) => console.log(json ? JSON.stringify(row) : textOf(row)), json)
      } finally {
        await device.close()
      }
    }
  },
}

function threadCounts(given: string | undefined): number[] {
  if (given === undefined) return [...new Set([1, availableParallelism()])]
  return String(given)
    .split(',')
    .map((text) => {
      const count = Number(text)
      if (!Number.isInteger(count) || count < 1)
        throw new ConfigError(
          'CONFIG_INVALID_VALUE',
          `expected whole numbers of at least 1 for --threads but received "${given}"`,
          { given },
        )
      return count
    })
}

/**
 * The ceilings of a device. A shared machine is slow at times and never fast by chance, so a ceiling is the best of all
 * measurements so far; it is measured again beside every case.
 */
class Ceilings {
  gflops = 0
  gbps = 0

  async measure(device: Device, times: number): Promise<void> {
    for (let n = 0; n < times; n++) this.gflops = Math.max(this.gflops, (await device.measureMultiplyAddRate()) / 1e9)
    this.gbps = Math.max(this.gbps, (await device.measureUpdateRate()) / 1e9)
  }
}

async function benchDevice(device: Device, what: string[], print: (row: BenchRow) => void, json: boolean): Promise<void> {
  const ceilings = new Ceilings()
  await ceilings.measure(device, 10)
  const { threads, instructionSet } = device.info
  if (!json)
    console.log(
      `\n${threads} threads, ${instructionSet}: ${ceilings.gflops.toFixed(0)} GFLOP/s of multiply-adds, ${ceilings.gbps.toFixed(1)} GB/s of updates in place`,
    )
  const ops = what.filter((name) => (benchmarkedOps as readonly string[]).includes(name))
  const base = { dtype: 'f32' as const, threads }
  if (what.length === 0 || ops.length > 0) {
    for (const opCase of opCases(ops)) {
      // A device of its own gives the case's memory back when it is done.
      const own = await openDevice('cpu', { threads })
      try {
        const prepared = await prepareCase(own, opCase)
        await prepared.check()
        await ceilings.measure(device, 1)
        const { medianMs } = await timeRuns(prepared.run, { minRuns: 5, minMs: 300 })
        const row = {
          op: opCase.op.name,
          direction: opCase.direction,
          ...base,
          shape: opCase.shape,
          medianMs,
          // Of this case: the process's own peak would be that of the largest case so far.
          peakBytes: prepared.bytes + own.info.scratchBytes,
        }
        if (opCase.flops !== undefined) {
          const gflops = opCase.flops / medianMs / 1e6
          print({ ...row, gflops, share: gflops / ceilings.gflops })
        } else {
          const gbps = opCase.bytes! / medianMs / 1e6
          print({ ...row, gbps, share: gbps / ceilings.gbps })
        }
      } finally {
        await own.close()
      }
    }
  }
  for (const stepCase of stepCases) {
    if (what.length > 0 && !what.includes('step') && !what.includes(stepCase.name)) continue
    const own = await openDevice('cpu', { threads })
    try {
      const { medianMs, planBytes } = await runStepCase(own, stepCase, 3)
      await ceilings.measure(device, 1)
      const gflops = stepFlops(stepCase) / medianMs / 1e6
      const shape = {
        T: stepCase.tokens,
        V: stepCase.config.vocabSize,
        C: stepCase.config.hiddenSize,
        L: stepCase.config.numHiddenLayers,
      }
      const tokensPerSecond = (stepCase.tokens / medianMs) * 1000
      print({
        step: stepCase.name,
        direction: 'train',
        ...base,
        shape,
        medianMs,
        gflops,
        tokensPerSecond,
        share: gflops / ceilings.gflops,
        peakBytes: planBytes,
      })
    } finally {
      await own.close()
    }
  }
}

function textOf(row: BenchRow): string {
  const name = `${row.op ?? `step ${row.step}`} ${row.direction}`
  const shape = Object.entries(row.shape)
    .map(([letter, size]) => `${letter} ${size}`)
    .join(' ')
  const rate = row.gflops !== undefined ? `${row.gflops.toFixed(0)} GFLOP/s` : `${row.gbps!.toFixed(1)} GB/s`
  const extra =
    row.tokensPerSecond === undefined ? '' : `  ${row.tokensPerSecond.toFixed(0)} tokens/s, ${formatBytes(row.peakBytes)}`
  return `${name.padEnd(34)} ${shape.padEnd(30)} ${row.medianMs.toFixed(2).padStart(9)} ms ${rate.padStart(12)}  ${(100 * row.share).toFixed(0).padStart(3)}%${extra}`
}
