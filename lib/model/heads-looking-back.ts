import { type ModelConfig, rotaryInverseFrequencies } from '../config/model-config.js'
import type { Weight } from '../plan/parameters.js'
import type { DecoderParameters } from './decoder-parameters.js'

/** Query heads of the first layer that look back: one to the token before its own, one to the token before that. */
const HEADS = 2
/** Share of the random query and key weights that is kept in these heads. */
const KEPT_WEIGHT = 0.1
/** Length of the bias of a pair of channels. */
const BIAS = 5
/** Slowest rotation of a pair that gets a bias, in radians per token. */
const SLOWEST_ROTATION = 0.1

/**
 * Heads of the first layer that attend to the tokens before from the start of training; none without query and key biases.
 *
 * Copying takes a layer that finds where a token stood before and attends to what followed it (an induction head), which learns from what
 * an earlier layer knows of the tokens before. That earlier layer is slow to come about, and in some runs of a few minutes never does.
 * With RoPE a query of angle −Δω and a key of angle 0 in each pair of channels that turns by ω a token agree best when they are Δ tokens
 * apart.
 *
 * @returns what changes the first values of a weight in place, if they are of such a head
 */
export function lookingBack(
  config: ModelConfig,
  { layers }: DecoderParameters,
): ((weight: Weight, values: Float32Array) => void) | undefined {
  const { weight, bias } = layers[0]?.queryKeyValue ?? {}
  if (!weight || !bias) return undefined
  const { headDim, hiddenSize, numAttentionHeads, numKeyValueHeads } = config
  const queryHeads = Math.min(HEADS, numAttentionHeads)
  const keyHeads = Math.ceil((queryHeads * numKeyValueHeads) / numAttentionHeads)
  const [queryWeight, keyWeight] = weight.parts
  const [queryBias, keyBias] = bias.parts
  return (changed, values) => {
    if (changed === queryWeight) shrink(values, queryHeads * headDim * hiddenSize)
    else if (changed === keyWeight) shrink(values, keyHeads * headDim * hiddenSize)
    else if (changed === queryBias) turn(values, queryHeads, config, (head) => -(head + 1))
    else if (changed === keyBias) turn(values, keyHeads, config, () => 0)
  }
}

function shrink(values: Float32Array, count: number): void {
  for (let i = 0; i < count; i++) values[i]! *= KEPT_WEIGHT
}

/** Writes the biases of some heads: each pair of channels at the angle that it would reach by RoPE in `tokensOf(head)` tokens. */
function turn(values: Float32Array, heads: number, config: ModelConfig, tokensOf: (head: number) => number): void {
  const { headDim, ropeTheta, ropeScaling } = config
  const half = headDim / 2
  for (let head = 0; head < heads; head++)
    for (let pair = 0; pair < half; pair++) {
      const rotation = ropeScaling ? rotaryInverseFrequencies(config)[pair]! : ropeTheta ** (-pair / half)
      if (rotation < SLOWEST_ROTATION) break
      const angle = tokensOf(head) * rotation
      values[head * headDim + pair] = BIAS * Math.cos(angle)
      values[head * headDim + half + pair] = BIAS * Math.sin(angle)
    }
}
