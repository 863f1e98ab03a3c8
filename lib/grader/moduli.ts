import { type CallNode, call, type Expression, isCall } from './expression.js'

/** Answers of which the last alone has a modulus, each with it: `x \equiv 1, 2 \pmod 5`. */
export function withSharedModulus(of: Expression[]): Expression[] {
  const modulus = modulusOf(of.at(-1)!)
  if (modulus === undefined || of.slice(0, -1).some((part) => modulusOf(part) !== undefined)) return of
  return of.map((part, place) => (place === of.length - 1 ? part : withModulus(part, modulus)))
}

function modulusOf(expression: Expression): Expression | undefined {
  const value = expression.kind === 'relation' ? expression.sides.at(-1)! : expression
  return isCall(value, 'pmod') ? value.of[1] : undefined
}

function withModulus(expression: Expression, modulus: Expression): Expression {
  const residue = (value: Expression): CallNode => call('pmod', value, modulus)
  if (expression.kind !== 'relation') return residue(expression)
  return { ...expression, sides: [...expression.sides.slice(0, -1), residue(expression.sides.at(-1)!)] }
}
