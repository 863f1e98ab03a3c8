import { negative, power, product, quotient, type Rational, sum, toDouble } from '../answer/rational.js'
import { type Expression, isCall } from './expression.js'

/** Digits of a decimal that may be another number rounded: fewer are too few to know it by. */
const LEAST_DIGITS = 4

/** A decimal of so many digits may be a printed double, of which the first are right: Python prints a 6 at the end of 2/3. */
const PRINTED = { from: 15, to: 17, right: 14 }

/** Digits that are held against a double, which may have lost the rest on its way. */
const MOST_COMPUTED_DIGITS = 12

/** Relative error that a double may have gathered. */
const COMPUTED = 1e-14

const ten: Rational = { top: 10n, bottom: 1n }

/** A decimal as written: its exact value, and its significant digits. */
export interface Decimal {
  value: Rational
  digits: number
  /** Whether it stands in the answer, and not in the gold one. */
  isGiven?: true
}

/**
 * The decimal that an expression is, with its sign, its percent sign and its power of ten: `-1.49 \times 10^4`, `57.14\%`.
 * Undefined for whole numbers, which are exact, for fractions, and for decimals of fewer digits than a number is known by.
 */
export function decimalIn(expression: Expression, exactly: (part: Expression) => Rational | undefined): Decimal | undefined {
  if (expression.kind === 'number') {
    const { value, digits, base, isGiven } = expression
    if (digits === undefined || digits < LEAST_DIGITS || base !== undefined) return undefined
    return { value, digits, ...(isGiven && { isGiven }) }
  }
  if (expression.kind !== 'call') return undefined
  const [first, second] = expression.of as [Expression, Expression?]
  const decimal = ['negate', '%', '*', '/'].includes(expression.name) ? decimalIn(first, exactly) : undefined
  if (decimal === undefined) return undefined
  if (expression.name === 'negate') return { ...decimal, value: negative(decimal.value) }
  if (expression.name === '%') return scaled(decimal, quotient(decimal.value, { top: 100n, bottom: 1n }))
  const scale = expression.of.length === 2 ? exactly(second!) : undefined
  if (scale === undefined || !isPowerOfTen(scale)) return undefined
  return scaled(decimal, isCall(expression, '*') ? product(decimal.value, scale) : quotient(decimal.value, scale))
}

function scaled(decimal: Decimal, value: Rational | undefined): Decimal | undefined {
  return value && { ...decimal, value }
}

function isPowerOfTen({ top, bottom }: Rational): boolean {
  return (top === 1n || bottom === 1n) && /^10*$/.test(String(top * bottom))
}

/** Whether a decimal is `exact` rounded to its digits; either neighbour will do where it lies in the middle. */
export function isRoundedExact(decimal: Decimal, exact: Rational): boolean {
  const isPrinted = isPrintedDouble(decimal)
  const distance = sum(decimal.value, negative(exact))
  const unit = lastPlace(decimal, isPrinted ? PRINTED.right : decimal.digits)
  if (distance === undefined || unit === undefined) return isRoundedDouble(decimal, toDouble(exact))
  const size = distance.top < 0n ? -distance.top : distance.top
  return 2n * size * unit.bottom <= unit.top * distance.bottom
}

/** Whether a decimal may be a double that was printed with all of its digits. */
export function isPrintedDouble({ digits }: Decimal): boolean {
  return digits >= PRINTED.from && digits <= PRINTED.to
}

/** Whether a decimal is `value`, which was computed in doubles, rounded to its digits. */
export function isRoundedDouble(decimal: Decimal, value: number): boolean {
  const unit = lastPlace(decimal, MOST_COMPUTED_DIGITS)
  if (unit === undefined || value === 0) return false
  return Math.abs(toDouble(decimal.value) - value) <= 0.5 * toDouble(unit) + COMPUTED * Math.abs(value)
}

/** What 1 in the last of its digits, or of the first `most`, stands for. */
function lastPlace({ value, digits }: Decimal, most: number): Rational | undefined {
  const exponent = magnitude(value) - Math.min(digits, most)
  return power(ten, { top: BigInt(exponent), bottom: 1n })
}

/** Digits before the decimal point: 3 for 123.4, 0 for 0.123, −1 for 0.0123. */
function magnitude({ top, bottom }: Rational): number {
  const size = top < 0n ? -top : top
  const digits = String(size).length - String(bottom).length
  // 123/10 has as many digits more as the quotient, or one less.
  const [scaledTop, scaledBottom] = digits >= 0 ? [size, bottom * 10n ** BigInt(digits)] : [size * 10n ** BigInt(-digits), bottom]
  return scaledTop >= scaledBottom ? digits + 1 : digits
}
