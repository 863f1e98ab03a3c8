/** Unit roundoff of bfloat16, whose significand has 8 bits: the relative error of rounding to the nearest. */
export const U_BF16 = 2 ** -8

/** The bits of the nearest bfloat16, ties to even: the upper half of a float32. */
export function toBf16(values: ArrayLike<number>): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer)
  const isNotANumber = (b: number) => (b & 0x7fffffff) > 0x7f800000
  return new Uint16Array(bits.map((b) => (isNotANumber(b) ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16)))
}

/** The numbers of these bits, exactly. */
export function fromBf16(bits: Uint16Array): Float32Array {
  return new Float32Array(new Uint32Array(bits).map((b) => b << 16).buffer)
}

/** The nearest numbers that bfloat16 has. */
export const roundToBf16 = (values: ArrayLike<number>) => fromBf16(toBf16(values))
