import type { ValueComparison } from './compare-values.js'
import { type Expression, isCall, type RelationNode } from './expression.js'

/** Real numbers from `low` to `high`; a single one where they are equal. */
interface Interval {
  low: number
  high: number
  isLowIn: boolean
  isHighIn: boolean
}

/** Disjoint intervals from left to right. */
export type RealSet = Interval[]

const all: RealSet = [{ low: -Infinity, high: Infinity, isLowIn: false, isHighIn: false }]

/** Ends that differ by less, relative to their size, are one. */
const NEAR = 1e-9

const inequalities = new Set(['<', '>', '≤', '≥', '≠'])

/** Whether an answer is a set of numbers for certain: (1, 2) alone may be a point. */
export function isSetOfNumbers(expression: Expression): boolean {
  if (expression.kind === 'name') return expression.name === '∅' || expression.name === 'set R'
  if (expression.kind === 'relation')
    return expression.operators.some((operator) => inequalities.has(operator) || operator === '∈')
  if (expression.kind === 'list' && expression.open === '') return expression.of.every(isSetOfNumbers)
  if (expression.kind === 'list') {
    return (expression.open === '(') !== (expression.close === ')') || expression.of.some((end) => infinite(end) !== undefined)
  }
  return ['union', 'intersection', 'difference'].some((name) => isCall(expression, name))
}

/** The real numbers that an interval, a union, an inequality in one name, or a list of inequalities has; undefined for others. */
export function realSet(expression: Expression, values: ValueComparison): RealSet | undefined {
  const sets = (of: Expression[]) => {
    const found = of.map((part) => realSet(part, values))
    return found.every((set) => set !== undefined) ? found : undefined
  }
  switch (expression.kind) {
    case 'name':
      return expression.name === '∅' ? [] : expression.name === 'set R' ? all : undefined
    case 'relation':
      return relationSet(expression, values)
    case 'call': {
      const parts = ['union', 'intersection', 'difference'].includes(expression.name) ? sets(expression.of) : undefined
      if (parts === undefined) return undefined
      if (expression.name === 'union') return joined(parts.flat())
      const right = expression.name === 'difference' ? complement(parts[1]!) : parts[1]!
      return intersection(parts[0]!, right)
    }
    case 'list': {
      if (expression.open === '{') return points(expression.of, values)
      if (expression.open !== '') return interval(expression.of, expression.open === '[', expression.close === ']', values)
      const parts = expression.of.every((part) => part.kind === 'relation') ? sets(expression.of) : undefined
      if (parts === undefined) return undefined
      const both = expression.separator === 'or' ? [] : parts.reduce(intersection)
      return both.length > 0 ? both : joined(parts.flat())
    }
    default:
      return undefined
  }
}

export function areSameSets(a: RealSet, b: RealSet): boolean {
  const isSame = (one: Interval, other: Interval | undefined) =>
    other !== undefined &&
    isNear(one.low, other.low) &&
    isNear(one.high, other.high) &&
    one.isLowIn === other.isLowIn &&
    one.isHighIn === other.isHighIn
  return a.length === b.length && a.every((one, index) => isSame(one, b[index]))
}

/** The name that an inequality is about: `x` of `1 < x ≤ 2` and of `x ∈ [0, 1]`. */
export function subjectOf(relation: RelationNode, values: ValueComparison): Expression | undefined {
  const { operators, sides } = relation
  if (operators[0] === '∈') return sides[0]
  const others = sides.filter((side) => infinite(side) === undefined && values.real(side) === undefined)
  return others.length === 1 ? others[0] : undefined
}

function relationSet(relation: RelationNode, values: ValueComparison): RealSet | undefined {
  const { operators, sides } = relation
  if (operators.length === 1 && operators[0] === '∈') return realSet(sides[1]!, values)
  if (!operators.every((operator) => inequalities.has(operator))) return undefined
  const subject = subjectOf(relation, values)
  if (subject === undefined) return undefined
  const isAbsolute = isCall(subject, 'abs') && subject.of[0]!.kind === 'name'
  if (!isAbsolute && subject.kind !== 'name' && !isCall(subject, 'apply')) return undefined
  let set: RealSet = isAbsolute ? [{ low: 0, high: Infinity, isLowIn: true, isHighIn: false }] : all
  for (const [index, operator] of operators.entries()) {
    const [left, right] = [sides[index]!, sides[index + 1]!]
    if (left !== subject && right !== subject) return undefined
    const bound = end(left === subject ? right : left, values)
    if (bound === undefined) return undefined
    set = intersection(set, half(operator, bound, left === subject))
  }
  return isAbsolute ? joined([...set, ...set.map(mirrored)]) : set
}

function half(operator: string, bound: number, isSubjectLeft: boolean): RealSet {
  const isIn = operator === '≤' || operator === '≥'
  if (operator === '≠') return complement([{ low: bound, high: bound, isLowIn: true, isHighIn: true }])
  const isBelow = (operator === '<' || operator === '≤') === isSubjectLeft
  return isBelow
    ? [{ low: -Infinity, high: bound, isLowIn: false, isHighIn: isIn && bound < Infinity }]
    : [{ low: bound, high: Infinity, isLowIn: isIn && bound > -Infinity, isHighIn: false }]
}

function mirrored({ low, high, isLowIn, isHighIn }: Interval): Interval {
  return { low: -high, high: -low, isLowIn: isHighIn, isHighIn: isLowIn }
}

function interval(of: Expression[], isLowIn: boolean, isHighIn: boolean, values: ValueComparison): RealSet | undefined {
  if (of.length !== 2) return undefined
  const [low, high] = [end(of[0]!, values), end(of[1]!, values)]
  return low === undefined || high === undefined || low >= high ? undefined : [{ low, high, isLowIn, isHighIn }]
}

function points(of: Expression[], values: ValueComparison): RealSet | undefined {
  const found = of.map((part) => values.real(part))
  if (!found.every((value) => value !== undefined)) return undefined
  return joined(found.map((value) => ({ low: value, high: value, isLowIn: true, isHighIn: true })))
}

function end(expression: Expression, values: ValueComparison): number | undefined {
  return infinite(expression) ?? values.real(expression)
}

function infinite(expression: Expression): number | undefined {
  if (expression.kind === 'name') return expression.name === '∞' ? Infinity : undefined
  const inside = isCall(expression, 'negate') ? infinite(expression.of[0]!) : undefined
  return inside === undefined ? undefined : -inside
}

function joined(intervals: Interval[]): RealSet {
  const sorted = [...intervals].sort((a, b) => a.low - b.low || Number(b.isLowIn) - Number(a.isLowIn))
  const set: RealSet = []
  for (const next of sorted) {
    const last = set.at(-1)
    const touches =
      last !== undefined && (next.low < last.high || (isNear(next.low, last.high) && (last.isHighIn || next.isLowIn)))
    if (!touches) set.push({ ...next })
    else if (isNear(next.high, last.high)) last.isHighIn ||= next.isHighIn
    else if (next.high > last.high) [last.high, last.isHighIn] = [next.high, next.isHighIn]
    if (touches && isNear(next.low, last.low)) last.isLowIn ||= next.isLowIn
  }
  return set
}

function intersection(a: RealSet, b: RealSet): RealSet {
  const set: RealSet = []
  for (const one of a) {
    for (const other of b) {
      const [low, isLowIn] = inner(one.low, one.isLowIn, other.low, other.isLowIn, 1)
      const [high, isHighIn] = inner(one.high, one.isHighIn, other.high, other.isHighIn, -1)
      if (isNear(low, high) ? isLowIn && isHighIn : low < high) set.push({ low, high, isLowIn, isHighIn })
    }
  }
  return joined(set)
}

/** The end that leaves less. */
function inner(a: number, isAIn: boolean, b: number, isBIn: boolean, sign: 1 | -1): [number, boolean] {
  if (isNear(a, b)) return [a, isAIn && isBIn]
  return sign * a > sign * b ? [a, isAIn] : [b, isBIn]
}

function complement(set: RealSet): RealSet {
  const gaps: RealSet = []
  let [low, isLowIn] = [-Infinity, false]
  for (const next of set) {
    if (low < next.low) gaps.push({ low, high: next.low, isLowIn, isHighIn: !next.isLowIn && next.low > -Infinity })
    ;[low, isLowIn] = [next.high, !next.isHighIn]
  }
  if (low < Infinity) gaps.push({ low, high: Infinity, isLowIn, isHighIn: false })
  return gaps
}

function isNear(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a === b
  return Math.abs(a - b) <= NEAR * Math.max(Math.abs(a), Math.abs(b))
}
