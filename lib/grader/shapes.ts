import {
  type CallNode,
  call,
  type Expression,
  isCall,
  type ListNode,
  listOf,
  nameOf,
  numberOf,
  partsOf,
  type RelationNode,
} from './expression.js'

/*
 * Shapes of answers that are lists, sets and ranges.
 */

export function withSeconds({ of }: CallNode): Expression[] {
  return of.length === 2 ? [...of, numberOf(0n)] : of
}

export function isOrdered({ open }: ListNode): boolean {
  return open === '(' || open === '['
}

export function isSet(expression: Expression): boolean {
  return isEmpty(expression) || (expression.kind === 'list' && expression.open === '{')
}

export function isEmpty(expression: Expression): boolean {
  return expression.kind === 'name' && expression.name === '∅'
}

export function asList(expression: Expression): ListNode {
  return expression.kind === 'list' ? expression : listOf([expression])
}

/** The sets of which one is the union, or with another name the intersection. */
export function setParts(expression: Expression, name: 'union' | 'intersection'): Expression[] {
  return isCall(expression, name) ? expression.of.flatMap((part) => setParts(part, name)) : [expression]
}

/** The names in an inequality or a membership; undefined in a set, which has none. */
export function subject(expression: Expression): string[] | undefined {
  if (expression.kind === 'relation') {
    const names = namesIn(expression.operators[0] === '∈' ? expression.sides[0]! : expression)
    return names.length > 0 ? names : undefined
  }
  return expression.kind === 'list' && expression.open === '' && expression.of[0] ? subject(expression.of[0]) : undefined
}

function namesIn(expression: Expression): string[] {
  return expression.kind === 'name' ? [expression.name] : partsOf(expression).flatMap(namesIn)
}

/** `a < x ≤ b` as (a, b], whatever a and b are. */
export function intervalOf({ operators, sides }: RelationNode): Expression | undefined {
  if (operators.length === 1 && operators[0] === '∈') return sides[1]
  const isRising = operators.every((operator) => operator === '<' || operator === '≤')
  const [first, second] = operators
  if (!isRising || first === undefined) return undefined
  const infinity = nameOf('∞')
  if (operators.length === 2) return listOf([sides[0]!, sides[2]!], first === '<' ? '(' : '[', second === '<' ? ')' : ']')
  if (operators.length > 2) return undefined
  if (sides[0]!.kind === 'name') return listOf([call('negate', infinity), sides[1]!], '(', first === '<' ? ')' : ']')
  return sides[1]!.kind === 'name' ? listOf([sides[0]!, infinity], first === '<' ? '(' : '[', ')') : undefined
}
