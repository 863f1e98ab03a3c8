/** Sizes beyond which an answer is only compared as it is written. */
const LONGEST_ANSWER = 2000

const unitWords =
  /(?<=[\d}])\s*\\?(?:text\{)?\s*(?:degrees?|°|%|percent|dollars?|cents?|units?|inch(?:es)?|feet|foot|ft|cm|mm|km|m|meters?|metres?|miles?|minutes?|seconds?|hours?|days?|years?|square|cubic|sq|kg|g|grams?|liters?)\s*\}?\s*(?:\^\{?\d\}?)?\s*\}?\.?$/i

/**
 * An answer in one spelling: without dollar signs, white space, what only sets a formula, thousands separators and units; numbers
 * and simple fractions as one fraction in lowest terms (`0.5`, `\frac12` and `2/4` are `1/2`, `027.0` is `27`).
 *
 * It knows spellings and no mathematics: `x+1` and `1+x` differ.
 */
export function normalizeAnswer(answer: string): string {
  return readAnswer(answer).text
}

function readAnswer(answer: string): { text: string; isNumber: boolean } {
  if (answer.length > LONGEST_ANSWER) return { text: answer.trim(), isNumber: false }
  let text = answer.normalize('NFKC').trim()
  text = text.replace(/\\boxed\s*\{([\s\S]*)\}$/, '$1')
  text = text.replace(/^\$+|\$+$/g, '').replace(/^\\\(|\\\)$|^\\\[|\\\]$/g, '')
  text = text.replace(/\\(?:left|right|displaystyle|,|;|:|!|quad|qquad)(?![a-zA-Z])/g, '').replace(/\\[ ]/g, ' ')
  text = text.replace(/\\[dt]frac/g, '\\frac').replace(/\^\{?\\circ\}?|°/g, '')
  text = text.replace(/\\?%/g, '').replace(/\\?\$/g, '')
  for (let round = 0; round < 2; round++) text = text.replace(unitWords, '').trim()
  text = text.replace(/\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}/g, '$1')
  text = text.replace(/\\frac\s*(\d)\s*(\d)/g, '\\frac{$1}{$2}')
  text = text.replace(/\.$/, '').replace(/\s+/g, '').toLowerCase()
  text = text.replace(/^[a-z]\s*=\s*/, '').replace(/^\(([a-z])\)$/, '$1')
  const number = rational(text)
  if (number !== undefined) return { text: number, isNumber: true }
  return { text: text.replace(/([_^])\{(\w)\}/g, '$1$2').replace(/\\frac\{(\w+)\}\{(\w+)\}/g, '$1/$2'), isNumber: false }
}

/** Whether two answers are the same: two numbers by their value, others by their spelling, which may leave it undecided. */
export function compareAnswers(first: string, second: string): 'same' | 'different' | 'undecided' {
  const [a, b] = [readAnswer(first), readAnswer(second)]
  if (a.text === b.text) return 'same'
  return a.isNumber && b.isNumber ? 'different' : 'undecided'
}

/** A number or a simple fraction in lowest terms; undefined for anything else. */
function rational(text: string): string | undefined {
  const fraction = /^(-?)\\frac\{(-?[\d.,]+)\}\{(-?[\d.,]+)\}$/.exec(text) ?? /^(-?)([\d.,]+)\/([\d.,]+)$/.exec(text)
  const [numerator, denominator] =
    fraction === null ? [decimal(text), [1n, 1n] as const] : [decimal(fraction[2]!), decimal(fraction[3]!)]
  if (numerator === undefined || denominator === undefined || denominator[0] === 0n) return undefined
  let top = numerator[0] * denominator[1] * (fraction?.[1] === '-' ? -1n : 1n)
  let bottom = numerator[1] * denominator[0]
  if (bottom < 0n) [top, bottom] = [-top, -bottom]
  const divisor = gcd(top < 0n ? -top : top, bottom)
  return bottom === divisor ? String(top / divisor) : `${top / divisor}/${bottom / divisor}`
}

/** Most digits of a number that is compared by its value. */
const MOST_DIGITS = 60

function decimal(text: string): readonly [bigint, bigint] | undefined {
  if (text.length > MOST_DIGITS) return undefined
  const plain = /^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(text) ? text.replaceAll(',', '') : text
  const [, sign, whole = '', part = ''] = /^([-+]?)(\d*)(?:\.(\d*))?$/.exec(plain) ?? []
  if (sign === undefined || whole + part === '') return undefined
  const value = BigInt(whole + part) * (sign === '-' ? -1n : 1n)
  return [value, 10n ** BigInt(part.length)]
}

function gcd(a: bigint, b: bigint): bigint {
  while (b > 0n) [a, b] = [b, a % b]
  return a === 0n ? 1n : a
}
