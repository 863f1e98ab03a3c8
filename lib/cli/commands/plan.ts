import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Argv, CommandModule } from 'yargs'
import type { LoadedTrainConfig } from '../../config/train-config.js'
import { NativeError } from '../../errors.js'
import { countParameters } from '../../model/decoder-parameters.js'
import { openDevice } from '../../native/device.js'
import { countNumbers, trainedWeights } from '../../plan/parameters.js'
import { type PreparedRun, prepareRun } from '../../train/prepare.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { formatBytes } from '../format.js'
import { planReport, type Rate, waysToFit } from '../plan-report.js'

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
  const run = await prepareRun(config, { whatever: true })
  const { model, batches, plan: planned, generationBytes, report, examples } = run
  const totalBytes = planned.totalBytes + generationBytes
  if (args.program) {
    for (const [name, { text }] of Object.entries(planned.programs)) process.stdout.write(`# ${name}\n${text}`)
    return
  }
  const tokensPerStep =
    report.tokens / Math.ceil(report.kept / (config.perDeviceTrainBatchSize * config.gradientAccumulationSteps))
  if (args.json) {
    const { bytes, bounds, recomputedLayers, dtype } = planned
    console.log(
      JSON.stringify({
        ...{
          parameters: countParameters(model),
          trainedParameters: countNumbers(trainedWeights(planned.layout)),
          bytes,
          generationBytes,
          totalBytes,
          ...bounds,
          recomputedLayers,
          dtype,
        },
        ...{ examples: examples.count, tokens: report.tokens, scoredTokens: report.scoredTokens, longest: report.longest },
        ...{ totalSteps: batches.totalSteps, stepsPerEpoch: batches.stepsPerEpoch, tokensPerStep },
      }),
    )
    return
  }
  for (const note of [...notes, ...run.notes]) console.log(`note: ${note}`)
  console.log(planReport(run, await rateOf(run, args.tokens_per_second)))
  const { memoryLimit } = run.planOptions
  if (memoryLimit === undefined || planned.totalBytes <= memoryLimit) return
  const ways = waysToFit(run)
  if (ways.length > 0) console.log(`\nwhat would fit\n${ways.map((way) => `  ${way}`).join('\n')}`)
  const remedy = ways.length > 0 ? 'What would fit is listed.' : 'It takes a smaller model or a larger device.'
  throw new NativeError(
    'OUT_OF_MEMORY',
    `expected a run within ${formatBytes(memoryLimit + generationBytes)} but it takes ${formatBytes(totalBytes)}. ${remedy}`,
    { bytes: totalBytes, limit: memoryLimit + generationBytes },
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
