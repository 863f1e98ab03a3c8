import { classOf, letter, lineBreak, number, other, space } from './unicode.js'

/** Finds the end of the pre-token that begins at `start`. `end` is the end of the text, also for look-aheads. */
export type NextPreToken = (text: string, start: number, end: number) => number

/** GPT-4's pattern with its one difference: how many digits stand together. */
const gpt4Pattern = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

/** Qwen2's pattern, of Qwen2.5 and Qwen3 too. */
export const qwen2Pattern = gpt4Pattern('\\p{N}')

/** The same, scanned. */
export const endLikeQwen2: NextPreToken = (text, start, end) => endLikeGpt4(text, start, end, 1)

/**
 * The patterns of `tokenizer.json` that are known here, as the files spell them. They are scanned by hand, because the regular
 * expressions of JavaScript take other characters for letters and white space, and other ones with every release.
 */
export const splitPatterns: ReadonlyMap<string, NextPreToken> = new Map([
  [qwen2Pattern, endLikeQwen2],
  [gpt4Pattern('\\p{N}{1,3}'), (text, start, end) => endLikeGpt4(text, start, end, 3)], // Llama 3
])

const apostrophe = 0x27
const blank = 0x20
/** Set in a class for a character of two UTF-16 units. */
const wide = 8

function classAt(text: string, at: number): number {
  const unit = text.charCodeAt(at)
  if ((unit & 0xfc00) !== 0xd800) return classOf[unit]!
  const code = text.codePointAt(at)!
  // half a pair becomes U+FFFD, which is neither letter nor number
  return code > 0xffff ? classOf[code]! | wide : other
}

const kindOf = (found: number): number => found & 7
const widthOf = (found: number): number => (found & wide) / wide + 1

/** The end of the run of characters of one class. */
function endOfRun(text: string, start: number, end: number, kind: number): number {
  let at = start
  while (at < end) {
    const found = classAt(text, at)
    if (kindOf(found) !== kind) break
    at += widthOf(found)
  }
  return at
}

function endLikeGpt4(text: string, start: number, end: number, mostDigits: number): number {
  const first = text.charCodeAt(start)
  if (first === apostrophe) {
    const length = contractionLength(text, start, end, lowerCase)
    if (length > 0) return start + length
  }
  const found = classAt(text, start)
  const kind = kindOf(found)
  const second = start + widthOf(found)
  if (kind === letter) return endOfRun(text, second, end, letter)
  if (kind === number) {
    let at = second
    for (let digits = 1; digits < mostDigits && at < end; digits++) {
      const next = classAt(text, at)
      if (kindOf(next) !== number) break
      at += widthOf(next)
    }
    return at
  }
  const following = second < end ? kindOf(classAt(text, second)) : space
  if (kind !== lineBreak && following === letter) return endOfRun(text, second, end, letter)
  if (kind === other || (first === blank && following === other)) {
    return endOfRun(text, endOfRun(text, second, end, other), end, lineBreak)
  }
  return endOfSpace(text, start, end, true)
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, which ByteLevel has built in. */
export function endLikeGpt2(text: string, start: number, end: number): number {
  const first = text.charCodeAt(start)
  if (first === apostrophe) {
    const length = contractionLength(text, start, end, sameCase)
    if (length > 0) return start + length
  }
  const found = classAt(text, start)
  const kind = kindOf(found)
  const second = start + widthOf(found)
  if (kind !== space && kind !== lineBreak) return endOfRun(text, second, end, kind)
  if (first === blank && second < end) {
    const following = kindOf(classAt(text, second))
    if (following !== space && following !== lineBreak) return endOfRun(text, second, end, following)
  }
  return endOfSpace(text, start, end, false)
}

/**
 * `\s+(?!\S)|\s+`, before it `\s*[\r\n]+` where `lineBreaksFirst`: up to the last line break of the white space; without one,
 * all of it but the last character, which goes with what follows, unless it is the only one or nothing follows.
 */
function endOfSpace(text: string, start: number, end: number, lineBreaksFirst: boolean): number {
  let at = start
  let afterLineBreak = start
  while (at < end) {
    const kind = classOf[text.charCodeAt(at)]!
    if (kind !== space && kind !== lineBreak) break
    at += 1
    if (kind === lineBreak) afterLineBreak = at
  }
  if (lineBreaksFirst && afterLineBreak > start) return afterLineBreak
  return at === end || at - start === 1 ? at : at - 1
}

// The long s is the only character beyond ASCII that is one of these letters in another case.
const lowerCase = (unit: number): number => (unit >= 0x41 && unit <= 0x5a ? unit + 32 : unit === 0x17f ? 0x73 : unit)
const sameCase = (unit: number): number => unit

/** The length of `'s`, `'t`, `'m`, `'d`, `'re`, `'ve` or `'ll` at `start`; 0 where there is none. */
function contractionLength(text: string, start: number, end: number, fold: (unit: number) => number): number {
  if (start + 1 >= end) return 0
  const first = String.fromCharCode(fold(text.charCodeAt(start + 1)))
  if ('stmd'.includes(first)) return 2
  if (start + 2 >= end) return 0
  const both = first + String.fromCharCode(fold(text.charCodeAt(start + 2)))
  return both === 're' || both === 've' || both === 'll' ? 3 : 0
}
