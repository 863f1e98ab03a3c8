import type { ComputeDtype } from '../native/addon-types.js'
import type { Device } from '../native/device.js'

/** A rate in operations or bytes of 10⁹ a second. */
export interface Ceiling {
  /** What the next share is taken of. */
  rate: number
  /** Measures again. */
  measure(): Promise<void>
  /** A rate that was reached just now as a share of the ceiling, 0 to 1. */
  shareOf(rate: number): Promise<number>
}

/** The ceilings of a device: multiply-adds on registers for each type, and memory. */
export type Ceilings = Record<ComputeDtype | 'memory', Ceiling>

/** The ceilings of a device; each is to be measured again just before every case. */
export function ceilingsOf(device: Device): Ceilings {
  return {
    f32: computing(() => device.measureMultiplyAddRate('f32')),
    bf16: computing(() => device.measureMultiplyAddRate('bf16')),
    memory: memory(() => device.measureUpdateRate()),
  }
}

/** Measurements of a ceiling that seems too low before what exceeds it counts as all of it. */
const REPEATS = 5

/** A processor is slow at times and never fast by chance: the ceiling is the best of all measurements so far. */
function computing(measureOnce: () => Promise<number>): Ceiling {
  const self: Ceiling = {
    rate: 0,
    async measure() {
      self.rate = Math.max(self.rate, (await measureOnce()) / 1e9)
    },
    async shareOf(rate) {
      for (let n = 0; n < REPEATS && rate > self.rate; n++) await self.measure()
      return Math.min(1, rate / self.rate)
    },
  }
  return self
}

/**
 * Memory is shared with whatever else the machine does, and its bandwidth changes from second to second by a factor of two
 * on a virtual machine: the ceiling is the better of two measurements just before and just after a case.
 */
function memory(measureOnce: () => Promise<number>): Ceiling {
  const self: Ceiling = {
    rate: 0,
    async measure() {
      self.rate = (await measureOnce()) / 1e9
    },
    async shareOf(rate) {
      self.rate = Math.max(self.rate, (await measureOnce()) / 1e9)
      return Math.min(1, rate / self.rate)
    },
  }
  return self
}
