import { spacedThousands } from '../answer/answer-text.js'
import { parseDecimal, type Rational, rational } from '../answer/rational.js'
import { withInfixFractions } from './infix-fractions.js'
import { commandNamed, wordNamed } from './latex-names.js'
import type { Token } from './token.js'
import { unitIn } from './units.js'
import { isWord } from './words.js'

export interface Reading {
  /** Whether `1,234` is one number, outside of brackets; inside, it is two. */
  thousands: boolean
  /** Whether `1,5` is a decimal. */
  decimalComma: boolean
}

const LONGEST_REPEATING = 60

const opening = new Set(['(', '[', '\\{'])
const closing = new Set([')', ']', '\\}'])

/** Most tokens of an answer. */
const MOST_TOKENS = 1000

const pattern =
  /(?<space>\s+)|(?<repeating>\d*\.\d*\s*\\(?:overline|bar|dot)\s*\{\d+\}|\d+\.\(\d+\))|(?<time>(?<![\d.:])\d{1,2}:[0-5]\d(?::[0-5]\d)?(?![\d.:]))|(?<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+(?![\d.]))?)|\\(?:text|mathbb)\s*\{(?<text>[^{}]*)\}|\\(?<edge>begin|end)\s*\{(?<environment>[a-zA-Z]*\*?)\}|\\(?<command>[a-zA-Z]+)|(?<word>[a-zA-Z]+)|(?<sign>\\\\|\\[{}%|&#_]|\*\*|[<>!=]=|:=|[-+*/^_=<>!%:,;()[\]{}|&'])/uy

/** The tokens of a tidied answer; undefined where a character is none of mathematics', or there are too many. */
export function tokensOf(text: string, reading: Reading): Token[] | undefined {
  // a × b of vectors is not their product a · b.
  if (text.includes('\\times') && /\\(?:vec|overrightarrow)(?![a-zA-Z])/.test(text)) return undefined
  const tokens: Token[] = []
  let isSpaceBefore = false
  let depth = 0
  const push = (token: Omit<Token, 'isSpaceBefore'>) => {
    tokens.push({ ...token, isSpaceBefore })
    isSpaceBefore = false
  }
  for (let at = 0; at < text.length; ) {
    pattern.lastIndex = at
    const groups = pattern.exec(text)?.groups
    if (groups === undefined || tokens.length > MOST_TOKENS) return undefined
    let end = pattern.lastIndex
    if (groups.space !== undefined) isSpaceBefore = true
    else if (groups.repeating !== undefined) {
      const value = repeatingDecimal(groups.repeating)
      if (value === undefined) return undefined
      push({ kind: 'number', text: groups.repeating, value })
    } else if (groups.time !== undefined) push({ kind: 'time', text: groups.time })
    else if (groups.number !== undefined) {
      const number = grouped(text, at, reading, depth > 0)
      end = number === undefined ? end : at + number.length
      const token = numberToken(number ?? groups.number, number !== undefined && !reading.thousands)
      if (token === undefined) return undefined
      push(token)
    } else if (groups.text !== undefined) {
      const inside = text.startsWith('\\mathbb', at) || !isFormula(groups.text) ? undefined : tokensOf(groups.text, reading)
      if (inside === undefined) push(textToken(groups.text, text.startsWith('\\mathbb', at), tokens.at(-1)))
      else tokens.push(...inside)
    } else if (groups.edge !== undefined) push({ kind: 'environment', text: `${groups.edge} ${groups.environment}` })
    else if (groups.command !== undefined) {
      const { token, length } = commandNamed(groups.command)
      end = at + 1 + length
      if (token === undefined) return undefined
      if (token.kind !== 'decoration') push(token as Token)
    } else if (groups.word !== undefined) {
      for (const token of wordTokens(groups.word, text[end] === '(', tokens.at(-1), isSpaceBefore)) push(token)
    } else {
      const sign = signNamed(groups.sign!)
      if (opening.has(sign)) depth += 1
      else if (closing.has(sign)) depth -= 1
      push({ kind: 'sign', text: sign })
    }
    at = end
  }
  return withInfixFractions(tokens)
}

/** Whether what is set as text is more than words: `5 dollars`, `A and B`. */
function isFormula(text: string): boolean {
  return /\d|(?:^|\s)(?:and|or)(?:\s|$)/.test(text) || /^ ?(?:[a-zA-Z]|[IVX]+)(?: ?, ?(?:[a-zA-Z]|[IVX]+))+ ?$/.test(text)
}

/** A number with commas in it, as it is read; undefined for one without. */
function grouped(text: string, at: number, { thousands, decimalComma }: Reading, isInBrackets: boolean): string | undefined {
  if (/[\d.]/.test(text[at - 1] ?? '') || /\d $/.test(text.slice(Math.max(0, at - 2), at))) return undefined
  const rest = text.slice(at, at + 100)
  if (decimalComma) return isInBrackets ? undefined : /^\d+,\d+(?![\d,.])/.exec(rest)?.[0]
  if (!thousands) return undefined
  const whole = spacedThousands.exec(rest)?.[0] ?? (isInBrackets ? undefined : /^[1-9]\d{0,2}(?:,\d{3})+(?!\d)/.exec(rest)?.[0])
  return whole && whole + (/^\.\d+/.exec(rest.slice(whole.length))?.[0] ?? '')
}

function numberToken(written: string, isDecimalComma: boolean): Omit<Token, 'isSpaceBefore'> | undefined {
  const text = isDecimalComma ? written.replace(',', '.') : written.replace(/[, ]/g, '')
  const value = parseDecimal(text)
  if (value === undefined) return undefined
  const mantissa = text.replace(/[eE].*/, '')
  const digits = mantissa.replace('.', '').replace(/^0+/, '').length
  return { kind: 'number', text, value, ...(/[.eE]/.test(text) && { digits }) }
}

function textToken(content: string, isBlackboard: boolean, before: Token | undefined): Omit<Token, 'isSpaceBefore'> {
  const words = content.trim()
  if (isBlackboard) return { kind: 'name', text: `set ${words}` }
  const token = wordNamed(words.toLowerCase())
  // 7 sec are seconds, and no secant.
  const isSeconds = token?.kind === 'function' && before?.kind === 'number' && unitIn(words) !== undefined
  if (token !== undefined && !isSeconds) return token as Token
  // 5 m set upright is a length; a bold i is a vector.
  const isUnit = /^[msgNJKVWLh]$/.test(words) && (before?.kind === 'number' || before?.kind === 'text')
  return words.length === 1 && /[a-zA-Z]/.test(words) && content === words && !isUnit
    ? { kind: 'name', text: words }
    : { kind: 'text', text: words }
}

/** `0.1\overline{6}`: 16/90 less 1/90; `0.(3)`. */
function repeatingDecimal(text: string): Rational | undefined {
  const [, whole, once, again] = /^(\d*)\.(\d*)\s*(?:\\(?:overline|bar|dot)\s*\{|\()(\d+)[})]$/.exec(text)!
  if (text.length > LONGEST_REPEATING) return undefined
  const all = BigInt(whole! + once! + again!) - BigInt(`0${whole}${once}`)
  return rational(all, (10n ** BigInt(again!.length) - 1n) * 10n ** BigInt(once!.length))
}

/**
 * A word that is known, letters before a function's name (`xsin(x)`), or one letter a name. A short unit is one behind a number
 * only: elsewhere, cm is c times m.
 */
function wordTokens(
  word: string,
  isCalled: boolean,
  before: Token | undefined,
  isSpaceBefore: boolean,
): Omit<Token, 'isSpaceBefore'>[] {
  const token = wordNamed(word)
  const isUnit = word.length > 3 || before?.kind === 'number' || before?.text === '}'
  if (token !== undefined && (token.kind !== 'text' || isUnit)) return [token as Token]
  for (let start = 1; isCalled && start < word.length - 1; start += 1) {
    const ending = wordNamed(word.slice(start))
    if (ending?.kind === 'function' || ending?.kind === 'structure') return [...letters(word.slice(0, start)), ending as Token]
  }
  // sinx lost the space behind the function.
  const [, name, argument] = /^(sin|cos|tan|cot|sec|csc|ln|log|exp)([a-zA-Z])$/.exec(word) ?? []
  if (name !== undefined) return [wordNamed(name) as Token, ...letters(argument!)]
  return isProse(word, before, isSpaceBefore) ? [{ kind: 'word', text: word }] : letters(word)
}

/** Words of two and three letters that say something behind a number, or anywhere. */
const behindNumber = new Set(['is', 'of', 'by', 'to', 'no', 'if', 'or', 'on', 'in'])
const anywhere = new Set('not mod per one two six ten all off out are was the few add sum and'.split(' '))

/** Whether a word is prose, of which no product of its letters is meant. */
function isProse(word: string, before: Token | undefined, isSpaceBefore: boolean): boolean {
  if (anywhere.has(word) || (behindNumber.has(word) && isSpaceBefore && before?.kind === 'number')) return true
  return word.length > 3 && /^[A-Z]?[a-z]+$/.test(word) && isWord(word)
}

function letters(word: string): Omit<Token, 'isSpaceBefore'>[] {
  return Array.from(word, (text) => ({ kind: 'name' as const, text }))
}

function signNamed(sign: string): string {
  const same: Record<string, string> = {
    '**': '^',
    '<=': '≤',
    '>=': '≥',
    '!=': '≠',
    '==': '=',
    ':=': '=',
    '\\%': '%',
    '\\|': '|',
  }
  return Object.hasOwn(same, sign) ? same[sign]! : sign
}
