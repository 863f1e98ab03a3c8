import { areEqual, type Rational } from '../answer/rational.js'
import { type Complex, complexNumbers, divided } from './complex.js'
import { decimalIn, isPrintedDouble, isRoundedDouble, isRoundedExact } from './decimals.js'
import { evaluate } from './evaluate.js'
import { ExactValues } from './exact.js'
import { call, type Expression, isCall, nameOf, numberOf, partsOf, some } from './expression.js'
import { hasDecimals, isIrrational, isNonzero, isZero } from './number-facts.js'
import { primeField } from './prime-field.js'

/** `undecided` is what cannot be told, which a grader takes for wrong and a filter does not. */
export type Verdict = 'same' | 'different' | 'undecided'

/** Domain of the random points: `whole` for ⌊n/2⌋ and (−1)ⁿ, `positive` where √x² is x. */
type Domain = 'real' | 'positive' | 'whole'

/** Points that are tried, and how many have to have a value. */
const POINTS = 24
const ENOUGH = 6

/**
 * Relative differences of doubles. Below the first: rounding of one value computed in two ways. Above the second: different
 * values.
 */
const SAME = 1e-9
const DIFFERENT = 1e-6

/** Compares values, with a cache for their parts: in a list every item is compared with every other. */
export class ValueComparison {
  readonly exact = new ExactValues()
  private readonly fields = new Map<Expression, bigint | null>()
  private readonly values = new Map<Domain, Map<Expression, (Complex | undefined)[]>>()

  compare(a: Expression, b: Expression): Verdict {
    if (a.kind === 'number' && b.kind === 'number' && (a.base === undefined) !== (b.base === undefined)) {
      // The base is left out where the question names it: 52 is 52_8 then, and 42 is not what was asked for.
      return areEqual(a.value, b.value) ? 'same' : 'different'
    }
    const tagged = this.tagged(a, b)
    if (tagged !== undefined) return tagged
    const [exactA, exactB] = [this.exact.of(a), this.exact.of(b)]
    if (exactA !== undefined && exactB !== undefined) {
      if (areEqual(exactA, exactB)) return 'same'
      const verdicts = [this.rounded(a, b, exactB), this.rounded(b, a, exactA)]
      return verdicts.find((verdict) => verdict === 'same') ?? verdicts.find((verdict) => verdict === 'undecided') ?? 'different'
    }
    if (isNonzero(a, exactA) && isZero(exactB)) return 'different'
    if (isNonzero(b, exactB) && isZero(exactA)) return 'different'
    const [fieldA, fieldB] = [this.field(a), this.field(b)]
    if (fieldA !== undefined && fieldB !== undefined) {
      if (fieldA === fieldB) return 'same'
      // A decimal may be the other value rounded; anything else that differs at a random point differs.
      if (hasVariables(a) || hasVariables(b) || !(hasDecimals(a) || hasDecimals(b))) return 'different'
    }
    const isOneIrrational =
      (exactA === undefined && isIrrational(a, this.exact.of)) !== (exactB === undefined && isIrrational(b, this.exact.of))
    if ((exactA ?? exactB) !== undefined && isOneIrrational && !hasDecimals(a) && !hasDecimals(b)) return 'different'
    return this.numerically(a, b, exactA, exactB)
  }

  /** The quotient a / b where it is the same number at all points; undefined where it is not. */
  ratio(a: Expression, b: Expression): Complex | undefined {
    const domain = domainOf(a, b)
    const [valuesA, valuesB] = [this.at(a, domain), this.at(b, domain)]
    let ratio: Complex | undefined
    let agreed = 0
    for (const [index, valueA] of valuesA.entries()) {
      const valueB = valuesB[index]
      if (valueA === undefined || valueB === undefined) continue
      const next = divided(valueA, valueB)
      if (!Number.isFinite(next.re) || !Number.isFinite(next.im) || Math.hypot(next.re, next.im) < SAME) return undefined
      if (ratio !== undefined && distanceOf(ratio, next) > SAME) return undefined
      ratio ??= next
      agreed += 1
    }
    return agreed >= ENOUGH ? ratio : undefined
  }

  /** The value of an expression without names, as a double; undefined where it is not real. */
  real(expression: Expression, logBase = Math.E): number | undefined {
    if (hasVariables(expression)) return undefined
    const value = this.at(expression, 'real', logBase)[0]
    return value !== undefined && Math.abs(value.im) <= SAME * Math.abs(value.re) && Number.isFinite(value.re)
      ? value.re
      : undefined
  }

  /** 28% is 28 or 0.28, 90° is 90 or π/2, by what it is compared with. */
  private tagged(a: Expression, b: Expression): Verdict | undefined {
    // 5% is no 5°, whatever either is without its sign.
    if ((isCall(a, '%') && isCall(b, '°')) || (isCall(a, '°') && isCall(b, '%'))) return 'undecided'
    for (const tag of ['%', '°']) {
      if (isCall(a, tag) && isCall(b, tag)) return this.compare(a.of[0]!, b.of[0]!)
      const [marked, other] = isCall(a, tag) ? [a, b] : [b, a]
      if (!isCall(marked, tag)) continue
      const without = marked.of[0]!
      const converted = tag === '%' ? call('/', without, numberOf(100n)) : call('*', without, degree)
      return this.compare(without, other) === 'same' ? 'same' : this.compare(converted, other)
    }
    return undefined
  }

  private field(expression: Expression): bigint | undefined {
    const known = this.fields.get(expression)
    if (known !== undefined) return known ?? undefined
    const value = evaluate(expression, field, this.exact.of)
    this.fields.set(expression, value ?? null)
    return value
  }

  /**
   * Whether `written` is a decimal that is `other` rounded. Of two decimals, the answer may be the gold one rounded; a gold one that
   * is rounded does not say which of the decimals around it is right.
   */
  private rounded(written: Expression, other: Expression, exact: Rational): Verdict {
    const decimal = isWhole(other, exact) ? undefined : decimalIn(written, this.exact.of)
    if (decimal === undefined || !isRoundedExact(decimal, exact)) return 'different'
    return decimal.isGiven || isPrintedDouble(decimal) || !hasDecimals(other) ? 'same' : 'undecided'
  }

  private numerically(a: Expression, b: Expression, exactA: Rational | undefined, exactB: Rational | undefined): Verdict {
    const domain = domainOf(a, b)
    // ⌊x⌋ is x at whole numbers alone: x may be any number, n is a whole one by custom.
    if (domain === 'whole' && [a, b].some((side) => some(side, isRounding)) && this.atPoints(a, b, 'real') !== 'same') {
      const names = [...variablesIn(a), ...variablesIn(b)]
      if (!names.every((name) => /^[i-nNM](?:_|$)/.test(name)))
        return this.atPoints(a, b, 'whole') === 'different' ? 'different' : 'undecided'
    }
    // A bare log is of base e or of base 10.
    const isLog = (part: Expression) => isCall(part, 'log')
    const bases = some(a, isLog) || some(b, isLog) ? [Math.E, 10] : [Math.E]
    const verdicts = bases.map((base) => {
      const decimal =
        exactA !== undefined ? decimalIn(a, this.exact.of) : exactB !== undefined ? decimalIn(b, this.exact.of) : undefined
      const value = decimal && this.real(exactA !== undefined ? b : a, base)
      const verdict = this.atPoints(a, b, domain, base)
      if (decimal === undefined || value === undefined) return verdict
      if (isRoundedDouble(decimal, value)) return 'same'
      // Nine digits of it are right and the last is not: it was cut off, or copied wrongly.
      return verdict === 'same' ? 'undecided' : verdict
    })
    if (verdicts.includes('same')) return 'same'
    return verdicts.includes('undecided') ? 'undecided' : 'different'
  }

  private atPoints(a: Expression, b: Expression, domain: Domain, logBase = Math.E): Verdict {
    const needed = hasVariables(a) || hasVariables(b) ? ENOUGH : 1
    const [valuesA, valuesB] = [this.at(a, domain, logBase), this.at(b, domain, logBase)]
    let agreed = 0
    for (const [index, valueA] of valuesA.entries()) {
      const valueB = valuesB[index]
      if (valueA === undefined || valueB === undefined) continue
      const distance = distanceOf(valueA, valueB)
      if (distance > DIFFERENT) return 'different'
      if (distance <= SAME) agreed += 1
    }
    return agreed >= needed ? 'same' : 'undecided'
  }

  private at(expression: Expression, domain: Domain, logBase = Math.E): (Complex | undefined)[] {
    const values = logBase === Math.E ? (this.values.get(domain) ?? new Map<Expression, (Complex | undefined)[]>()) : new Map()
    if (logBase === Math.E) this.values.set(domain, values)
    let found = values.get(expression)
    if (found === undefined) {
      const points = hasVariables(expression) ? POINTS : 1
      found = Array.from({ length: points }, (_, index) =>
        finite(evaluate(expression, pointArithmetic(domain, index, logBase), this.exact.of)),
      )
      if (points === 1) found = Array.from({ length: POINTS }, () => found![0])
      values.set(expression, found)
    }
    return found
  }
}

const degree = call('/', nameOf('pi'), numberOf(180n))

const field = primeField((name) => BigInt(hash(name)) * 0x1_0000_0001n + BigInt(hash(`${name}'`)))

function pointArithmetic(domain: Domain, index: number, logBase: number) {
  return complexNumbers((name) => {
    const share = hash(`${index} ${name}`) / 2 ** 32
    if (domain === 'whole') return 1 + Math.floor(share * 20)
    return domain === 'positive' || index % 2 === 0 ? 0.25 + 2.5 * share : -3 + 6 * share
  }, logBase)
}

/** FNV-1a with a final mixing: the same numbers for the same names, in every run. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

function domainOf(...expressions: Expression[]): Domain {
  const whole = new Set(['floor', 'ceil', '!', '!!', 'binom', 'gcd', 'lcm'])
  const rooted = new Set(['sqrt', 'root', 'ln', 'log', 'arcsin', 'arccos', 'arctan'])
  const has = (asked: (part: Expression) => boolean) => expressions.some((expression) => some(expression, asked))
  const isDiscrete = (part: Expression) => {
    if (part.kind !== 'call') return false
    return whole.has(part.name) || (part.name === '^' && isCall(part.of[0]!, 'negate') && hasVariables(part.of[1]!))
  }
  if (has(isDiscrete)) return 'whole'
  const isRooted = (part: Expression) => {
    if (part.kind !== 'call') return false
    return rooted.has(part.name) || (part.name === '^' && part.of[1]!.kind !== 'number')
  }
  return has(isRooted) ? 'positive' : 'real'
}

function isRounding(part: Expression): boolean {
  return isCall(part, 'floor') || isCall(part, 'ceil')
}

export function variablesIn(expression: Expression): Set<string> {
  if (expression.kind === 'name') return new Set(hasVariables(expression) ? [expression.name] : [])
  return new Set(partsOf(expression).flatMap((part) => [...variablesIn(part)]))
}

/** Whether there is a name in it that is no constant. */
export function hasVariables(expression: Expression): boolean {
  return some(expression, (part) => part.kind === 'name' && !['pi', 'e', 'i', '∞'].includes(part.name))
}

function finite(value: Complex | undefined): Complex | undefined {
  return value !== undefined && Number.isFinite(value.re) && Number.isFinite(value.im) ? value : undefined
}

/** Relative to the larger. What is computed for a 0 may be nothing but rounding. */
function distanceOf(a: Complex, b: Complex): number {
  const size = Math.max(Math.hypot(a.re, a.im), Math.hypot(b.re, b.im))
  const isNothing = (value: Complex) => value.re === 0 && value.im === 0
  if (size < 1e-13 && (isNothing(a) || isNothing(b))) return 0
  return Math.hypot(a.re - b.re, a.im - b.im) / size
}

/** Whole numbers are exact: 1.235 × 10⁴ is not 12345. */
function isWhole(written: Expression, { bottom }: Rational): boolean {
  return bottom === 1n && !hasDecimals(written)
}
