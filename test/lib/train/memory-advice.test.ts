import t from 'tap'
import { parseModelConfig } from '../../../lib/config/model-config.js'
import { examplesOf } from '../../../lib/data/examples.js'
import { adviseOnMemory, MOST_TOKENS } from '../../../lib/train/memory-advice.js'
import { costOfEpoch } from '../../../lib/train/run-cost.js'
import { measureTraining, planTraining, type TrainPlanOptions } from '../../../lib/train/train-plan.js'
import { microConfigs } from '../../graph/micro-configs.js'

const options: TrainPlanOptions = {
  config: { ...parseModelConfig(microConfigs.qwen2!, 'qwen2'), numHiddenLayers: 6 },
  ...{ dtype: 'bf16', device: 'cpu', recompute: 'auto', threads: 1, maxTokens: 2048, maxSequences: 4, maxGradNorm: 1 },
  adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
}
const layers = options.config.numHiddenLayers

t.test('what is measured is what is planned', async (t) => {
  for (const [recompute, recomputed] of [
    ['none', 0],
    ['full', layers],
  ] as const)
    t.equal(measureTraining(options, recomputed), planTraining({ ...options, recompute }).totalBytes, recompute)
})

t.test('the fewest layers and the most tokens that fit', async (t) => {
  const [least, most] = [measureTraining(options, layers), measureTraining(options, 0)]
  const limits = [1, least - 1, least, least + 1, (least + most) / 2, most - 1, most, 3 * most, 1e15]
  for (const { limit, recomputedLayers, largestTokens } of adviseOnMemory(options, limits, 0)) {
    const tokens = (maxTokens: number) => measureTraining({ ...options, maxTokens }, layers)
    if (recomputedLayers === undefined) t.ok(least > limit, `${limit}: nothing fits`)
    else {
      t.ok(measureTraining(options, recomputedLayers) <= limit, `${limit}: ${recomputedLayers} layers fit`)
      if (recomputedLayers > 0) t.ok(measureTraining(options, recomputedLayers - 1) > limit, `${limit}: one less does not`)
      t.equal(planTraining({ ...options, memoryLimit: limit }).recomputedLayers, recomputedLayers, 'and a run does the same')
    }
    if (largestTokens === 0) t.ok(tokens(64) > limit)
    else {
      t.ok(tokens(largestTokens) <= limit, `${limit}: ${largestTokens} tokens fit`)
      if (largestTokens < MOST_TOKENS) t.ok(tokens(largestTokens + 64) > limit, `${limit}: more do not`)
    }
  }
  const [advice] = adviseOnMemory(options, [least], 1)
  t.equal(advice!.recomputedLayers, undefined, 'what is needed besides counts')
})

t.test('the work of an epoch', async (t) => {
  const example = (length: number) => ({
    ...{ inputIds: new Int32Array(length), labels: new Int32Array(length), scoredTokens: length, place: 'x:1', answerEnd: 0 },
  })
  const { config } = options
  const plan = planTraining({ ...options, recompute: 'none' })
  const { hiddenSize: C, intermediateSize: F, numHiddenLayers: L, numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = config
  const numbers = L * (2 * C * H * D + 2 * C * K * D + 3 * C * F) + config.vocabSize * C
  const { tokens, flops } = costOfEpoch(examplesOf([example(10), example(30)] as never), config, plan)
  t.equal(tokens, 40)
  const attention = (12 * L * H * D * (10 ** 2 + 30 ** 2)) / 2
  t.ok(Math.abs(flops / (6 * numbers * 40 + attention) - 1) < 1e-12, `${flops}`)
  const again = costOfEpoch(
    examplesOf([example(10), example(30)] as never),
    config,
    planTraining({ ...options, recompute: 'full' }),
  )
  t.ok(again.flops > 1.1 * flops && again.flops < 1.34 * flops, 'recomputation costs up to a third more')
})
