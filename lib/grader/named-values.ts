import { hasVariables } from './compare-values.js'
import {
  type CallNode,
  call,
  type Expression,
  isCall,
  listOf,
  nameOf,
  partsOf,
  type RelationNode,
  some,
  spelled,
  substituted,
  withParts,
} from './expression.js'

/** A named value, such as `x = 5`: the name and the value. */
export interface NamedValue {
  name: Expression
  value: Expression
}

/**
 * An equation whose left side only says what the answer is: `x = 5`, `f(x) = 2x`, `|AB| = 1`, `(p, q) = (3, 2)`. Its value is the
 * last side that is exact. Undefined for `2x + z = 1`, which is the answer itself.
 */
export function namedValue(expression: Expression): NamedValue | undefined {
  if (expression.kind !== 'relation') return undefined
  const { operators, sides } = expression
  if (!operators.every((operator) => operator === '=' || operator === '≈')) return undefined
  // 2¹⁰ = 1024 says what 1024 says.
  if (!isNaming(sides[0]!) && sides.some(hasVariables)) return undefined
  // x = x² − 2 is to be solved.
  const isEquation = sides[0]!.kind === 'name' && sides.slice(1).some((side) => some(side, (part) => isOneName(part, sides[0]!)))
  if (isEquation) return undefined
  const rounded = operators.indexOf('≈')
  // What is exact stands before ≈, unless it only names the answer.
  const exact = rounded < 0 ? sides.length - 1 : rounded === 0 && isNaming(sides[0]!) ? 1 : rounded
  const value = sides[exact]!
  // a : b = 20:30 is no time.
  const isRatio = isCall(sides[0]!, ':') && isCall(value, 'time')
  return { name: sides[0]!, value: isRatio ? call(':', ...value.of) : value }
}

function isOneName(part: Expression, name: Expression): boolean {
  return part.kind === 'name' && name.kind === 'name' && part.name === name.name
}

function isNaming(side: Expression): boolean {
  if (side.kind === 'name') return !['pi', 'e', '∞'].includes(side.name)
  if (side.kind === 'list') return side.open === '(' && side.close === ')' && side.of.every((part) => part.kind === 'name')
  if (side.kind !== 'call') return false
  switch (side.name) {
    case 'apply':
      return true
    case '*':
      if (isInverse(side)) return true
      // AB is a length, xy is a product.
      return side.of.every((part) => part.kind === 'name' && /^[A-Z](?:_\S+)?'*$/.test(part.name))
    case 'abs':
    case ':':
    case '/':
      return side.of.every((part) => isNaming(part) || isDifferential(part))
    default:
      return false
  }
}

/** f⁻¹(x). */
function isInverse({ of }: CallNode): boolean {
  const [power, argument] = of
  return (
    of.length === 2 &&
    argument!.kind === 'name' &&
    isCall(power!, '^') &&
    power.of[0]!.kind === 'name' &&
    spelled(power.of[1]!) === 'negate(1/1)'
  )
}

/** dx of dy/dx. */
function isDifferential(expression: Expression): boolean {
  return isCall(expression, '*') && expression.of.every((part) => part.kind === 'name') && spelled(expression.of[0]!) === 'd'
}

/** The parts of `(x, y) = (1, 2)`, each with its name; the equation alone where it has no such parts. */
export function separateNames(expression: Expression): Expression[] {
  const named = namedValue(expression)
  if (named?.name.kind !== 'list' || named.value.kind !== 'list' || named.name.of.length !== named.value.of.length)
    return [expression]
  const { of: values } = named.value
  return named.name.of.map((name, index) => ({ kind: 'relation', operators: ['='], sides: [name, values[index]!] }))
}

/** The values of a list in which every answer is named, or only the first is: `x = 1, 2`. Undefined where others are. */
export function valuesOfNamed(of: Expression[]): Expression[] | undefined {
  const named = of.map(namedValue)
  if (named.every((value) => value !== undefined)) return named.map(({ value }) => value)
  const isFirstAlone = named[0] !== undefined && of.slice(1).every((part) => part.kind !== 'relation')
  return isFirstAlone ? [named[0]!.value, ...of.slice(1)] : undefined
}

/** Whether names of values are in the order of the alphabet, where they are letters: that of a point's coordinates. */
export function areNamesInOrder(of: Expression[]): boolean {
  const names = of.map((part) => namedValue(part)?.name)
  const letters = names.map((name) => (name?.kind === 'name' && /^[a-zA-Z](?:_\d)?$/.test(name.name) ? name.name : undefined))
  return letters.includes(undefined) || letters.every((name, place) => place === 0 || letters[place - 1]! <= name!)
}

/** `x_1 = 1, x_2 = 2` as values of x, where the other answer has them by that name. */
export function withoutNumbers(of: Expression[], other: Expression[]): Expression[] {
  const nameIn = (part: Expression) => {
    const name = namedValue(part)?.name
    return name?.kind === 'name' ? name.name : undefined
  }
  const names = of.map(nameIn)
  const base = /^(\S+)_\d+$/.exec(names[0] ?? '')?.[1]
  const isNumbered =
    base !== undefined && names.every((name) => name?.startsWith(`${base}_`)) && new Set(names).size === of.length
  if (!isNumbered || !other.some((part) => nameIn(part) === base)) return of
  return of.map((part) => ({ ...(part as RelationNode), sides: [nameOf(base), ...(part as RelationNode).sides.slice(1)] }))
}

/** A function of one name with that name changed to a common one: f(x) = x² and f(t) = t² are the same. */
export function withCommonArguments({ name, value }: NamedValue): NamedValue | undefined {
  if (!isCall(name, 'apply') || !name.of.slice(1).every((part) => part.kind === 'name')) return undefined
  let changed = value
  for (const [index, argument] of name.of.slice(1).entries())
    changed = substituted(changed, spelled(argument), nameOf(`argument ${index}`))
  return { name: call('apply', nameOf(String(name.of.length))), value: changed }
}

/** Both values of `a ± b`; all signs of one expression change together. */
export function withSignsChosen(expression: Expression): Expression {
  if (expression.kind === 'list') {
    const of = expression.of.map(withSignsChosen).flatMap((part) => (part.kind === 'list' && part.open === '' ? part.of : [part]))
    return { ...expression, of }
  }
  if (expression.kind === 'relation' || expression.kind === 'matrix') return withParts(expression, withSignsChosen)
  if (!hasSigns(expression)) return expression
  return listOf([chosen(expression, 1), chosen(expression, -1)])
}

function hasSigns(expression: Expression): boolean {
  return isCall(expression, '±') || isCall(expression, '∓') || partsOf(expression).some(hasSigns)
}

function chosen(expression: Expression, sign: 1 | -1): Expression {
  const changed = withParts(expression, (part) => chosen(part, sign))
  if (!isCall(changed, '±') && !isCall(changed, '∓')) return changed
  const [left, right] = changed.of as [Expression, Expression]
  const signed = (changed.name === '±') === (sign === 1) ? right : call('negate', right)
  // ±3 is read as 0 ± 3, and is 3 and −3.
  return left.kind === 'number' && left.value.top === 0n ? signed : call('+', left, signed)
}
