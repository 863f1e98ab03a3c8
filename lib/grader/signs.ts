import { innerOf } from './evaluate.js'
import type { Expression } from './syntax.js'

export function hasSigns(expression: Expression): boolean {
  return expression.kind === 'plus-minus' || innerOf(expression).some(hasSigns)
}

/** The two expressions that one with `\pm` stands for: all upper signs, and all lower ones. */
export function expandSigns(expression: Expression): Expression[] {
  return hasSigns(expression) ? [withSigns(expression, true), withSigns(expression, false)] : [expression]
}

function withSigns(expression: Expression, isUpper: boolean): Expression {
  const inner = (one: Expression) => withSigns(one, isUpper)
  switch (expression.kind) {
    case 'plus-minus': {
      const right = inner(expression.right)
      const term: Expression = isUpper === expression.isMinusPlus ? { kind: 'negative', of: right } : right
      return expression.left === undefined ? term : { kind: 'sum', terms: [inner(expression.left), term] }
    }
    case 'sum':
    case 'product':
      return { ...expression, terms: expression.terms.map(inner) }
    case 'quotient':
    case 'power':
      return { ...expression, left: inner(expression.left), right: inner(expression.right) }
    case 'negative':
    case 'percent':
      return { ...expression, of: inner(expression.of) }
    case 'call':
      return { ...expression, arguments: expression.arguments.map(inner) }
    default:
      return expression
  }
}
