import type { ComputeDtype } from '../native/addon-types.js'
import type { Device } from '../native/device.js'

/** A rate in operations or bytes of 10⁹ a second. */
export interface Ceiling {
  /** The ceiling that the next share is relative to. */
  rate: number
  /** Measures again. */
  measure(): Promise<void>
  /** A rate that was reached just now as a share of the ceiling, 0 to 1. */
  shareOf(rate: number): Promise<number>
}

/** The ceilings of a device: multiply-adds on registers for each type, and memory. */
export type Ceilings = Record<ComputeDtype | 'memory', Ceiling>

/**
 * The ceilings of a device; each is to be measured just before a case. Small ones are for tests: too little work for a rate to
 * mean anything.
 */
export function ceilingsOf(device: Device, how: { small: boolean }): Ceilings {
  return {
    f32: ceiling(() => device.measureMultiplyAddRate('f32', how)),
    bf16: ceiling(() => device.measureMultiplyAddRate('bf16', how)),
    memory: ceiling(() => device.measureUpdateRate(how)),
  }
}

/** Measurements at a time, of which the best counts: a disturbance only makes one slower. */
const TIMES = 3

/**
 * A shared machine changes from second to second: its clock by a tenth, its bandwidth by a factor of two. So the ceiling of a
 * case is the better of what is measured just before and just after it.
 */
function ceiling(measureOnce: () => Promise<number>): Ceiling {
  const measureBest = async () => {
    let best = 0
    for (let n = 0; n < TIMES; n++) best = Math.max(best, (await measureOnce()) / 1e9)
    return best
  }
  const self: Ceiling = {
    rate: 0,
    async measure() {
      self.rate = await measureBest()
    },
    async shareOf(rate) {
      self.rate = Math.max(self.rate, await measureBest())
      return Math.min(1, rate / self.rate)
    },
  }
  return self
}
