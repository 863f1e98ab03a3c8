import { DataError } from '../errors.js'
import { shuffledOrder } from './batch-stream.js'

/** Keeps the choice of validation examples apart from the shuffling of the epochs, which count from 0. */
const validationStream = -1

/**
 * Sets `valSize` of `count` examples aside, chosen by the seed: a share of them below 1 (rounded up), a number of them from 1
 * on, none for 0. Returns the places of both parts, ascending. Throws DATA_EMPTY when none are left to train on.
 */
export function splitValidation(count: number, valSize: number, seed: number): { train: Int32Array; validation: Int32Array } {
  const aside = valSize < 1 ? Math.ceil(valSize * count - 1e-6) : Math.floor(valSize)
  if (aside >= count) {
    throw new DataError(
      'DATA_EMPTY',
      `expected val_size to leave examples to train on but ${aside} of ${count} would be set aside. Lower val_size.`,
      { valSize, examples: count },
    )
  }
  const order = shuffledOrder(count, seed, validationStream)
  return { train: order.subarray(aside).toSorted(), validation: order.subarray(0, aside).toSorted() }
}
