import type { ValueComparison, Verdict } from './compare-values.js'
import { call, type Expression, isCall, type RelationNode } from './expression.js'

/** Real numbers from `low` to `high`; a single one where they are equal. */
interface Interval {
  low: number
  high: number
  isLowIn: boolean
  isHighIn: boolean
  /** The ends as they were written, where they are: a decimal may be the other answer's end rounded. */
  lowAs?: Expression | undefined
  highAs?: Expression | undefined
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

/** Whether two sets have the same ends, by the rules for values, in and out alike. */
export function compareSets(a: RealSet, b: RealSet, values: ValueComparison): Verdict {
  if (a.length !== b.length) return 'different'
  const end = (one: number, oneAs: Expression | undefined, other: number, otherAs: Expression | undefined): Verdict => {
    if (oneAs !== undefined && otherAs !== undefined) return values.compare(oneAs, otherAs)
    return isNear(one, other) ? 'same' : 'different'
  }
  let isCertain = true
  for (const [index, one] of a.entries()) {
    const other = b[index]!
    const ends = [end(one.low, one.lowAs, other.low, other.lowAs), end(one.high, one.highAs, other.high, other.highAs)]
    const isOther = one.isLowIn !== other.isLowIn || one.isHighIn !== other.isHighIn
    if (isOther || ends.includes('different')) return 'different'
    isCertain &&= ends.every((verdict) => verdict === 'same')
  }
  return isCertain ? 'same' : 'undecided'
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

function half(operator: string, { at, as }: End, isSubjectLeft: boolean): RealSet {
  const isIn = operator === '≤' || operator === '≥'
  if (operator === '≠') return complement([point({ at, as })])
  const isBelow = (operator === '<' || operator === '≤') === isSubjectLeft
  return isBelow
    ? [{ low: -Infinity, high: at, isLowIn: false, isHighIn: isIn && at < Infinity, highAs: as }]
    : [{ low: at, high: Infinity, isLowIn: isIn && at > -Infinity, isHighIn: false, lowAs: as }]
}

function mirrored({ low, high, isLowIn, isHighIn, lowAs, highAs }: Interval): Interval {
  const negative = (as: Expression | undefined) => as && call('negate', as)
  return { low: -high, high: -low, isLowIn: isHighIn, isHighIn: isLowIn, lowAs: negative(highAs), highAs: negative(lowAs) }
}

function interval(of: Expression[], isLowIn: boolean, isHighIn: boolean, values: ValueComparison): RealSet | undefined {
  if (of.length !== 2) return undefined
  const [low, high] = [end(of[0]!, values), end(of[1]!, values)]
  if (low === undefined || high === undefined || low.at >= high.at) return undefined
  return [{ low: low.at, high: high.at, isLowIn, isHighIn, lowAs: low.as, highAs: high.as }]
}

function points(of: Expression[], values: ValueComparison): RealSet | undefined {
  const found = of.map((part) => end(part, values))
  if (!found.every((value) => value !== undefined && Number.isFinite(value.at))) return undefined
  return joined(found.map((value) => point(value!)))
}

function point({ at, as }: End): Interval {
  return { low: at, high: at, isLowIn: true, isHighIn: true, lowAs: as, highAs: as }
}

/** An end of an interval: its number, and how it is written where that is a value. */
interface End {
  at: number
  as: Expression | undefined
}

function end(expression: Expression, values: ValueComparison): End | undefined {
  const without = infinite(expression)
  if (without !== undefined) return { at: without, as: undefined }
  const value = values.real(expression)
  return value === undefined ? undefined : { at: value, as: expression }
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
    else if (next.high > last.high) [last.high, last.isHighIn, last.highAs] = [next.high, next.isHighIn, next.highAs]
    if (touches && isNear(next.low, last.low)) last.isLowIn ||= next.isLowIn
  }
  return set
}

function intersection(a: RealSet, b: RealSet): RealSet {
  const set: RealSet = []
  for (const one of a) {
    for (const other of b) {
      const [low, isLowIn, lowAs] = inner([one.low, one.isLowIn, one.lowAs], [other.low, other.isLowIn, other.lowAs], 1)
      const [high, isHighIn, highAs] = inner([one.high, one.isHighIn, one.highAs], [other.high, other.isHighIn, other.highAs], -1)
      if (isNear(low, high) ? isLowIn && isHighIn : low < high) set.push({ low, high, isLowIn, isHighIn, lowAs, highAs })
    }
  }
  return joined(set)
}

type Side = [at: number, isIn: boolean, as: Expression | undefined]

/** The end that leaves less. */
function inner(a: Side, b: Side, sign: 1 | -1): Side {
  if (isNear(a[0], b[0])) return [a[0], a[1] && b[1], a[2]]
  return sign * a[0] > sign * b[0] ? a : b
}

function complement(set: RealSet): RealSet {
  const gaps: RealSet = []
  let [low, isLowIn, lowAs]: Side = [-Infinity, false, undefined]
  for (const next of set) {
    const isHighIn = !next.isLowIn && next.low > -Infinity
    if (low < next.low) gaps.push({ low, high: next.low, isLowIn, isHighIn, lowAs, highAs: next.lowAs })
    ;[low, isLowIn, lowAs] = [next.high, !next.isHighIn, next.highAs]
  }
  if (low < Infinity) gaps.push({ low, high: Infinity, isLowIn, isHighIn: false, lowAs, highAs: undefined })
  return gaps
}

function isNear(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a === b
  return Math.abs(a - b) <= NEAR * Math.max(Math.abs(a), Math.abs(b))
}
