/** An exact rational number in lowest terms, the denominator positive. */
export interface Fraction {
  readonly top: bigint
  readonly bottom: bigint
}

/** Numbers with more digits are left to approximate arithmetic. */
const MOST_BITS = 4096

/** Throws a RangeError for a denominator of 0, and for numbers that are too large to be worth it. */
export function fraction(top: bigint, bottom = 1n): Fraction {
  if (bottom === 0n) throw new RangeError('division by zero')
  const divisor = gcd(top < 0n ? -top : top, bottom < 0n ? -bottom : bottom)
  const sign = bottom < 0n ? -1n : 1n
  const result = { top: (sign * top) / divisor, bottom: (sign * bottom) / divisor }
  if (bitsOf(result.top) > MOST_BITS || bitsOf(result.bottom) > MOST_BITS) throw new RangeError('too many digits')
  return result
}

export const add = (a: Fraction, b: Fraction) => fraction(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom)
export const multiply = (a: Fraction, b: Fraction) => fraction(a.top * b.top, a.bottom * b.bottom)
export const divide = (a: Fraction, b: Fraction) => fraction(a.top * b.bottom, a.bottom * b.top)
export const isEqual = (a: Fraction, b: Fraction) => a.top === b.top && a.bottom === b.bottom

/** a to the power of a whole number. */
export function power(a: Fraction, exponent: bigint): Fraction {
  const size = exponent < 0n ? -exponent : exponent
  if (size * BigInt(Math.max(bitsOf(a.top), bitsOf(a.bottom))) > BigInt(MOST_BITS)) throw new RangeError('too many digits')
  const raised = fraction(a.top ** size, a.bottom ** size)
  return exponent < 0n ? divide(fraction(1n), raised) : raised
}

/** `12`, `0.5`, `.5`, `1.5e3`. Undefined for anything else. */
export function decimalFraction(text: string): Fraction | undefined {
  const [, whole = '', part = '', exponent = '0'] = /^(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(text) ?? []
  if (whole + part === '' || text.length > 400) return undefined
  const shift = BigInt(exponent) - BigInt(part.length)
  const digits = BigInt(whole + part)
  return shift < 0n ? fraction(digits, 10n ** -shift) : fraction(digits * 10n ** shift)
}

export function toNumber({ top, bottom }: Fraction): number {
  const value = Number(top) / Number(bottom)
  if (Number.isFinite(value)) return value
  // Both too large for a double: their leading digits are enough.
  const shift = BigInt(Math.max(0, Math.max(bitsOf(top), bitsOf(bottom)) - 1000))
  return Number(top >> shift) / Number(bottom >> shift || 1n)
}

function gcd(a: bigint, b: bigint): bigint {
  while (b > 0n) [a, b] = [b, a % b]
  return a === 0n ? 1n : a
}

function bitsOf(value: bigint): number {
  return (value < 0n ? -value : value).toString(16).length * 4
}
