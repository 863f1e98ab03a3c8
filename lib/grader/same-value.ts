import { Random } from '../data/random.js'
import * as complex from './complex.js'
import { exactValue, innerOf, type Point, valueAt, variablesOf } from './evaluate.js'
import { isEqual, toNumber } from './fraction.js'
import type { Expression } from './syntax.js'

/** How far two exact values may be apart in double precision, relatively. */
const ROUNDING = 1e-9
/** How far a rounded decimal may be from what it stands for, relatively, as graders of these benchmarks have it. */
const DECIMAL = 1e-4
const POINTS = 6

/** Whether two expressions have the same value: exactly where both are rational, else at random points in double precision. */
export function sameValue(a: Expression, b: Expression): boolean {
  const [exactA, exactB] = [exactValue(a), exactValue(b)]
  const isDecimal = hasDecimal(a) || hasDecimal(b)
  if (exactA && exactB) {
    if (isEqual(exactA, exactB)) return true
    return isDecimal && areClose(toNumber(exactA), toNumber(exactB), DECIMAL)
  }
  if (isInfinite(a) || isInfinite(b)) return isInfinite(a) && isInfinite(b) && signOf(a) === signOf(b)
  const variables = [...new Set([...variablesOf(a), ...variablesOf(b)])]
  if (variables.length === 0) return agreeAt(a, b, new Map(), isDecimal) === true
  let agreed = 0
  for (const point of pointsFor(variables)) {
    const agrees = agreeAt(a, b, point, isDecimal)
    if (agrees === false) return false
    if (agrees) agreed += 1
  }
  return agreed >= 2
}

/** Seeded points, some of positive numbers alone, where roots and logarithms are defined. */
export function pointsFor(variables: readonly string[]): Point[] {
  const random = new Random(20_25, variables.length)
  return Array.from({ length: POINTS }, (_, index) => {
    const values = variables.map((name): [string, number] => {
      const value = 0.3 + (random.uint32() / 2 ** 32) * 3
      return [name, index % 3 === 2 ? -value : value]
    })
    return new Map(values)
  })
}

/** Undefined where either has no value. */
function agreeAt(a: Expression, b: Expression, point: Point, isDecimal: boolean): boolean | undefined {
  const [first, second] = [valueAt(a, point), valueAt(b, point)]
  if (!complex.isFiniteNumber(first) || !complex.isFiniteNumber(second)) return undefined
  const size = Math.max(complex.absolute(first), complex.absolute(second))
  const tolerance = isDecimal ? DECIMAL : ROUNDING
  return complex.absolute(complex.minus(first, second)) <= tolerance * Math.max(size, isDecimal ? 0 : 1e-3)
}

function areClose(a: number, b: number, tolerance: number): boolean {
  return Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))
}

function hasDecimal(expression: Expression): boolean {
  return (expression.kind === 'number' && expression.isDecimal) || innerOf(expression).some(hasDecimal)
}

export function isInfinite(expression: Expression): boolean {
  return expression.kind === 'infinity' || (expression.kind === 'negative' && isInfinite(expression.of))
}

function signOf(expression: Expression): number {
  return expression.kind === 'negative' ? -signOf(expression.of) : 1
}
