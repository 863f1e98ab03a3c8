import { createHash } from 'node:crypto'

/** LaTeX commands that only set a formula: two texts that differ in them are the same text. */
const layoutCommands =
  /\\(?:left|right|middle|bigg?|displaystyle|textstyle|limits|quad|qquad|text|textbf|textit|mathrm|mathbf|operatorname|mbox)(?![a-zA-Z])|\\[,;:!> ]/gi

/** A number, a character of a script that is written without spaces, or a word. */
const word = String.raw`\p{N}+(?:[.,]\p{N}+)*|[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|[\p{L}\p{M}]+`
const asciiWord = String.raw`\d+(?:[.,]\d+)*|[a-z]+`
/**
 * Symbols that distinguish problems with the same words: operators, brackets, indices, a factorial after a number, a bracket or
 * a variable, and a prime after a variable. A hyphen between words is none.
 */
const symbol = String.raw`(?<=[\p{N})]|(?<!\p{L})\p{L})!|(?<=(?<!\p{L})\p{L})'|(?!(?<=\p{L}{2}|\p{N})-\p{L}{2})[-+*/^=<>%|()[\]_&]|\p{Sm}`

const wordPattern = new RegExp(word, 'gu')
const asciiWordPattern = new RegExp(asciiWord, 'g')
const exactPattern = new RegExp(`${word}|${symbol}`, 'gu')
/** The commands of a formula are symbols too: `\cup` and `\cap` are one word of many. */
const signPattern = new RegExp(String.raw`\\[a-z]+|\p{N}+(?:[.,]\p{N}+)*|${symbol}`, 'gu')

/** A word of a text and where it stands in it. */
export interface Word {
  text: string
  start: number
  end: number
}

/**
 * The normalised words of a text: compatibility forms composed, in lower case, without symbols, punctuation, and what only sets
 * a formula.
 */
export function wordsOf(text: string): string[] {
  return normalized(text).match(isAscii(text) ? asciiWordPattern : wordPattern) ?? []
}

/** The same words with their places in the text as it is, for quoting it; the places are near where normalising moved text. */
export function wordsWithPlaces(text: string): Word[] {
  // The same number of UTF-16 units, so that places stay; compatibility forms are normalised word by word.
  const blanked = text
    .replace(layoutCommands, (command) => ' '.repeat(command.length))
    .replace(/\\[dt]frac(?![a-zA-Z])/gi, ' \\frac')
  if (isAscii(blanked)) {
    return Array.from(blanked.toLowerCase().matchAll(asciiWordPattern), ({ 0: word, index }) => {
      const text = word.includes(',') ? normalized(word) : word
      return { text, start: index, end: index + word.length }
    })
  }
  const words: Word[] = []
  for (const match of blanked.matchAll(wordPattern)) {
    const parts = wordsOf(match[0])
    for (const part of parts) words.push({ text: part, start: match.index, end: match.index + match[0].length })
  }
  return words
}

const raised = /[⁰¹²³⁴-⁹ⁿⁱ⁺⁻⁽⁾]+/g
const lowered = /[₀-₉₊₋₍₎]+/g

function normalized(text: string): string {
  const composed = isAscii(text) ? text : compose(text)
  const plain = composed.includes('\\')
    ? composed.replace(layoutCommands, ' ').replace(/\\[dt]frac(?![a-zA-Z])/gi, '\\frac')
    : composed
  return plain
    .toLowerCase()
    .replace(/\\?\$/g, '')
    .replace(/(\p{N})(?:,|\{,\})(?=\p{N}{3}(?!\p{N}))/gu, '$1')
}

/** Composing makes a digit of a raised one: 10² and 102 are two numbers. */
function compose(text: string): string {
  return text
    .replace(raised, (digits) => `^${digits}`)
    .replace(lowered, (digits) => `_${digits}`)
    .normalize('NFKC')
    .replace(/\u2212/g, '-')
    .replace(/[\u2018\u2019\u2032]/g, "'")
}

/** Whether a text is ASCII. */
const isAscii = (text: string) => /^[\0-\x7f]*$/.test(text)

/**
 * Normal form of a text: equal for texts that differ only in punctuation, case, white space and the typesetting of formulas.
 */
export function textKey(text: string): string {
  return (normalized(text).match(exactPattern) ?? []).join(' ')
}

/**
 * The numbers, symbols and LaTeX commands of a text, sorted: near-duplicates must share them. So problems from one template
 * with other numbers, or with 5 and 5!, are not duplicates.
 */
export function signatureOf(text: string): string {
  return (normalized(text).match(signPattern) ?? []).sort().join(' ')
}

/**
 * 38 bits of a text's hash: 6 choose the partition, 32 are the key in it. Texts whose hashes collide are compared before they
 * count as one.
 */
export function partitionKey(text: string): { partition: number; key: number } {
  const digest = createHash('sha1').update(text).digest()
  return { partition: digest[4]! & 63, key: digest.readUInt32LE(0) }
}
