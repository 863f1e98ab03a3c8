import type { Rational } from '../answer/rational.js'
import type { Expression } from './expression.js'

/** Numbers of one kind, and what can be done with them; undefined for what cannot. */
export interface Arithmetic<T> {
  number(value: Rational): T | undefined
  name(name: string): T | undefined
  power(base: T, exponent: Rational): T | undefined
  /** The power to an exponent that is no rational number. */
  powerOf(base: T, exponent: T): T | undefined
  /** An operator or function other than the power. */
  call(name: string, of: T[]): T | undefined
}

/**
 * The value of an expression; undefined where it has none, or none in this arithmetic. `exactly` gives parts that are rational
 * numbers as such: exponents have to be exact, and doubles should be rounded once.
 */
export function evaluate<T>(
  expression: Expression,
  arithmetic: Arithmetic<T>,
  exactly: (part: Expression) => Rational | undefined,
): T | undefined {
  const exact = exactly(expression)
  if (exact !== undefined) return arithmetic.number(exact)
  if (expression.kind === 'name') return expression.isText ? undefined : arithmetic.name(expression.name)
  if (expression.kind !== 'call') return undefined
  const { name, of } = expression
  if (name === '^') {
    const base = evaluate(of[0]!, arithmetic, exactly)
    if (base === undefined) return undefined
    const exact = exactly(of[1]!)
    if (exact !== undefined) return arithmetic.power(base, exact)
    const exponent = evaluate(of[1]!, arithmetic, exactly)
    return exponent === undefined ? undefined : arithmetic.powerOf(base, exponent)
  }
  const values: T[] = []
  // An unknown function is a name that its values are drawn from.
  const first = name === 'apply' ? 1 : 0
  for (const part of of.slice(first)) {
    const value = evaluate(part, arithmetic, exactly)
    if (value === undefined) return undefined
    values.push(value)
  }
  return arithmetic.call(first === 1 ? `apply ${nameIn(of[0]!)}` : name, values)
}

function nameIn(expression: Expression): string {
  return expression.kind === 'name' ? expression.name : ''
}
