import { availableParallelism } from 'node:os'
import type { Argv, CommandModule } from 'yargs'
import { type Baseline, readBaseline } from '../../bench/baseline.js'
import { benchmarkedOps } from '../../bench/op-cases.js'
import { Peer } from '../../bench/peer.js'
import { busyText, processorName } from '../../bench/record.js'
import { runBench } from '../../bench/run.js'
import { type BenchScale, scaleOf } from '../../bench/sizes.js'
import { stepCases } from '../../bench/step-cases.js'
import { ConfigError } from '../../errors.js'
import type { ComputeDtype } from '../../native/addon-types.js'
import { benchRowText, ceilingsText, conventionsText } from '../bench-table.js'

interface BenchArguments {
  what: string[] | undefined
  dtype: ComputeDtype | undefined
  device: string
  threads: string | undefined
  small: boolean
  json: boolean
  against: 'pytorch' | undefined
  baseline: string | undefined
}

const namesOf = (cases: readonly { name: string }[]) => [...new Set(cases.map(({ name }) => name))]

export const benchCommand: CommandModule<object, BenchArguments> = {
  command: 'bench [what..]',
  describe: 'kernels and whole training steps against what this machine can do',
  builder: (yargs: Argv) =>
    yargs
      .positional('what', {
        type: 'string',
        array: true,
        describe: `${benchmarkedOps.join(', ')}, step, or a step by name (${namesOf(Object.values(stepCases).flat()).join(', ')}, as the device has them); all when absent`,
      })
      .option('dtype', { choices: ['f32', 'bf16'], describe: 'what weights, activations and products are in; both when absent' })
      .option('device', { type: 'string', default: 'cpu', describe: 'cpu, cuda or cuda:N' })
      .option('threads', { type: 'string', describe: 'number of threads, or several in turn: 1,2,8; default: 1 and all' })
      .option('against', {
        choices: ['pytorch'],
        describe: 'run the same in PyTorch by turns and compare (LIMO_PEER_PYTHON says where it is)',
      })
      .option('small', { type: 'boolean', default: false, describe: 'shapes that take no time, to see that everything runs' })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print one object a line: where it was measured, then each row',
      })
      .option('baseline', { type: 'string', describe: 'what an earlier bench --json printed, to compare with' })
      .strict() as unknown as Argv<BenchArguments>,
  handler: async ({ what = [], dtype, device, threads, small, json, against, baseline: baselineFile }) => {
    const scale = small ? 'small' : scaleOf(device)
    const chosen = choose(what, scale)
    if (against && device !== 'cpu')
      throw new ConfigError('CONFIG_INVALID_VALUE', `expected --device cpu for a comparison but received "${device}"`, { device })
    if (threads !== undefined && device !== 'cpu')
      throw new ConfigError('CONFIG_INVALID_VALUE', `expected no --threads for "${device}" but received "${threads}"`, { device })
    const counts = device === 'cpu' ? threadCounts(threads) : [1]
    const baseline = baselineFile === undefined ? undefined : await readBaseline(baselineFile)
    const notes = [busyText(), baseline && otherProcessor(baseline)].filter((note) => note !== undefined)
    for (const note of notes) console.error(`Note: ${note}`)
    const peer = against && (await Peer.pytorch())
    try {
      let head = peer ? `${conventionsText()}\nAgainst ${peer.version}, at its best.\n` : `${conventionsText()}\n`
      for (const count of counts) {
        const options = {
          ...chosen,
          dtypes: dtype ? [dtype] : (['f32', 'bf16'] as const),
          device,
          scale,
          threads: count,
          peer,
          baseline,
        }
        for await (const event of runBench(options)) {
          if ('record' in event) {
            // Once the device is open, for it may not be there.
            console.log(json ? JSON.stringify(event.record) : head + ceilingsText(event.record))
            head = ''
          } else console.log(json ? JSON.stringify(event.row) : benchRowText(event.row))
        }
      }
    } finally {
      await peer?.close()
    }
  },
}

function otherProcessor({ processor }: Baseline): string | undefined {
  if (processor === undefined || processor === processorName()) return undefined
  return `the baseline was measured on another processor: ${processor}.`
}

/** @throws ConfigError CONFIG_INVALID_VALUE */
function choose(what: string[], scale: BenchScale): { ops: readonly string[]; steps: readonly string[] } {
  const stepNames = namesOf(stepCases[scale])
  const known = [...benchmarkedOps, 'step', ...stepNames]
  for (const name of what) {
    if (!known.includes(name))
      throw new ConfigError('CONFIG_INVALID_VALUE', `expected one of ${known.join(', ')} to bench but received "${name}"`, {
        name,
      })
  }
  if (what.length === 0) return { ops: benchmarkedOps, steps: stepNames }
  return {
    ops: benchmarkedOps.filter((name) => what.includes(name)),
    steps: what.includes('step') ? stepNames : stepNames.filter((name) => what.includes(name)),
  }
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
