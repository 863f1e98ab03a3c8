import * as complex from './complex.js'
import { valueAt, variablesOf } from './evaluate.js'
import { intervalOf } from './intervals.js'
import { isInfinite, pointsFor, sameValue } from './same-value.js'
import { expandSigns, hasSigns } from './signs.js'
import type { Answer, Expression, Relation } from './syntax.js'

type Chain = Answer & { kind: 'chain' }

/** Whether two answers are the same. Symmetric, but for the variable that a gold answer may leave out. */
export function sameAnswer(a: Answer, b: Answer): boolean {
  if (a.kind === 'text' || b.kind === 'text') return sameText(a, b)
  if (isExpression(a) && isExpression(b)) return sameExpression(a, b)
  if (a.kind === 'chain' || b.kind === 'chain') return sameChain(a, b)
  if (a.kind === 'matrix' || b.kind === 'matrix') return sameMatrix(a, b)
  if (isCombination(a) || isCombination(b)) return sameCombination(a, b)
  return sameCollection(a, b)
}

export function isExpression(answer: Answer): answer is Expression {
  return !['tuple', 'set', 'list', 'union', 'intersection', 'difference', 'matrix', 'chain', 'text'].includes(answer.kind)
}

function sameExpression(a: Expression, b: Expression): boolean {
  if (hasSigns(a) || hasSigns(b)) return sameUnordered(expandSigns(a), expandSigns(b))
  if (sameValue(a, b)) return true
  // A share may be written as such or in percent.
  if (a.kind === 'percent' && b.kind !== 'percent') return sameValue(a.of, b)
  if (b.kind === 'percent' && a.kind !== 'percent') return sameValue(a, b.of)
  return false
}

const plain = (text: string) => text.replace(/[\s\\{}$.,"'`]/g, '').toLowerCase()

/** Choice letters may stand in brackets. */
function sameText(a: Answer, b: Answer): boolean {
  const textOf = (answer: Answer) => (answer.kind === 'text' ? answer.text : answer.kind === 'symbol' ? answer.name : undefined)
  const [first, second] = [textOf(a), textOf(b)]
  if (first === undefined || second === undefined) return false
  const letter = (text: string) => /^\(?([a-z])\)?$/i.exec(text.trim())?.[1]?.toLowerCase()
  return plain(first) === plain(second) || (letter(first) !== undefined && letter(first) === letter(second))
}

function sameChain(a: Answer, b: Answer): boolean {
  if (a.kind === 'chain' && b.kind === 'chain') return sameRelations(a, b)
  const [chain, other] = a.kind === 'chain' ? [a, b] : [b as Chain, a]
  const assigned = assignedValue(chain)
  if (assigned !== undefined && sameAnswer(assigned, other)) return true
  const interval = intervalOf(chain)
  return interval !== undefined && sameAnswer(interval, other)
}

/** What is on the right of `x = …` or `x \in …`: what a name is said to be. */
function assignedValue({ items, relations }: Chain): Answer | undefined {
  const names = items.slice(0, -1)
  if (relations.every((relation) => relation === 'in') && relations.length === 1) return items[1]
  if (relations.includes('=') && relations.every((relation) => relation === '=' || relation === ':')) {
    const at = relations.indexOf('=')
    const rest = items.slice(at + 1)
    if (relations.slice(at + 1).every((relation) => relation === ':') && rest.length > 1)
      return { kind: 'chain', items: rest, relations: relations.slice(at + 1) }
    return isName(names[0]!) || items.length > 2 ? items.at(-1) : undefined
  }
  return undefined
}

/** A variable, a function's value, a point's coordinates, a length such as |AB|: no sum and no number. */
function isName(answer: Answer): boolean {
  if (answer.kind === 'tuple' || answer.kind === 'list') return answer.items.every(isName)
  if (!isExpression(answer)) return false
  if (answer.kind === 'symbol') return true
  if (answer.kind === 'product') return answer.terms.every((term) => isName(term))
  if (answer.kind === 'call') return answer.name === 'abs' && answer.arguments.every(isName)
  return false
}

const flipped: Partial<Record<Relation, Relation>> = { '<': '>', '>': '<', '<=': '>=', '>=': '<=', '=': '=', '!=': '!=' }

function sameRelations(a: Chain, b: Chain): boolean {
  const [first, second] = [intervalOf(a), intervalOf(b)]
  if (first !== undefined && second !== undefined) return sameAnswer(first, second)
  const isEquation = (chain: Chain) => chain.relations.every((relation) => relation === '=')
  if (isEquation(a) && isEquation(b)) return sameEquation(a, b)
  const assigned = [assignedValue(a), assignedValue(b)]
  if (assigned[0] !== undefined && assigned[1] !== undefined) return sameAnswer(assigned[0], assigned[1])
  if (assigned[0] !== undefined) return sameAnswer(assigned[0], b)
  if (assigned[1] !== undefined) return sameAnswer(a, assigned[1])
  const same = (one: Chain, other: Chain) =>
    String(one.relations) === String(other.relations) && one.items.every((item, index) => sameAnswer(item, other.items[index]!))
  if (a.items.length !== b.items.length) return false
  const turned: Chain = {
    ...b,
    items: b.items.toReversed(),
    relations: b.relations.toReversed().map((relation) => flipped[relation] ?? relation),
  }
  return same(a, b) || same(a, turned) || (a.items.length === 2 && sameRatioOfSides(a, b))
}

function sameEquation(a: Chain, b: Chain): boolean {
  const [first, second] = [a.items[0]!, b.items[0]!]
  const namesAgree = isName(first) && isName(second) && sameAnswer(first, second)
  const values = [assignedValue(a), assignedValue(b)]
  if (values[0] !== undefined && values[1] !== undefined && (namesAgree || a.items.length > 2 || b.items.length > 2)) {
    if (sameAnswer(values[0], values[1])) return true
  }
  return sameRatioOfSides(a, b)
}

/** `34x + 45y = 100` and `-34x - 45y + 100 = 0`: the differences of the sides are multiples of each other. */
function sameRatioOfSides(a: Chain, b: Chain): boolean {
  const sides = (chain: Chain): Expression | undefined => {
    const [left, right] = chain.items
    if (chain.items.length !== 2 || !isExpression(left!) || !isExpression(right!)) return undefined
    return { kind: 'sum', terms: [left, { kind: 'negative', of: right }] }
  }
  const [first, second] = [sides(a), sides(b)]
  if (first === undefined || second === undefined) return false
  const variables = [...new Set([...variablesOf(first), ...variablesOf(second)])]
  if (variables.length === 0) return sameValue(first, second)
  let ratio: complex.Complex | undefined
  for (const point of pointsFor(variables)) {
    const [x, y] = [valueAt(first, point), valueAt(second, point)]
    if (!complex.isFiniteNumber(x) || !complex.isFiniteNumber(y)) continue
    const next = complex.over(x, y)
    if (!complex.isFiniteNumber(next) || complex.absolute(next) < 1e-12) return false
    if (ratio !== undefined && complex.absolute(complex.minus(next, ratio)) > 1e-8 * complex.absolute(ratio)) return false
    ratio ??= next
  }
  if (ratio === undefined || Math.abs(ratio.im) > 1e-8 * Math.abs(ratio.re)) return false
  const isEquation = a.relations[0] === '=' || a.relations[0] === '!='
  const relation = ratio.re > 0 || isEquation ? b.relations[0] : flipped[b.relations[0]!]
  return a.relations[0] === relation
}

function sameMatrix(a: Answer, b: Answer): boolean {
  const rowsOf = (answer: Answer): Answer[][] | undefined => {
    if (answer.kind === 'matrix') return answer.rows
    // A column may be written as a point.
    return answer.kind === 'tuple' ? answer.items.map((item) => [item]) : undefined
  }
  const [first, second] = [rowsOf(a), rowsOf(b)]
  if (first === undefined || second === undefined) return false
  const sameRow = (one: Answer[], other: Answer[]) =>
    one.length === other.length && one.every((item, index) => sameAnswer(item, other[index]!))
  return first.length === second.length && first.every((row, index) => sameRow(row, second[index]!))
}

function isCombination(answer: Answer): answer is Answer & { parts: Answer[] } {
  return answer.kind === 'union' || answer.kind === 'intersection' || answer.kind === 'difference'
}

function sameCombination(a: Answer, b: Answer): boolean {
  if (!isCombination(a) || !isCombination(b) || a.kind !== b.kind) return false
  return a.kind === 'difference' ? sameOrdered(a.parts, b.parts) : sameUnordered(a.parts, b.parts)
}

type Collection = Answer & { items: Answer[] }

function sameCollection(a: Answer, b: Answer): boolean {
  const itemsOf = (answer: Answer): Answer[] => ('items' in answer ? answer.items : [answer])
  const [first, second] = [itemsOf(a), itemsOf(b)]
  if (a.kind === 'tuple' && b.kind === 'tuple') {
    return brackets(a) === brackets(b) && sameOrdered(first, second)
  }
  // A point may be written without its brackets; an interval may not.
  const tuple = a.kind === 'tuple' ? a : b.kind === 'tuple' ? b : undefined
  if (tuple !== undefined && (brackets(tuple) !== '()' || tuple.items.some((item) => isExpression(item) && isInfinite(item))))
    return false
  if (tuple !== undefined)
    return (a as Collection).kind !== 'set' && (b as Collection).kind !== 'set' && sameOrdered(first, second)
  const expanded = (items: Answer[]) =>
    items.flatMap((item) => (isExpression(item) && hasSigns(item) ? expandSigns(item) : [item]))
  return sameUnordered(withoutRepeats(expanded(first)), withoutRepeats(expanded(second)))
}

const brackets = (tuple: Answer & { kind: 'tuple' }) => tuple.open + tuple.close

function sameOrdered(a: readonly Answer[], b: readonly Answer[]): boolean {
  return a.length === b.length && a.every((item, index) => sameAnswer(item, b[index]!))
}

/** More than these are compared in their order. */
const MOST_UNORDERED = 60

/** What is said twice is said once. */
function withoutRepeats(items: Answer[]): Answer[] {
  if (items.length > MOST_UNORDERED) return items
  return items.filter((item, index) => !items.slice(0, index).some((earlier) => sameAnswer(earlier, item)))
}

function sameUnordered(a: readonly Answer[], b: readonly Answer[]): boolean {
  if (a.length !== b.length) return false
  if (a.length > MOST_UNORDERED) return sameOrdered(a, b)
  const left = [...b]
  return a.every((item) => {
    const at = left.findIndex((other) => sameAnswer(item, other))
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
}
