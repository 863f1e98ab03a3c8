import type { ValueComparison, Verdict } from './compare-values.js'
import { call, type Expression, isWithin, numberOf, partsOf, type RelationNode, spelled, substituted } from './expression.js'

/** Largest equation, in parts, that values are substituted into. */
const MOST_PARTS = 100

/** Two equations are the same where one is a multiple of the other, or where what one says a name is solves the other. */
export function compareEquations(a: RelationNode, b: RelationNode, values: ValueComparison): Verdict {
  if (a.sides.length === 2 && b.sides.length === 2) {
    if (values.ratio(difference(a), difference(b)) !== undefined) return 'same'
    if (solves(a, b, values) || solves(b, a, values)) return 'same'
  }
  return 'undecided'
}

/** Whether `solved` is `name = value`, and putting the value for the name makes the other equation, linear in it, true. */
function solves(solved: RelationNode, equation: RelationNode, values: ValueComparison): boolean {
  const [left, right] = solved.sides as [Expression, Expression]
  if (left.kind !== 'name' || has(right, left.name)) return false
  const rest = difference(equation)
  if (!has(rest, left.name) || !isWithin(rest, MOST_PARTS) || !isWithin(right, MOST_PARTS)) return false
  const at = (value: Expression) => substituted(rest, left.name, value)
  // f(0) − 2 f(1) + f(2) is 0 for a linear f.
  const bend = call('+', at(numberOf(0n)), call('*', numberOf(-2n), at(numberOf(1n))), at(numberOf(2n)))
  const zero = numberOf(0n)
  return values.compare(at(right), zero) === 'same' && values.compare(bend, zero) === 'same'
}

/** Inequalities are the same side by side, read from either end, or where one is a positive multiple of the other. */
export function compareInequalities(
  first: RelationNode,
  second: RelationNode,
  values: ValueComparison,
  compare: (a: Expression, b: Expression) => Verdict,
): Verdict {
  const [a, b] = [rising(first), rising(second)]
  if (a.operators.join() !== b.operators.join()) return 'undecided'
  const verdicts = a.sides.map((side, index) => compare(side, b.sides[index]!))
  if (verdicts.every((verdict) => verdict === 'same')) return 'same'
  if (a.operators.length !== 1) return 'undecided'
  const ratio = values.ratio(difference(a), difference(b))
  if (ratio === undefined || Math.abs(ratio.im) > 1e-9) return 'undecided'
  if (a.operators[0] === '≠' || a.operators[0] === '=') return 'same'
  return ratio.re > 0 ? 'same' : 'different'
}

/** An inequality with its smaller side to the left. */
function rising({ kind, operators, sides }: RelationNode): RelationNode {
  const falls = operators.every((operator) => operator === '>' || operator === '≥')
  if (!falls) return { kind, operators, sides }
  return { kind, operators: operators.map((operator) => (operator === '>' ? '<' : '≤')).reverse(), sides: [...sides].reverse() }
}

/** Cached with its equation, under which later comparisons look it up. */
const differences = new WeakMap<RelationNode, Expression>()

function difference(relation: RelationNode): Expression {
  let found = differences.get(relation)
  if (found === undefined) {
    found = call('+', relation.sides[0]!, call('negate', relation.sides[1]!))
    differences.set(relation, found)
  }
  return found
}

function has(expression: Expression, name: string): boolean {
  return expression.kind === 'name' ? spelled(expression) === name : partsOf(expression).some((part) => has(part, name))
}
