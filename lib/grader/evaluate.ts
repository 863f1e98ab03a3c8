import type { Complex } from './complex.js'
import * as complex from './complex.js'
import type { Fraction } from './fraction.js'
import * as exact from './fraction.js'
import type { Expression } from './syntax.js'

/** The exact value of an expression of rational numbers; undefined where it has none, or is too large. */
export function exactValue(expression: Expression): Fraction | undefined {
  try {
    return rational(expression)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function rational(expression: Expression): Fraction | undefined {
  const both = (left: Expression, right: Expression, combine: (a: Fraction, b: Fraction) => Fraction) => {
    const a = rational(left)
    const b = a && rational(right)
    return a && b && combine(a, b)
  }
  switch (expression.kind) {
    case 'number':
      return expression.value
    case 'sum':
      return both(expression.terms[0]!, expression.terms[1]!, exact.add)
    case 'product':
      return expression.terms.length === 2 ? both(expression.terms[0]!, expression.terms[1]!, exact.multiply) : undefined
    case 'quotient':
      return both(expression.left, expression.right, exact.divide)
    case 'negative': {
      const value = rational(expression.of)
      return value && exact.multiply(exact.fraction(-1n), value)
    }
    case 'percent': {
      const value = rational(expression.of)
      return value && exact.divide(value, exact.fraction(100n))
    }
    case 'power': {
      const exponent = rational(expression.right)
      if (exponent === undefined || exponent.bottom !== 1n) return undefined
      const base = rational(expression.left)
      return base && exact.power(base, exponent.top)
    }
    case 'call':
      return expression.name === 'factorial' || expression.name === 'binom' ? countOf(expression) : undefined
    default:
      return undefined
  }
}

const MOST_FACTORIAL = 300n

function countOf({ name, arguments: [first, second] }: Expression & { kind: 'call' }): Fraction | undefined {
  const n = rational(first!)
  if (n === undefined || n.bottom !== 1n || n.top < 0n || n.top > MOST_FACTORIAL) return undefined
  const product = (from: bigint, to: bigint) => {
    let result = 1n
    for (let factor = from; factor <= to; factor++) result *= factor
    return result
  }
  if (name === 'factorial') return exact.fraction(product(1n, n.top))
  const k = rational(second!)
  if (k === undefined || k.bottom !== 1n || k.top < 0n || k.top > n.top) return undefined
  return exact.fraction(product(n.top - k.top + 1n, n.top), product(1n, k.top))
}

/** Values of the variables. */
export type Point = ReadonlyMap<string, number>

const constants: Readonly<Record<string, Complex>> = {
  pi: complex.real(Math.PI),
  e: complex.real(Math.E),
  i: { re: 0, im: 1 },
}

/** The value at a point, in double precision; NaN where there is none. */
export function valueAt(expression: Expression, point: Point): Complex {
  const at = (inner: Expression) => valueAt(inner, point)
  switch (expression.kind) {
    case 'number':
      return complex.real(exact.toNumber(expression.value))
    case 'infinity':
      return complex.real(Number.POSITIVE_INFINITY)
    case 'symbol': {
      const value = point.get(expression.name)
      return value === undefined ? (constants[expression.name] ?? complex.real(Number.NaN)) : complex.real(value)
    }
    case 'sum':
      return expression.terms.map(at).reduce(complex.plus)
    case 'product':
      return expression.terms.map(at).reduce(complex.times)
    case 'quotient':
      return complex.over(at(expression.left), at(expression.right))
    case 'power':
      return complex.raise(at(expression.left), at(expression.right))
    case 'negative':
      return complex.times(complex.real(-1), at(expression.of))
    case 'percent':
      return complex.times(complex.real(0.01), at(expression.of))
    case 'call':
      return callValue(expression.name, expression.arguments.map(at))
    case 'plus-minus':
      return complex.real(Number.NaN)
  }
}

const realFunctions: Readonly<Record<string, (x: number) => number>> = {
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  cot: (x) => 1 / Math.tan(x),
  sec: (x) => 1 / Math.cos(x),
  csc: (x) => 1 / Math.sin(x),
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  floor: Math.floor,
  ceil: Math.ceil,
  factorial: (x) =>
    Number.isInteger(x) && x >= 0 && x <= 170
      ? Array.from({ length: x }, (_, i) => i + 1).reduce((a, b) => a * b, 1)
      : Number.NaN,
}

function callValue(name: string, [first = complex.real(Number.NaN), second]: Complex[]): Complex {
  if (name === 'abs') return complex.real(complex.absolute(first))
  if (name === 'root') return complex.root(first, second!.im === 0 ? second!.re : Number.NaN)
  if (name === 'sqrt') return complex.root(first, 2)
  if (name === 'exp') return complex.exponential(first)
  if (name === 'ln') return complex.logarithm(first)
  if (name === 'log10') return complex.over(complex.logarithm(first), complex.real(Math.LN10))
  if (name === 'log')
    return complex.over(complex.logarithm(first), second === undefined ? complex.real(Math.LN10) : complex.logarithm(second))
  const real = Object.hasOwn(realFunctions, name) ? realFunctions[name] : undefined
  return real !== undefined && first.im === 0 ? complex.real(real(first.re)) : complex.real(Number.NaN)
}

/** The variables of an expression, constants left out. */
export function variablesOf(expression: Expression, found = new Set<string>()): Set<string> {
  if (expression.kind === 'symbol' && !Object.hasOwn(constants, expression.name)) found.add(expression.name)
  for (const inner of innerOf(expression)) variablesOf(inner, found)
  return found
}

export function innerOf(expression: Expression): Expression[] {
  switch (expression.kind) {
    case 'sum':
    case 'product':
      return expression.terms
    case 'quotient':
    case 'power':
      return [expression.left, expression.right]
    case 'plus-minus':
      return expression.left === undefined ? [expression.right] : [expression.left, expression.right]
    case 'negative':
    case 'percent':
      return [expression.of]
    case 'call':
      return expression.arguments
    default:
      return []
  }
}
