/** Sizes beyond which an answer is only compared as it is written. */
const LONGEST_ANSWER = 2000

/** Words after a number that are its unit; single letters only behind a space or in `\text{}`, where they are no variables. */
const unitWords =
  'degrees?|°|%|percent|dollars?|cents?|units?|inch(?:es)?|feet|foot|ft|cm|mm|km|kg|sq|meters?|metres?|miles?|minutes?|seconds?|' +
  'hours?|days?|weeks?|years?|square|cubic|grams?|liters?'
const unitAtEnd = new RegExp(
  String.raw`(?<=[\d}])(?:\s*\\(?:text|mathrm|mbox)\{\s*(${unitWords}|[mgls])\s*\}|\s*(${unitWords})|\s+([mgls]))\s*(?:\^\{?\d\}?)?\.?$`,
  'i',
)

interface ReadAnswer {
  text: string
  isNumber: boolean
  /** `hours`, and the variable of `x = 5`; '' for none. */
  unit: string
  variable: string
}

/**
 * An answer in one spelling: without dollar signs, white space, what only sets a formula, thousands separators and units; numbers,
 * mixed numbers and simple fractions as one fraction in lowest terms (`0.5`, `\frac12` and `2/4` are `1/2`, `027.0` is `27`).
 *
 * It knows spellings and no mathematics: `x+1` and `1+x` differ.
 */
export function normalizeAnswer(answer: string): string {
  return readAnswer(answer).text
}

/**
 * Whether two answers are the same: two numbers by their value, others by their spelling, which may leave it undecided, as do two
 * units or two variables.
 */
export function compareAnswers(first: string, second: string): 'same' | 'different' | 'undecided' {
  const [a, b] = [readAnswer(first), readAnswer(second)]
  if (a.text !== b.text) return a.isNumber && b.isNumber ? 'different' : 'undecided'
  const conflict = (one: string, other: string) => one !== '' && other !== '' && one !== other
  return conflict(a.unit, b.unit) || conflict(a.variable, b.variable) ? 'undecided' : 'same'
}

function readAnswer(answer: string): ReadAnswer {
  if (answer.length > LONGEST_ANSWER) return { text: answer.trim(), isNumber: false, unit: '', variable: '' }
  let text = compose(answer).trim()
  text = text.replace(/\\boxed\s*\{([\s\S]*)\}$/, '$1')
  text = text.replace(/^\$+|\$+$/g, '').replace(/^\\\(|\\\)$|^\\\[|\\\]$/g, '')
  text = text.replace(/\\(?:left|right|displaystyle|,|;|:|!|quad|qquad)(?![a-zA-Z])/g, '').replace(/\\[ ]/g, ' ')
  text = text.replace(/\\[dt]frac/g, '\\frac').replace(/\^\{?\\circ\}?|°/g, '')
  text = text
    .replace(/\\?%/g, '')
    .replace(/\\?\$/g, '')
    .replace(/(\d)\{,\}(?=\d{3})/g, '$1,')
  const unit = unitAtEnd.exec(text)
  if (unit !== null) text = text.slice(0, unit.index)
  text = text.replace(/\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}/g, '$1')
  text = text.replace(/\\frac\s*(\d)\s*(\d)/g, '\\frac{$1}{$2}')
  text = text.replace(/\.$/, '').replace(/\s+/g, '').toLowerCase()
  const variable = /^([a-z])=/.exec(text)?.[1] ?? ''
  text = text.replace(/^[a-z]=/, '').replace(/^\(([a-z])\)$/, '$1')
  const found = { unit: unitName(unit), variable }
  const number = rational(text)
  if (number !== undefined) return { text: number, isNumber: true, ...found }
  const spelled = text.replace(/([_^])\{(\w)\}/g, '$1$2').replace(/\\frac\{(\w+)\}\{(\w+)\}/g, '$1/$2')
  return { text: spelled, isNumber: false, ...found }
}

/** Composing makes a digit of a raised one: 2² and 22 are two numbers. */
function compose(text: string): string {
  return text
    .replace(/[⁰¹²³⁴-⁹ⁿ⁺⁻]+/g, (digits) => `^${digits}`)
    .normalize('NFKC')
    .replace(/\u2212/g, '-')
}

/** Signs of money, angles and shares are left out of answers too often to be held against one that has none. */
function unitName(match: RegExpExecArray | null): string {
  const name = (match?.[1] ?? match?.[2] ?? match?.[3] ?? '').toLowerCase().replace(/[^a-z]/g, '')
  return name.length > 1 ? name.replace(/e?s$/, '').replace(/^(?:foot|feet)$/, 'ft') : name
}

/** A number, a mixed number or a simple fraction in lowest terms; undefined for anything else. */
function rational(text: string): string | undefined {
  const mixed = /^(-?)(\d+)(\\frac\{\d+\}\{\d+\})$/.exec(text)
  if (mixed !== null) return plus(decimal(mixed[2]!), fractionOf(mixed[3]!), mixed[1] === '-')
  const value = fractionOf(text) ?? decimal(text)
  return value === undefined ? undefined : lowest(value)
}

type Fraction = readonly [numerator: bigint, denominator: bigint]

function plus(whole: Fraction | undefined, part: Fraction | undefined, isNegative: boolean): string | undefined {
  if (whole === undefined || part === undefined) return undefined
  const sum = whole[0] * part[1] + part[0]
  return lowest([isNegative ? -sum : sum, part[1]])
}

function fractionOf(text: string): Fraction | undefined {
  const match = /^(-?)\\frac\{(-?[\d.,]+)\}\{(-?[\d.,]+)\}$/.exec(text) ?? /^(-?)([\d.,]+)\/([\d.,]+)$/.exec(text)
  const [top, bottom] = [match && decimal(match[2]!), match && decimal(match[3]!)]
  if (!top || !bottom || bottom[0] === 0n) return undefined
  return [top[0] * bottom[1] * (match![1] === '-' ? -1n : 1n), top[1] * bottom[0]]
}

function lowest([top, bottom]: Fraction): string {
  const [numerator, denominator] = bottom < 0n ? [-top, -bottom] : [top, bottom]
  const divisor = gcd(numerator < 0n ? -numerator : numerator, denominator)
  return denominator === divisor ? String(numerator / divisor) : `${numerator / divisor}/${denominator / divisor}`
}

/** Most digits of a number that is compared by its value. */
const MOST_DIGITS = 60

function decimal(text: string): Fraction | undefined {
  if (text.length > MOST_DIGITS) return undefined
  const plain = /^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(text) ? text.replaceAll(',', '') : text
  const [, sign, whole = '', part = ''] = /^([-+]?)(\d*)(?:\.(\d*))?$/.exec(plain) ?? []
  if (sign === undefined || whole + part === '') return undefined
  return [BigInt(whole + part) * (sign === '-' ? -1n : 1n), 10n ** BigInt(part.length)]
}

function gcd(a: bigint, b: bigint): bigint {
  while (b > 0n) [a, b] = [b, a % b]
  return a === 0n ? 1n : a
}
