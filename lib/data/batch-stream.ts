import { DataError } from '../errors.js'
import { Random } from '../random/random.js'
import type { Examples } from './examples.js'
import { type PackedBatch, type PackOptions, packStep } from './packer.js'

export interface BatchPlanOptions {
  examplesPerStep: number
  /** Number of epochs; may be a fraction. */
  numTrainEpochs: number
  /** Overrides `numTrainEpochs`. */
  maxSteps?: number | undefined
  seed: number
  disableShuffling: boolean
  pack: PackOptions
}

/** The data of one step: one optimizer update. */
export interface StepBatch {
  /** From 1. */
  step: number
  /** Epochs completed after this step, 0.5 in the middle of the first. */
  epoch: number
  /** Their `exampleIndices` point into the examples that were planned. */
  microBatches: PackedBatch[]
  scoredTokens: number
  tokens: number
}

export interface BatchPlan {
  totalSteps: number
  /** The last step of an epoch may have fewer examples than the others. */
  stepsPerEpoch: number
  /** No micro-batch of any step has more tokens than this, whatever the order. */
  maxTokens: number
  /** No micro-batch of any step has more sequences than this, whatever the order. */
  maxSequences: number
  /** The data of step n. It depends on n and the seed alone, so a resumed run replays nothing. */
  step(n: number): StepBatch
}

/**
 * Plans a whole run: which examples each step takes, in which order, and how they are packed. Throws DATA_EMPTY.
 *
 *     const plan = planBatches(examples, options)
 *     for (let n = 1; n <= plan.totalSteps; n++) train(plan.step(n))
 */
export function planBatches(examples: Examples, options: BatchPlanOptions): BatchPlan {
  const { examplesPerStep, numTrainEpochs, seed, disableShuffling, pack } = options
  const { count } = examples
  if (count === 0) throw new DataError('DATA_EMPTY', 'expected at least one example to train on but received none.')
  const stepsPerEpoch = Math.ceil(count / examplesPerStep)
  // 1.1 epochs of 10 steps are 11 steps, though 1.1 * 10 is a little more in floating point
  const totalSteps = options.maxSteps ?? Math.ceil(numTrainEpochs * stepsPerEpoch - 1e-6)
  const fileOrder = Int32Array.from({ length: count }, (_, index) => index)
  let current: { epoch: number; order: Int32Array } = { epoch: -1, order: fileOrder }

  const orderOf = (epoch: number): Int32Array => {
    if (disableShuffling) return fileOrder
    if (current.epoch !== epoch) current = { epoch, order: shuffledOrder(count, seed, epoch) }
    return current.order
  }
  return {
    totalSteps,
    stepsPerEpoch,
    ...largestMicroBatch(examples, examplesPerStep, pack),
    step(n) {
      const epoch = Math.floor((n - 1) / stepsPerEpoch)
      const start = ((n - 1) % stepsPerEpoch) * examplesPerStep
      const taken = orderOf(epoch).subarray(start, start + examplesPerStep)
      const chosen = Array.from(taken, (index) => examples.read(index))
      const microBatches = packStep(chosen, pack)
      for (const batch of microBatches) batch.exampleIndices = batch.exampleIndices.map((index) => taken[index]!)
      return {
        step: n,
        epoch: epoch + (start + taken.length) / count,
        microBatches,
        scoredTokens: chosen.reduce((sum, { scoredTokens }) => sum + scoredTokens, 0),
        tokens: chosen.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
      }
    },
  }
}

/** Bounds that hold for every choice of `examplesPerStep` examples. */
function largestMicroBatch(
  examples: Examples,
  examplesPerStep: number,
  pack: PackOptions,
): { maxTokens: number; maxSequences: number } {
  const lengths = Int32Array.from({ length: examples.count }, (_, index) => examples.infoOf(index).length).sort()
  const most = pack.packing ? examplesPerStep : Math.min(examplesPerStep, pack.examplesPerMicroBatch)
  const longest = lengths.at(-1)!
  const sumOfLongest = lengths.subarray(-most).reduce((sum, length) => sum + length, 0)
  if (!pack.packing) return { maxTokens: sumOfLongest, maxSequences: Math.min(most, lengths.length) }

  let maxSequences = 0
  let shortestSum = 0
  for (const length of lengths.subarray(0, most)) {
    shortestSum += length
    if (shortestSum > pack.capacity) break
    maxSequences += 1
  }
  return { maxTokens: Math.max(longest, Math.min(pack.capacity, sumOfLongest)), maxSequences: Math.max(1, maxSequences) }
}

/** The numbers from 0 to count − 1 in an order that depends on seed and epoch alone: Fisher–Yates with `Random(seed, epoch)`. */
export function shuffledOrder(count: number, seed: number, epoch: number): Int32Array {
  const random = new Random(seed, epoch)
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const chosen = random.below(last + 1)
    const moved = order[last]!
    order[last] = order[chosen]!
    order[chosen] = moved
  }
  return order
}
