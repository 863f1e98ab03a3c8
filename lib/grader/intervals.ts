import { variablesOf } from './evaluate.js'
import type { Answer, Expression, Relation } from './syntax.js'

const infinity: Expression = { kind: 'infinity' }
const minusInfinity: Expression = { kind: 'negative', of: infinity }

const isAbove = (relation: Relation) => relation === '<' || relation === '<='
const isBelow = (relation: Relation) => relation === '>' || relation === '>='

function interval(low: Expression, high: Expression, includes: { low: boolean; high: boolean }): Answer {
  return { kind: 'tuple', open: includes.low ? '[' : '(', close: includes.high ? ']' : ')', items: [low, high] }
}

/** The interval that `a < x ≤ b` and `x > a` stand for; undefined for other relations. */
export function intervalOf({ items, relations }: Answer & { kind: 'chain' }): Answer | undefined {
  const sides = items as Expression[]
  if (
    !(relations.every(isAbove) || relations.every(isBelow)) ||
    items.some((item) => 'items' in item || 'parts' in item || item.kind === 'matrix')
  )
    return undefined
  if (items.length === 3) {
    const [low, middle, high] = relations.every(isAbove) ? sides : sides.toReversed()
    const [first, second] = relations.every(isAbove) ? relations : relations.toReversed()
    if (variablesOf(low!).size > 0 || variablesOf(high!).size > 0 || variablesOf(middle!).size === 0) return undefined
    return interval(low!, high!, { low: first!.length === 2, high: second!.length === 2 })
  }
  if (items.length !== 2) return undefined
  const [left, right] = sides
  const isOnLeft = left!.kind === 'symbol' && variablesOf(right!).size === 0
  const isOnRight = right!.kind === 'symbol' && variablesOf(left!).size === 0
  if (isOnLeft === isOnRight) return undefined
  const [relation] = relations
  const includes = relation!.length === 2
  const bound = isOnLeft ? right! : left!
  const isUpper = isOnLeft === isAbove(relation!)
  return isUpper
    ? interval(minusInfinity, bound, { low: false, high: includes })
    : interval(bound, infinity, { low: includes, high: false })
}
