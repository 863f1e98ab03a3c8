import { spacedThousands, tidyAnswer, withoutSpaces } from './answer-text.js'
import { areEqual, negative, parseDecimal, quotient, type Rational, sum } from './rational.js'

/** Longest answer that is read as a number. */
const LONGEST_NUMBER = 200

/** Words that are a unit where they stand behind a number. */
export const unitWords =
  'dollars?|cents?|usd|units?|inch(?:es)?|feet|foot|ft|yards?|cm|mm|km|kg|mg|ml|meters?|metres?|centimeters?|miles?|mph|minutes?|mins?|' +
  'seconds?|secs?|hours?|hrs?|days?|weeks?|months?|years?|sq|square|cubic|grams?|liters?|litres?|points?|people|ways?|times'

const unitAtEnd = new RegExp(
  String.raw`(?<=[\d}] ?)(?:\\text\{ ?(${unitWords}|[a-z]) ?\}|(${unitWords})|(?<= )([mgls]))(?: ?\^ ?\{?\d\}?)?$`,
  'i',
)

/** A number, and what stands around it: `x` of `x = 5`, `hours` of `5 hours`, '' for none. */
export interface ReadNumber {
  value: Rational
  unit: string
  variable: string
}

/**
 * The number that an answer is: whole, decimal, with thousands separators, simple fraction or mixed number, perhaps with a unit,
 * percent or degree sign, or as the value of one variable. Undefined for anything else.
 */
export function readNumber(answer: string): ReadNumber | undefined {
  if (answer.length > LONGEST_NUMBER) return undefined
  let text = tidyAnswer(answer).replace(/ ?(?:\^ ?\{? ?\\circ ?\}?|\\degree|\\text\{ ?degrees? ?\}|degrees?|\\?%|percent)$/, '')
  const unit = unitAtEnd.exec(text)
  if (unit !== null) text = text.slice(0, unit.index)
  const variable = /^([a-zA-Z]) ?= ?/.exec(text)
  const bare = text.slice(variable?.[0].length ?? 0).replace(/\\frac ?(\d) ?(\d)(?!\d)/g, '\\frac{$1}{$2}')
  const value = numberIn(withoutSpaces(bare))
  return value && { value, unit: unitName(unit), variable: variable?.[1] ?? '' }
}

/**
 * Whether two answers are numbers that certainly differ. Answers that are equal, that are no numbers, or whose units or variables
 * differ, are not: `50%` may be meant by `0.5`, `60 minutes` by `1 hour`.
 */
export function areDifferentNumbers(first: string, second: string): boolean {
  const [a, b] = [readNumber(first), readNumber(second)]
  if (a === undefined || b === undefined || areEqual(a.value, b.value)) return false
  const conflict = (one: string, other: string) => one !== '' && other !== '' && one !== other
  return !conflict(a.unit, b.unit) && !conflict(a.variable, b.variable)
}

function unitName(match: RegExpExecArray | null): string {
  const name = (match?.[1] ?? match?.[2] ?? match?.[3] ?? '').toLowerCase()
  return name.length > 1 ? name.replace(/e?s$/, '').replace(/^(?:foot|feet)$/, 'ft') : name
}

function numberIn(text: string): Rational | undefined {
  const [, sign, whole, top, bottom] =
    /^([-+]?)([\d.,]*)\\frac\{(-?[\d.,]+)\}\{(-?[\d.,]+)\}$/.exec(text) ?? /^([-+]?)(\d+) (\d+)\/(\d+)$/.exec(text) ?? []
  if (top === undefined) {
    const [, first, second] = /^([-+]?[\d.,]+)\/([\d.,]+)$/.exec(text) ?? []
    return second === undefined ? decimal(text) : fraction(decimal(first!), decimal(second))
  }
  const part = fraction(decimal(top), decimal(bottom!))
  if (part === undefined) return undefined
  const value = whole === '' ? part : mixed(decimal(whole!), part)
  return sign === '-' ? value && negative(value) : value
}

function fraction(top: Rational | undefined, bottom: Rational | undefined): Rational | undefined {
  return top && bottom && quotient(top, bottom)
}

function mixed(whole: Rational | undefined, part: Rational): Rational | undefined {
  const isMixed = whole?.bottom === 1n && part.top > 0n && part.top < part.bottom
  return isMixed ? sum(whole, part) : undefined
}

function decimal(text: string): Rational | undefined {
  const sign = /^[-+]/.exec(text)?.[0] ?? ''
  const spaced = spacedThousands.exec(text.slice(sign.length))?.[0]
  if (spaced !== undefined) return decimal(sign + spaced.replaceAll(' ', '') + text.slice(sign.length + spaced.length))
  return parseDecimal(/^[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?$/.test(text) ? text.replaceAll(',', '') : text)
}
