import type { Rational } from '../answer/rational.js'
import { type Expression, some } from './expression.js'

/** Whether a number in it is written with a decimal point or an exponent of ten, and so may be rounded. */
export function hasDecimals(expression: Expression): boolean {
  return some(expression, (part) => part.kind === 'number' && part.digits !== undefined)
}

export function isZero(value: Rational | undefined): boolean {
  return value?.top === 0n
}

/** Whether an expression has a value other than 0 by the way it is made, however small: e^{-100}. */
export function isNonzero(expression: Expression, exact?: Rational): boolean {
  if (exact !== undefined) return exact.top !== 0n
  if (expression.kind === 'number') return expression.value.top !== 0n
  if (expression.kind === 'name') return expression.name === 'pi' || expression.name === 'e'
  if (expression.kind !== 'call') return false
  const [first] = expression.of as [Expression]
  switch (expression.name) {
    case '*':
    case '/':
      return expression.of.every((part) => isNonzero(part))
    case '^':
    case 'negate':
    case 'sqrt':
    case 'root':
    case '%':
    case '°':
      return isNonzero(first)
    default:
      return false
  }
}

/** Whether an expression is a real number that is no fraction for certain: a root that does not come out, π or e, times and plus fractions. */
export function isIrrational(expression: Expression, exactly: (part: Expression) => Rational | undefined): boolean {
  if (expression.kind === 'name') return expression.name === 'pi' || expression.name === 'e'
  if (expression.kind !== 'call') return false
  const { name, of } = expression
  const values = of.map(exactly)
  switch (name) {
    case 'sqrt':
    case 'root':
      // A root that came out has an exact value itself.
      return (
        values.every((value) => value !== undefined && value.top > 0n) &&
        (values[1]?.bottom ?? 1n) === 1n &&
        (values[1]?.top ?? 2n) <= 64n
      )
    case 'negate':
      return isIrrational(of[0]!, exactly)
    case '+':
    case '*':
    case '/': {
      const others = of.filter((_, index) => values[index] === undefined)
      const isKept = values.every((value) => value === undefined || name === '+' || value.top !== 0n)
      return others.length === 1 && isKept && isIrrational(others[0]!, exactly)
    }
    default:
      return false
  }
}
