import { wordNamed } from './latex-names.js'

/** The letter of a choice: `(C)`, `C`, `\text{C}`, `(E) Hyperbola`, `B. 12`; `isAlone` where nothing else is there. */
export function choiceIn(text: string): { letter: string; isAlone: boolean } | undefined {
  const plain = withoutFonts(text)
  const alone = /^(?:\(([A-Ja-j])\)|([A-J]))[.:)]?$/.exec(plain) ?? /^([A-J])[.):]$/.exec(plain)
  if (alone !== null) return { letter: (alone[1] ?? alone[2])!.toUpperCase(), isAlone: true }
  const first = /^(?:\(([A-J])\)|([A-J])[.):])\s*\S/.exec(plain) ?? /^([a-j])$/.exec(plain)
  if (first === null) return undefined
  return { letter: (first[1] ?? first[2])!.toUpperCase(), isAlone: false }
}

/** `27` of `(A) 27`. */
export function withoutChoice(text: string): string {
  return text.replace(/^(?:\\text ?\{ ?\(?[A-J][).:]+ ?\}|\([A-J]\)|[A-J][.):])\s*(?=\S)/, '')
}

/** Whether an answer is in words: it has a word of four letters or more that mathematics does not know, and no signs. */
export function isWords(text: string): boolean {
  const plain = withoutFonts(text)
  if (/[\\^_=<>+*/{}|\d]/.test(plain)) return false
  return plain.split(/[^a-zA-Z]+/).some((word) => word.length > 3 && wordNamed(word) === undefined)
}

/** The letters of an answer in words. */
export function wordsIn(text: string): string {
  return withoutFonts(text)
    .toLowerCase()
    .replace(/\b(?:the|an?)\b/g, '')
    .replace(/[^\p{L}\p{N}]+/gu, '')
}

function withoutFonts(text: string): string {
  return text
    .replace(/\\text ?\{([^{}]*)\}/g, '$1')
    .replace(/\{([^{}]*)\}/g, '$1')
    .trim()
}
