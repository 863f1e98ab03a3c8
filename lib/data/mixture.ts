import { ConfigError, DataError } from '../errors.js'
import { Random } from '../random/random.js'
import { shuffledOrder } from './batch-stream.js'

/**
 * Strategy for mixing data sets: LLaMA-Factory's names, with the meaning of `interleave_datasets` in Hugging Face's library.
 */
export type MixStrategy = 'concat' | 'interleave_under' | 'interleave_over'

export interface MixOptions {
  strategy: MixStrategy
  /** Probability of each data set to give the next example; round-robin when absent. */
  probabilities?: readonly number[] | undefined
  seed: number
}

/**
 * Bound on a mixture, as a multiple of the length of its data sets together: with very unequal probabilities it would not end.
 */
const MOST_TIMES = 1000

/** Streams of the random generator for the mixture, apart from the epochs' streams, which count from 0. */
const mixStream = -2
const sampleStream = -3

/**
 * The order in which the examples of several data sets come, as places in their concatenation. Interleaving draws the data set
 * of each example: until the first data set has none left (`interleave_under`), or until each has been used up at least once,
 * with those that end earlier starting over (`interleave_over`).
 *
 * Throws DATA_EMPTY where a data set to draw from is empty, CONFIG_INVALID_VALUE where one would hardly ever be drawn from.
 *
 *     mixOrder([[0, 1, 2], [3, 4]], {strategy: 'interleave_under'})   // 0 3 1 4 2
 */
export function mixOrder(parts: readonly Int32Array[], { strategy, probabilities, seed }: MixOptions): Int32Array {
  if (strategy === 'concat' || parts.length === 1) return join(parts)
  const empty = parts.findIndex(({ length }) => length === 0)
  if (strategy === 'interleave_under' && empty >= 0) {
    const message = `expected examples in every data set with mix_strategy interleave_under but data set ${empty + 1} has none left. Remove it.`
    throw new DataError('DATA_EMPTY', message, { dataset: empty + 1 })
  }
  const most = MOST_TIMES * parts.reduce((sum, { length }) => sum + length, 0)
  const used = parts.map(() => 0)
  const isUsedUp = parts.map(({ length }) => length === 0)
  const random = new Random(seed, mixStream)
  const order: number[] = []
  const isDone = () => (strategy === 'interleave_under' ? isUsedUp.some(Boolean) : isUsedUp.every(Boolean))
  for (let turn = 0; !isDone(); turn++) {
    const chosen = probabilities === undefined ? turn % parts.length : draw(random, probabilities)
    const part = parts[chosen]!
    if (part.length === 0) continue
    if (order.length >= most) {
      const message = `expected interleave_probs with which every data set is used up within ${most} examples but ${probabilities} are too unequal`
      throw new ConfigError('CONFIG_INVALID_VALUE', message, { probabilities })
    }
    order.push(part[used[chosen]! % part.length]!)
    used[chosen]! += 1
    if (used[chosen]! >= part.length) isUsedUp[chosen] = true
  }
  return Int32Array.from(order)
}

function draw(random: Random, probabilities: readonly number[]): number {
  const total = probabilities.reduce((sum, probability) => sum + probability, 0)
  let left = (random.uint32() / 2 ** 32) * total
  for (const [index, probability] of probabilities.entries()) {
    left -= probability
    if (left < 0) return index
  }
  return probabilities.findLastIndex((probability) => probability > 0)
}

function join(parts: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/**
 * `wanted` of `count` examples, chosen by the seed, as LLaMA-Factory's `num_samples`: each once in a shuffled order, then, where
 * more are wanted than there are, drawn again with replacement.
 */
export function sampleOrder(count: number, wanted: number, seed: number): Int32Array {
  const order = new Int32Array(wanted)
  order.set(shuffledOrder(count, seed, sampleStream).subarray(0, wanted))
  const random = new Random(seed, sampleStream - 1)
  for (let index = count; index < wanted; index++) order[index] = random.below(count)
  return order
}
