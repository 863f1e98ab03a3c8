import type { ComputeDtype } from '../native/addon-types.js'
import { randomValues } from './measure.js'

/** The unit roundoff of float32. */
export const U = 2 ** -24

/** A type that weights, activations and products are in, as the cases of a benchmark need it. */
export interface ComputeType {
  dtype: ComputeDtype
  /** Bytes of an element. */
  bytes: number
  /** Relative error of rounding a float32 to it: the unit roundoff, 0 for float32. */
  roundoff: number
  /** The nearest numbers of this type. */
  round(values: Float32Array): Float32Array
  /** Numbers of this type in [-1, 1) that depend on the seed alone. */
  random(length: number, seed: number): Float32Array
}

export const computeTypes: Readonly<Record<ComputeDtype, ComputeType>> = {
  f32: { dtype: 'f32', bytes: 4, roundoff: 0, round: (values) => values, random: randomValues },
  bf16: {
    ...{ dtype: 'bf16', bytes: 2, roundoff: 2 ** -8, round: roundToBf16 },
    random: (length, seed) => randomValues(length, seed, { round: roundToBf16 }),
  },
}

function roundToBf16(values: Float32Array): Float32Array {
  return fromBf16(toBf16(values))
}

/** The bits of the nearest bfloat16, ties to even, of finite numbers. */
export function toBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) bits[i] = (words[i]! + 0x7fff + ((words[i]! >>> 16) & 1)) >>> 16
  return bits
}

/** The numbers that these bits stand for. */
export function fromBf16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16
  return new Float32Array(words.buffer)
}
