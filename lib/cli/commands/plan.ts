import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Argv, CommandModule } from 'yargs'
import type { LoadedTrainConfig } from '../../config/train-config.js'
import { ConfigError, NativeError } from '../../errors.js'
import { openDevice } from '../../native/device.js'
import { type PreparedRun, prepareRun } from '../../train/prepare.js'
import { summarizeRun } from '../../train/run-summary.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { formatBytes } from '../format.js'
import { planReport, type Rate } from '../plan-report.js'
import { waysToFit } from '../ways-to-fit.js'

interface PlanArguments {
  config: string | undefined
  program: boolean
  json: boolean
  tokens_per_second: number | undefined
}

export const planCommand: CommandModule<object, PlanArguments> = {
  command: 'plan [config]',
  describe: 'what a run would allocate and do, without reading weights',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .option('program', { type: 'boolean', default: false, describe: 'print the compiled programs, one operation a line' })
      .option('json', { type: 'boolean', default: false, describe: 'print the plan as one JSON object' })
      .option('tokens_per_second', {
        type: 'number',
        describe: 'how fast a run is, to say how long it takes',
      }) as Argv<PlanArguments>,
  handler: async (args) => {
    // A plan leaves nothing behind, the inputs of the embedded default neither.
    const temporary = await mkdtemp(join(tmpdir(), 'limo-plan-'))
    try {
      const folder = existsSync('limo-quickstart') ? undefined : join(temporary, 'limo-quickstart')
      await plan(args, await loadCommandConfig(args, ['program', 'json', 'tokens_per_second'], folder))
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  },
}

async function plan(args: PlanArguments, { config, notes }: LoadedTrainConfig): Promise<void> {
  const { tokens_per_second: rate } = args
  if (rate !== undefined && !(rate > 0 && Number.isFinite(rate))) {
    const message = `expected a number above 0 for --tokens_per_second but received ${rate}`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { received: rate })
  }
  const run = await prepareRun(config, { whatever: true })
  const summary = summarizeRun(run)
  if (args.program) {
    for (const [name, { text }] of Object.entries(run.plan.programs)) process.stdout.write(`# ${name}\n${text}`)
  } else if (args.json) {
    console.log(JSON.stringify(summary))
  } else {
    for (const note of [...notes, ...run.notes]) console.log(`note: ${note}`)
    console.log(planReport(run, await rateOf(run, rate)))
  }
  if (summary.fits !== false) return
  const ways = waysToFit(run)
  const isListed = !args.program && !args.json
  if (isListed && ways.length > 0) console.log(`\nwhat would fit\n${ways.map((way) => `  ${way}`).join('\n')}`)
  const remedy =
    ways.length === 0
      ? 'It takes a smaller model or a larger device.'
      : isListed
        ? 'What would fit is listed.'
        : `Ways to fit: ${ways.join(' | ')}.`
  const { totalBytes: bytes, memoryLimit: limit } = summary
  throw new NativeError(
    'OUT_OF_MEMORY',
    `expected a run within ${formatBytes(limit!)} but it takes ${formatBytes(bytes)}. ${remedy}`,
    {
      bytes,
      limit,
    },
  )
}

/** What was given, or else what the device does in products; nothing where it is not on this machine. */
async function rateOf({ config, plan }: PreparedRun, tokensPerSecond: number | undefined): Promise<Rate> {
  if (tokensPerSecond !== undefined) return { tokensPerSecond }
  const device = await openDevice(config.device, { threads: config.threads }).catch(() => undefined)
  if (device === undefined) return undefined
  try {
    return { flopsPerSecond: await device.measureMultiplyAddRate(plan.dtype) }
  } finally {
    await device.close()
  }
}
