import type { ModelConfig } from '../config/model-config.js'
import type { Examples } from '../data/examples.js'
import { countNumbers, trainedWeights, type Weight } from '../plan/parameters.js'
import type { TrainPlan } from './train-plan.js'

/** Work of training once on all examples: tokens, and floating-point operations. */
export interface RunCost {
  tokens: number
  flops: number
}

/**
 * The work of an epoch. Of each weight of a matrix product a token takes 2 floating-point operations forward, 2 for the gradient of the
 * input and, where it is trained, 2 for its own; attention takes 2 products forward and 4 backward of half of T² scores; a recomputed layer
 * goes forward twice.
 */
export function costOfEpoch(examples: Examples, config: ModelConfig, plan: TrainPlan): RunCost {
  const { numHiddenLayers, numAttentionHeads, headDim } = config
  let [tokens, scores] = [0, 0]
  for (let i = 0; i < examples.count; i++) {
    const { length } = examples.infoOf(i)
    tokens += length
    scores += length ** 2 / 2
  }
  const { layout, recomputedLayers } = plan
  // An embedding of its own is looked up, not multiplied.
  const isMultiplied = ({ name, shape }: Weight) =>
    shape.length > 1 && (config.tieWordEmbeddings || name !== 'model.embed_tokens.weight')
  const all = countNumbers([...layout.parts.values()].filter(isMultiplied))
  const trained = countNumbers(trainedWeights(layout).filter(isMultiplied))
  const inLayers = all - config.vocabSize * config.hiddenSize
  const again = recomputedLayers / numHiddenLayers
  // Scores times values, and queries times keys: 2 operations each for a channel.
  const attention = 2 * 2 * scores * numHiddenLayers * numAttentionHeads * headDim
  return { tokens, flops: tokens * (4 * all + 2 * trained + 2 * again * inLayers) + attention * (3 + again) }
}
