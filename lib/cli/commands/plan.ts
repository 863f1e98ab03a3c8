import type { Argv, CommandModule } from 'yargs'
import { countParameters } from '../../model/decoder-parameters.js'
import { countNumbers, trainedWeights } from '../../plan/parameters.js'
import { prepareRun } from '../../train/prepare.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { deviceText, formatBytes, formatCount, formatTable, parametersText } from '../format.js'

interface PlanArguments {
  config: string | undefined
  program: boolean
  json: boolean
}

export const planCommand: CommandModule<object, PlanArguments> = {
  command: 'plan [config]',
  describe: 'what a run would allocate and do, without reading weights',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .option('program', { type: 'boolean', default: false, describe: 'print the compiled programs, one operation a line' })
      .option('json', { type: 'boolean', default: false, describe: 'print the plan as one JSON object' }) as Argv<PlanArguments>,
  handler: async (args) => {
    const { config, notes } = await loadCommandConfig(args, ['program', 'json'])
    const { model, batches, plan, generationBytes, report, examples, notes: runNotes } = await prepareRun(config)
    const totalBytes = plan.totalBytes + generationBytes
    if (args.program) {
      for (const [name, { text }] of Object.entries(plan.programs)) process.stdout.write(`# ${name}\n${text}`)
      return
    }
    const tokensPerStep =
      report.tokens / Math.ceil(report.kept / (config.perDeviceTrainBatchSize * config.gradientAccumulationSteps))
    if (args.json) {
      const { bytes, bounds, recomputedLayers, dtype } = plan
      console.log(
        JSON.stringify({
          ...{
            parameters: countParameters(model),
            trainedParameters: countNumbers(trainedWeights(plan.layout)),
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
    for (const note of [...notes, ...runNotes]) console.log(`note: ${note}`)
    const size = (count: number) => `${formatBytes(count).padStart(10)}  ${formatCount(count)} bytes`
    const bytes = (name: keyof typeof plan.bytes) => size(plan.bytes[name])
    console.log(
      formatTable([
        [
          'model',
          `${model.modelType}, ${parametersText(plan.layout)}, ${model.numHiddenLayers} layers (${plan.recomputedLayers} recomputed)`,
        ],
        [
          'data',
          `${formatCount(examples.count)} examples, ${formatCount(report.tokens)} tokens, ${formatCount(report.scoredTokens)} scored, longest ${formatCount(report.longest)}`,
        ],
        [
          'steps',
          `${formatCount(batches.totalSteps)} in all, ${formatCount(batches.stepsPerEpoch)} an epoch, ${formatCount(Math.round(tokensPerStep))} tokens a step on average`,
        ],
        [
          'micro-batch',
          `up to ${formatCount(plan.bounds.maxTokens)} tokens in ${formatCount(plan.bounds.maxSequences)} sequences`,
        ],
      ]),
    )
    console.log(
      `\nmemory on ${deviceText(config)}, ${plan.dtype === 'bf16' ? 'bfloat16 with float32 master weights' : 'float32'}`,
    )
    const halfWeights: [string, string][] = plan.bytes.weights > 0 ? [['bfloat16 weights', bytes('weights')]] : []
    console.log(
      formatTable(
        [
          [plan.dtype === 'bf16' ? 'master weights' : 'parameters', bytes('parameters')],
          ...halfWeights,
          ['gradients', bytes('gradients')],
          ['optimizer state', bytes('optimizer')],
          ['inputs', bytes('inputs')],
          ['activations', bytes('activations')],
          ['working memory', bytes('scratch')],
          ...(generationBytes > 0 ? [['generation', size(generationBytes)] as [string, string]] : []),
          ['total', size(totalBytes)],
        ],
        '  ',
      ),
    )
  },
}
