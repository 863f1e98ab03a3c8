import { call, type Expression, isCall } from './expression.js'

/** Precedence of binary operators. */
export const infix: Readonly<Record<string, { power: number; name: string }>> = {
  '∪': { power: 1, name: 'union' },
  '∩': { power: 2, name: 'intersection' },
  '∖': { power: 2, name: 'difference' },
  ':': { power: 3, name: ':' },
  '+': { power: 4, name: '+' },
  '-': { power: 4, name: '-' },
  '±': { power: 4, name: '±' },
  '∓': { power: 4, name: '∓' },
  '*': { power: 5, name: '*' },
  '/': { power: 5, name: '/' },
}
export const PRODUCT = 5

/** Sums and products are one call each, however many parts they have. */
export function joined(name: string, left: Expression, right: Expression): Expression {
  if (name === '-') return joined('+', left, call('negate', right))
  // t(0, 4] lost the sign of membership; a product with an interval is nothing.
  const isInterval = right.kind === 'list' && right.open !== '{' && (right.open === '(') !== (right.close === ')')
  if (name === '*' && isInterval && left.kind === 'name') return { kind: 'relation', operators: ['∈'], sides: [left, right] }
  const isOne = (name === '+' || name === '*' || name === ':' || name === 'union') && isCall(left, name)
  return isOne ? call(name, ...left.of, right) : call(name, left, right)
}

/** −28% is −28 percent: the sign outermost says what kind of value it is. */
export function negated(value: Expression): Expression {
  return isCall(value, '%') || isCall(value, '°') ? call(value.name, call('negate', value.of[0]!)) : call('negate', value)
}
