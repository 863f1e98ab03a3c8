import { createHash } from 'node:crypto'

/** LaTeX commands that only set a formula: two texts that differ in them are the same text. */
const layoutCommands =
  /\\(?:left|right|middle|big|Big|bigg|Bigg|displaystyle|textstyle|limits|quad|qquad|text|textbf|textit|mathrm|mathbf|operatorname|mbox)(?![a-zA-Z])|\\[,;:!> ]/gi

/** A number, a character of a script that is written without spaces, a word, or an operator. */
const wordPattern =
  /\p{N}+(?:[.,]\p{N}+)*|[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|[\p{L}\p{M}]+|[-+*/^=<>%±×÷≤≥≠]/gu

/** The same for text in ASCII, ten times as fast. */
const asciiWordPattern = /\d+(?:[.,]\d+)*|[a-z]+|[-+*/^=<>]/g

/** A word of a text and where it stands in it. */
export interface Word {
  text: string
  start: number
  end: number
}

/**
 * The normalised words of a text: compatibility forms composed, in lower case, without punctuation, dollar signs and what only
 * sets a formula. Numbers and operators are words: two problems that differ in a number are two problems.
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

function normalized(text: string): string {
  const composed = isAscii(text) ? text : text.normalize('NFKC')
  const plain = composed.includes('\\')
    ? composed.replace(layoutCommands, ' ').replace(/\\[dt]frac(?![a-zA-Z])/gi, '\\frac')
    : composed
  return plain.toLowerCase().replace(/(\p{N}),(?=\p{N}{3}(?!\p{N}))/gu, '$1')
}

/** All of ASCII. */
const isAscii = (text: string) => /^[\0-\x7f]*$/.test(text)

/** What two texts share that are the same but for punctuation, case and white space. */
export function textKey(text: string): string {
  return wordsOf(text).join(' ')
}

/** 38 bits of a hash of a text: a partition and a key in it. Texts that share them are compared before they are taken for one. */
export function keyOf(text: string): { partition: number; key: number } {
  const digest = createHash('sha1').update(text).digest()
  return { partition: digest[4]! & 63, key: digest.readUInt32LE(0) }
}

/** The numbers of a text, in order of size: near-duplicates must share them, or templates filled with others would be dropped. */
export function numbersOf(words: readonly string[]): string {
  return words
    .filter((word) => /^\p{N}/u.test(word))
    .sort()
    .join(' ')
}
