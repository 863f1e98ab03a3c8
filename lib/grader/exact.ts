import { gcd, negative, power, product, quotient, type Rational, rational, sum } from '../answer/rational.js'
import { type Arithmetic, evaluate } from './evaluate.js'
import type { Expression } from './expression.js'

/** The largest n of n! and n choose k: 1000! has 8,500 bits. */
const MOST_FACTORIAL = 1000n

/** Rational numbers: what has an exact value without variables, roots that do not come out, or π. */
const rationals: Arithmetic<Rational> = {
  number: (value) => value,
  name: () => undefined,
  power: rationalPower,
  powerOf: () => undefined,
  call: (name, of) => (Object.hasOwn(operations, name) ? operations[name]!(...of) : undefined),
}

const fold =
  (join: (a: Rational, b: Rational) => Rational | undefined) =>
  (...of: Rational[]): Rational | undefined =>
    of.slice(1).reduce<Rational | undefined>((joined, value) => joined && join(joined, value), of[0])

const whole =
  (compute: (...of: bigint[]) => bigint | undefined) =>
  (...of: Rational[]): Rational | undefined => {
    if (of.some(({ bottom }) => bottom !== 1n)) return undefined
    const value = compute(...of.map(({ top }) => top))
    return value === undefined ? undefined : rational(value)
  }

const ratio = (...of: Rational[]) => (of.length === 2 ? quotient(of[0]!, of[1]!) : undefined)

const operations: Record<string, (...of: Rational[]) => Rational | undefined> = {
  '+': fold(sum),
  '*': fold(product),
  '/': fold(quotient),
  ':': ratio,
  time: ratio,
  negate: (value) => negative(value!),
  '%': (value) => rational(value!.top, value!.bottom * 100n),
  abs: (value) => (value!.top < 0n ? negative(value!) : value),
  floor: (value) => rational(floor(value!)),
  ceil: (value) => rational(-floor(negative(value!))),
  sqrt: (value) => rootOf(value!, 2n),
  root: (value, degree) => (degree!.bottom === 1n ? rootOf(value!, degree!.top) : undefined),
  '!': whole((n) => factorial(n!)),
  binom: whole((n, k) => binomial(n!, k!)),
  gcd: whole((...of) => of.reduce(gcd)),
  lcm: whole((...of) => of.reduce((a, b) => (a / gcd(a, b)) * b)),
  max: fold((a, b) => (isLess(a, b) ? b : a)),
  min: fold((a, b) => (isLess(a, b) ? a : b)),
}

/** The exact values of an answer's parts, each found once. */
export class ExactValues {
  private readonly known = new WeakMap<Expression, Rational | null>()

  /** The rational number that an expression is; undefined where it is none, or one that is too long to compute. */
  readonly of = (expression: Expression): Rational | undefined => {
    if (expression.kind === 'number') return numberIn(expression.value, expression.base)
    if (expression.kind !== 'call') return undefined
    const known = this.known.get(expression)
    if (known !== undefined) return known ?? undefined
    // Marked before its parts are computed: an expression asks for its own exact value first.
    this.known.set(expression, null)
    const value = evaluate(expression, rationals, this.of)
    if (value !== undefined) this.known.set(expression, value)
    return value
  }
}

/** A number in another base than ten by its digits; one that has other digits than its base has no value. */
function numberIn(value: Rational, base: number | undefined): Rational | undefined {
  if (base === undefined) return value
  const digits = Array.from(String(value.top), Number)
  if (!(base >= 2 && base <= 36) || value.bottom !== 1n || digits.some((digit) => digit >= base)) return undefined
  return rational(digits.reduce((sum, digit) => sum * BigInt(base) + BigInt(digit), 0n))
}

function rationalPower(base: Rational, exponent: Rational): Rational | undefined {
  if (exponent.bottom === 1n) return power(base, exponent)
  if (base.top < 0n || exponent.bottom > 64n) return undefined
  const root = rootOf(base, exponent.bottom)
  return root && power(root, { top: exponent.top, bottom: 1n })
}

/** The root where it is rational: by Newton's method on whole numbers. */
function rootOf(value: Rational, degree: bigint): Rational | undefined {
  if (degree < 1n || degree > 64n || (value.top < 0n && degree % 2n === 0n)) return undefined
  const [top, bottom] = [wholeRoot(value.top < 0n ? -value.top : value.top, degree), wholeRoot(value.bottom, degree)]
  if (top === undefined || bottom === undefined) return undefined
  return rational(value.top < 0n ? -top : top, bottom)
}

function wholeRoot(value: bigint, degree: bigint): bigint | undefined {
  if (value < 2n) return value
  let root = 1n << (BigInt(value.toString(2).length) / degree + 1n)
  for (;;) {
    const next = ((degree - 1n) * root + value / root ** (degree - 1n)) / degree
    if (next >= root) break
    root = next
  }
  return root ** degree === value ? root : undefined
}

function floor({ top, bottom }: Rational): bigint {
  return top / bottom - (top < 0n && top % bottom !== 0n ? 1n : 0n)
}

function isLess(a: Rational, b: Rational): boolean {
  return a.top * b.bottom < b.top * a.bottom
}

/** Cached: the other answer or the next factor asks for the same one. */
let lastFactorial = { n: 0n, value: 1n }

function factorial(n: bigint): bigint | undefined {
  if (n < 0n || n > MOST_FACTORIAL) return undefined
  if (lastFactorial.n === n) return lastFactorial.value
  let value = 1n
  for (let factor = 2n; factor <= n; factor += 1n) value *= factor
  lastFactorial = { n, value }
  return value
}

function binomial(n: bigint, k: bigint): bigint | undefined {
  if (n < 0n || n > MOST_FACTORIAL) return undefined
  if (k < 0n || k > n) return 0n
  let value = 1n
  for (let taken = 1n; taken <= k; taken += 1n) value = (value * (n - taken + 1n)) / taken
  return value
}
