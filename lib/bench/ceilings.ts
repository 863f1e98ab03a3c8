import type { ComputeDtype } from '../native/addon-types.js'
import type { Device } from '../native/device.js'

/** A rate in operations or bytes of 10⁹ a second. */
export interface Ceiling {
  /** The best measurement so far. */
  rate: number
  /** Measures again. */
  measure(): Promise<void>
  /** A reached rate as a share of the ceiling, 0 to 1; measured again where it is above. */
  shareOf(rate: number): Promise<number>
}

/** The ceilings of a device: multiply-adds on registers for each type, and memory. */
export type Ceilings = Record<ComputeDtype | 'memory', Ceiling>

/**
 * A shared machine is slow at times and never fast by chance, so a ceiling is the best of all measurements so far; it is
 * measured again beside every case.
 */
export function ceilingsOf(device: Device): Ceilings {
  return {
    f32: ceiling(() => device.measureMultiplyAddRate('f32')),
    bf16: ceiling(() => device.measureMultiplyAddRate('bf16')),
    memory: ceiling(() => device.measureUpdateRate()),
  }
}

/** Measurements of a ceiling that seems too low before what exceeds it counts as all of it. */
const REPEATS = 5

function ceiling(measureOnce: () => Promise<number>): Ceiling {
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
