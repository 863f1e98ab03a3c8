/** An exact fraction in lowest terms; `bottom` is positive. */
export interface Rational {
  readonly top: bigint
  readonly bottom: bigint
}

/** Results with more bits than these are not computed: products and gcds of larger ones take milliseconds each. */
const MOST_BITS = { integer: 1 << 16, fraction: 1 << 13 }

/** Most characters of a number that is read as one. */
const LONGEST_DECIMAL = 1000

const MOST_EXPONENT = 2000

/** `top / bottom`; undefined where `bottom` is 0, or the fraction is too long to be computed with. */
export function rational(top: bigint, bottom = 1n): Rational | undefined {
  if (bottom === 0n) return undefined
  if (bottom === 1n) return bitsOf(top) > MOST_BITS.integer ? undefined : { top, bottom }
  if (bitsOf(top) + bitsOf(bottom) > 2 * MOST_BITS.fraction) return undefined
  const divisor = gcd(top, bottom) * (bottom < 0n ? -1n : 1n)
  return { top: top / divisor, bottom: bottom / divisor }
}

export function sum(a: Rational, b: Rational): Rational | undefined {
  return rational(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom)
}

export function product(a: Rational, b: Rational): Rational | undefined {
  return rational(a.top * b.top, a.bottom * b.bottom)
}

export function quotient(a: Rational, b: Rational): Rational | undefined {
  return rational(a.top * b.bottom, a.bottom * b.top)
}

export function negative({ top, bottom }: Rational): Rational {
  return { top: -top, bottom }
}

/** `base` to a whole exponent; undefined for another exponent, for 0 to a negative one, and where the result is too long. */
export function power(base: Rational, exponent: Rational): Rational | undefined {
  if (exponent.bottom !== 1n) return undefined
  const size = exponent.top < 0n ? -exponent.top : exponent.top
  const isUnit = base.bottom === 1n && base.top >= -1n && base.top <= 1n
  if (!isUnit && size * BigInt(Math.max(bitsOf(base.top), bitsOf(base.bottom))) > MOST_BITS.integer) return undefined
  const times = isUnit ? (size === 0n ? 0n : 2n - (size % 2n)) : size
  const raised = rational(base.top ** times, base.bottom ** times)
  return raised === undefined || exponent.top >= 0n ? raised : rational(raised.bottom, raised.top)
}

export function areEqual(a: Rational, b: Rational): boolean {
  return a.top === b.top && a.bottom === b.bottom
}

/** The nearest double; ±Infinity beyond their range. */
export function toDouble({ top, bottom }: Rational): number {
  if (bottom === 1n) return Number(top)
  // Both may be beyond the range of doubles where their quotient is not.
  const excess = BigInt(Math.max(0, Math.min(bitsOf(top), bitsOf(bottom)) - 200))
  return Number(top >> excess) / Number(bottom >> excess)
}

/** `12`, `-0.5`, `.5`, `3.`, `1.2e-5`: undefined for anything else. No separators. */
export function parseDecimal(text: string): Rational | undefined {
  if (text.length > LONGEST_DECIMAL) return undefined
  const [, sign, whole = '', part = '', power = '0'] = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d{1,6}))?$/.exec(text) ?? []
  if (sign === undefined || whole + part === '') return undefined
  const exponent = Number(power) - part.length
  if (Math.abs(exponent) > MOST_EXPONENT) return undefined
  const digits = BigInt(whole + part) * (sign === '-' ? -1n : 1n)
  const scale = 10n ** BigInt(Math.abs(exponent))
  return exponent < 0 ? rational(digits, scale) : rational(digits * scale)
}

export function gcd(a: bigint, b: bigint): bigint {
  let [large, small] = [a < 0n ? -a : a, b < 0n ? -b : b]
  while (small > 0n) [large, small] = [small, large % small]
  return large === 0n ? 1n : large
}

function bitsOf(value: bigint): number {
  // Most numbers are small, and writing one as text is the only way to its length.
  if (value > -0x1_0000_0000n && value < 0x1_0000_0000n) return 32
  return value.toString(16).length * 4
}
