import { DataError } from '../errors.js'
import { shuffledOrder } from './batch-stream.js'

/** Keeps the choice of validation examples apart from the shuffling of the epochs, which count from 0. */
const validationStream = -1

/**
 * Sets `valSize` examples aside, chosen by the seed: a share of them below 1 (rounded up), a number of them from 1 on, none
 * for 0. Both parts keep the order of the examples. Throws DATA_EMPTY when none are left to train on.
 */
export function splitValidation<T>(examples: readonly T[], valSize: number, seed: number): { train: T[]; validation: T[] } {
  const count = valSize < 1 ? Math.ceil(valSize * examples.length - 1e-6) : Math.floor(valSize)
  if (count >= examples.length) {
    throw new DataError(
      'DATA_EMPTY',
      `expected val_size to leave examples to train on but ${count} of ${examples.length} would be set aside. Lower val_size.`,
      { valSize, examples: examples.length },
    )
  }
  const chosen = new Set(shuffledOrder(examples.length, seed, validationStream).subarray(0, count))
  return {
    train: examples.filter((_, index) => !chosen.has(index)),
    validation: examples.filter((_, index) => chosen.has(index)),
  }
}
