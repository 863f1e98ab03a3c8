import {
  fraction,
  isList,
  isMissing,
  isNone,
  isText,
  isWhole,
  list,
  numberOf,
  text,
  typeName,
  type Value,
  whole,
} from './jinja-values.js'

/** Python's operators on numbers, and on texts and lists what it has of them. Throws for all else. */
export function arithmetic(operator: string, left: Value, right: Value): Value {
  if (operator === '+' && isText(left) && isText(right)) return text(left.value + right.value)
  if (operator === '+' && isList(left) && isList(right)) return list([...left.value, ...right.value])
  if (operator === '*' && isText(left) && isWhole(right)) return text(repeated(left.value, right.value))
  if (operator === '*' && isWhole(left) && isText(right)) return text(repeated(right.value, left.value))
  const [a, b] = [numberOf(left), numberOf(right)]
  const isNothing = isMissing(left) || isMissing(right) || isNone(left) || isNone(right)
  if (a === undefined || b === undefined || isNothing) {
    throw new Error(`${typeName(left)} ${operator} ${typeName(right)} is not known here`)
  }
  if (b === 0 && ['/', '//', '%'].includes(operator)) throw new Error('a division by zero')
  const result = {
    '+': a + b,
    '-': a - b,
    '*': a * b,
    '/': a / b,
    '//': Math.floor(a / b),
    '%': ((a % b) + b) % b,
    '**': a ** b,
  }[operator]
  if (result === undefined || !Number.isFinite(result))
    throw new Error(`${operator} is not known here, or its result is no number`)
  const isFraction = left.type === 'FloatValue' || right.type === 'FloatValue' || operator === '/' || (operator === '**' && b < 0)
  return isFraction ? fraction(result) : whole(result)
}

/** Bound on a repeated text: more than any template needs. */
const MAX_REPEATED = 1e6

function repeated(own: string, times: number): string {
  if (own.length * times > MAX_REPEATED) throw new Error(`a text of more than ${MAX_REPEATED} characters by '*'`)
  return own.repeat(Math.max(0, times))
}
