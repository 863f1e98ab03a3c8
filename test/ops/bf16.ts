/** Unit roundoff of bfloat16, whose significand has 8 bits: the relative error of rounding to the nearest. */
export const U_BF16 = 2 ** -8

/** The bits of the nearest bfloat16, ties to even: the upper half of a float32. NaN stays NaN. */
export function toBf16(values: ArrayLike<number>): Uint16Array {
  const from = new Uint32Array(Float32Array.from(values).buffer)
  const to = new Uint16Array(from.length)
  for (let i = 0; i < from.length; i++) {
    const bits = from[i]!
    const isNotANumber = (bits & 0x7fffffff) > 0x7f800000
    to[i] = isNotANumber ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
  }
  return to
}

/** The numbers of these bits, exactly. */
export function fromBf16(bits: Uint16Array): Float32Array {
  const to = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) to[i] = bits[i]! << 16
  return new Float32Array(to.buffer)
}

/** The nearest numbers that bfloat16 has. */
export const roundToBf16 = (values: ArrayLike<number>) => fromBf16(toBf16(values))
