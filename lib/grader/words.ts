import { wordNamed } from './latex-names.js'

/** The letter of a choice: `(C)`, `C`, `\text{C}`, `(E) Hyperbola`, `B. 12`; `isAlone` where nothing else is there. */
export function choiceIn(text: string): { letter: string; isAlone: boolean } | undefined {
  const plain = withoutFonts(text).replace(/^(?:option|choice) (?=\(?[A-J])/i, '')
  const alone = /^(?:\(([A-Ja-j])\)|([A-J]))[.:)]?$/.exec(plain) ?? /^(?:([A-J])[.):]|([a-j])\))$/.exec(plain)
  if (alone !== null) return { letter: (alone[1] ?? alone[2])!.toUpperCase(), isAlone: true }
  const first = /^(?:\(([A-J])\)|([A-J])[.):])\s*\S/.exec(plain) ?? /^([a-j])$/.exec(plain)
  if (first === null) return undefined
  return { letter: (first[1] ?? first[2])!.toUpperCase(), isAlone: false }
}

/** The letters of choices alone, such as `A, C` and `(A) and (C)`, in order; undefined where anything else is among them. */
export function choicesIn(text: string): string | undefined {
  const parts = withoutFonts(text).split(/ ?(?:[,;]|\band\b) ?(?:and )?/)
  const choices = parts.map((part) => choiceIn(part))
  if (!choices.every((choice) => choice?.isAlone)) return undefined
  return [...new Set(choices.map((choice) => choice!.letter))].sort().join()
}

/** `27` of `(A) 27`. */
export function withoutChoice(text: string): string {
  return text.replace(/^(?:\\text ?\{ ?\(?[A-J][).:]+ ?\}|\([A-J]\)|[A-J][.):])\s*(?=\S)/, '')
}

/** Words of fewer than four letters that are answers, and no products of their letters. */
const shortWords = new Set('yes no odd one two six ten all any none red old new both sun mon tue wed thu fri sat'.split(' '))

/**
 * Whether an answer is in words: set as text, or with a word of four letters or more, or one that is known, that mathematics does
 * not know. Digits may stand behind a word, signs may not.
 */
export function isWords(text: string): boolean {
  const plain = withoutFonts(text)
  if (/[\\^_=<>+*/{}|]/.test(plain) || /^[^a-zA-Z]*\d/.test(plain)) return false
  const words = plain
    .split(/[^a-zA-Z]+/)
    .filter((word) => word.length > 1 && !/^[IVX]+$/.test(word) && wordNamed(word) === undefined)
  return words.length > 0 && (isSetAsText(text) || words.some(isWord))
}

/** A word as people write it, with a vowel; `abcd` and `mgRT` are rather products. */
export function isWord(word: string): boolean {
  if (word.length <= 3) return shortWords.has(word.toLowerCase())
  return /^(?:[A-Z]?[a-z]+|[A-Z]+)$/.test(word) && /[aeiou]|[b-df-hj-np-tvw]y/i.test(word)
}

/** `Amy` and `amy`: three letters that differ in nothing but the first one's case are no products of other letters. */
export function areOneWord(first: string, second: string): boolean {
  const [one, other] = [withoutFonts(first), withoutFonts(second)]
  const isCapitalised = (word: string) => /^[A-Z][a-z]{2}$/.test(word) && /[aeiouy]/.test(word)
  return (isCapitalised(one) || isCapitalised(other)) && one.toLowerCase() === other.toLowerCase()
}

function isSetAsText(text: string): boolean {
  return /^(?:\\text ?\{[^{}]*\}[\s,]*)+$/.test(text)
}

/** The letters of an answer in words, and its numbers. */
export function wordsIn(text: string): string {
  return withoutFonts(text)
    .toLowerCase()
    .replace(/\b(?:there (?:is|are|exists?)|the|an?)\b/g, '')
    .replace(/\b(no [a-z]+)s\b/g, '$1')
    .replace(/(?<=\d)\s+(?=\d)/g, '_')
    .replace(/[^\p{L}\p{N}_]+/gu, '')
}

function withoutFonts(text: string): string {
  return text
    .replace(/\\text ?\{([^{}]*)\}/g, '$1')
    .replace(/\{([^{}]*)\}/g, '$1')
    .trim()
}
