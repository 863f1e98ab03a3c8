import { dtypeBytes } from '../graph/tensor.js'
import { defaultMemoryLimit } from '../native/memory-limit.js'
import { countNumbers, trainedWeights } from '../plan/parameters.js'
import { adviseOnMemory, type MemoryAdvice, MOST_TOKENS } from '../train/memory-advice.js'
import type { PreparedRun } from '../train/prepare.js'
import { costOfEpoch } from '../train/run-cost.js'
import type { TrainPlanOptions } from '../train/train-plan.js'
import { counted, deviceText, formatBytes, formatCount, formatDuration, formatTable, parametersText } from './format.js'

/** Memory of usual cards, in GB as they are sold. */
const CARDS = [24, 48, 80, 141, 192]
/** Share of a card's memory that a run may have, as of a device that is here. */
const SHARE = 0.9

/** How fast a run would be: given by the user, or what the device reaches in matrix products. */
export type Rate = { tokensPerSecond: number } | { flopsPerSecond: number } | undefined

/** Pages of `limo-native plan` as text. */
export function planReport(run: PreparedRun, rate: Rate): string {
  return [runTable(run), memoryTable(run), fittingTable(run), costTable(run, rate)].join('\n\n')
}

function runTable({ model, plan, examples, report, batches }: PreparedRun): string {
  const tokensPerStep = report.tokens / batches.stepsPerEpoch
  const layers = `${model.numHiddenLayers} layers (${plan.recomputedLayers} recomputed)`
  return formatTable([
    ['model', `${model.modelType}, ${parametersText(plan.layout)}, ${layers}`],
    [
      'data',
      `${formatCount(examples.count)} examples, ${formatCount(report.tokens)} tokens, ${formatCount(report.scoredTokens)} scored, longest ${formatCount(report.longest)}`,
    ],
    [
      'steps',
      `${formatCount(batches.totalSteps)} in all, ${formatCount(batches.stepsPerEpoch)} an epoch, ${formatCount(Math.round(tokensPerStep))} tokens a step on average`,
    ],
    ['micro-batch', `up to ${formatCount(plan.bounds.maxTokens)} tokens in ${counted(plan.bounds.maxSequences, 'sequence')}`],
  ])
}

function memoryTable({ plan, config, generationBytes, planOptions }: PreparedRun): string {
  const size = (count: number) => `${formatBytes(count).padStart(10)}  ${formatCount(count)} bytes`
  const bytes = (name: keyof typeof plan.bytes) => size(plan.bytes[name])
  const total = plan.totalBytes + generationBytes
  const { memoryLimit } = planOptions
  const limit = memoryLimit === undefined ? undefined : memoryLimit + generationBytes
  const limitText = (value: number) =>
    `${size(value)}${total <= value ? '' : ' — it does not fit'}${config.memoryLimit === undefined ? ' (90% of what is free; memory_limit sets another)' : ''}`
  const rows: [string, string][] = [
    [plan.dtype === 'bf16' ? 'master weights' : 'parameters', bytes('parameters')],
    ...(plan.bytes.weights > 0 ? [['bfloat16 weights', bytes('weights')] as [string, string]] : []),
    ['gradients', bytes('gradients')],
    ['optimizer state', bytes('optimizer')],
    ['inputs', bytes('inputs')],
    ['activations', bytes('activations')],
    ['working memory', bytes('scratch')],
    ...(generationBytes > 0 ? [['generation', size(generationBytes)] as [string, string]] : []),
    ['total', size(total)],
    ...(limit === undefined ? [] : [['limit', limitText(limit)] as [string, string]]),
  ]
  const type = plan.dtype === 'bf16' ? 'bfloat16 with float32 master weights' : 'float32'
  return `memory on ${deviceText(config)}, ${type}\n${formatTable(rows, '  ')}`
}

/** What fits on this machine and on usual cards. */
function fittingTable({ plan, planOptions, config, generationBytes, model }: PreparedRun): string {
  const rows: [string, string][] = []
  const row = (name: string, { limit, recomputedLayers, largestTokens }: MemoryAdvice) => {
    const fits =
      recomputedLayers === undefined ? 'does not fit' : `fits, ${recomputedLayers} of ${model.numHiddenLayers} layers recomputed`
    const most =
      largestTokens === 0
        ? `nothing does: ${stateBytes(plan) > limit ? 'the state alone is too large' : 'beside the state there is too little for 64 tokens'}`
        : `micro-batches of up to ${formatCount(largestTokens)} tokens do${largestTokens >= MOST_TOKENS ? ', or more' : ''}`
    rows.push([name, `${fits.padEnd(38)}  ${most}`])
  }
  const here = config.memoryLimit ?? defaultMemoryLimit(config.device)
  if (here !== undefined)
    row(
      config.memoryLimit === undefined ? `${config.device} here` : `${formatBytes(here)} on ${config.device}`,
      adviseOnMemory(planOptions, [here], generationBytes)[0]!,
    )
  const onCard: TrainPlanOptions = { ...planOptions, device: 'cuda' }
  const cards = adviseOnMemory(
    onCard,
    CARDS.map((gigabytes) => SHARE * gigabytes * 1e9),
    generationBytes,
  )
  for (const [i, advice] of cards.entries()) row(`a card of ${CARDS[i]} GB`, advice)
  return `what fits (of a card ${SHARE * 100}%)\n${formatTable(rows, '  ')}`
}

function costTable({ plan, examples, model, batches, config }: PreparedRun, rate: Rate): string {
  const epoch = costOfEpoch(examples, model, plan)
  const epochs = batches.totalSteps / batches.stepsPerEpoch
  const [tokens, flops] = [epoch.tokens * epochs, epoch.flops * epochs]
  const checkpoint = checkpointBytes(plan)
  const saved = savedCheckpoints(config, batches)
  const kept = Math.min(saved, config.saveTotalLimit ?? saved)
  const model_ = countNumbers(plan.layout.parts.values()) * dtypeBytes(plan.dtype)
  return formatTable([
    ['state', `${formatBytes(stateBytes(plan))} without activations`],
    ['work', `${formatCount(Math.round(tokens))} tokens, ${flops.toExponential(2)} floating-point operations`],
    ['time', timeText({ tokens, flops }, rate)],
    [
      'disk',
      `${formatBytes(kept * checkpoint + model_)}: ${formatBytes(checkpoint)} a checkpoint, ${kept === 1 ? 'one is' : `${formatCount(kept)} are`} kept, and the model`,
    ],
  ])
}

function timeText({ tokens, flops }: { tokens: number; flops: number }, rate: Rate): string {
  if (rate === undefined) return 'not known: --tokens_per_second N, from the log of a run, tells'
  if ('tokensPerSecond' in rate)
    return `${formatDuration((tokens / rate.tokensPerSecond) * 1000)} at ${formatCount(rate.tokensPerSecond)} tokens a second`
  return (
    `${formatDuration((flops / rate.flopsPerSecond) * 1000)} or more: that is at the ${(rate.flopsPerSecond / 1e9).toFixed(0)} GFLOP/s that ` +
    'this device reaches in products (--tokens_per_second N gives a measured rate)'
  )
}

/** What there is of every trained number, besides the weights that are not trained. */
function stateBytes({ bytes: { parameters, weights, gradients, optimizer } }: PreparedRun['plan']): number {
  return parameters + weights + gradients + optimizer
}

/** A checkpoint has the model, moments, and in bfloat16 master weights. */
function checkpointBytes(plan: PreparedRun['plan']): number {
  const trained = countNumbers(trainedWeights(plan.layout))
  return countNumbers(plan.layout.parts.values()) * dtypeBytes(plan.dtype) + trained * (plan.dtype === 'bf16' ? 12 : 8)
}

function savedCheckpoints(
  { saveStrategy, saveSteps }: PreparedRun['config'],
  { totalSteps, stepsPerEpoch }: PreparedRun['batches'],
): number {
  if (saveStrategy === 'no') return 1
  return Math.ceil(totalSteps / (saveStrategy === 'epoch' ? stepsPerEpoch : saveSteps))
}
