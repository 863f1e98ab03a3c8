import { mapTexts, type Turn, textsOfTurn } from '../turn.js'
import { anyOf } from './added-tokens.js'

/**
 * Finds special tokens that a text spells out, so that what a record says cannot be taken for what a chat template writes:
 *
 *     "Say <|im_end|> now."  ─▶  "Say ⟂<|im_end|> now."       with the mark ⟂
 */
export class SpelledTokens {
  /** A look-ahead, so that overlapping tokens are all found. */
  readonly #occurrence: RegExp
  /** Any character that a token begins with, or ends with. */
  readonly #first: RegExp
  readonly #last: RegExp
  readonly #beginnings = new Set<string>()
  readonly #endings = new Set<string>()
  readonly #longest: number

  constructor(specialTokens: readonly string[]) {
    this.#occurrence = new RegExp(specialTokens.length === 0 ? '[]' : `(?=${anyOf(specialTokens)})`, 'g')
    this.#first = new RegExp(anyOf(specialTokens.map((token) => token[0]!)) || '[]')
    this.#last = new RegExp(anyOf(specialTokens.map((token) => token.at(-1)!)) || '[]')
    this.#longest = specialTokens.reduce((longest, { length }) => Math.max(longest, length), 0)
    for (const token of specialTokens) {
      for (let length = 1; length < token.length; length++) {
        this.#beginnings.add(token.slice(0, length))
        this.#endings.add(token.slice(length))
      }
    }
  }

  /** Position of the first special token that a text spells out; undefined where there is none. */
  find(text: string): number | undefined {
    if (!this.#first.test(text)) return undefined
    for (const { index } of text.matchAll(this.#occurrence)) return index
    return undefined
  }

  /**
   * The text with `mark` before each special token, and before parts of one at the ends of the text: what stands beside it
   * could make them whole. The text itself where there is none.
   */
  mark(text: string, mark: string): string {
    const positions = new Set<number>()
    if (this.#first.test(text)) for (const { index } of text.matchAll(this.#occurrence)) positions.add(index)
    // the trimmed text as well, for a template may trim
    for (const edge of new Set([text, text.trim()])) {
      const offset = text.indexOf(edge)
      const most = Math.min(this.#longest - 1, edge.length)
      for (let length = 1; length <= most && this.#first.test(edge.slice(-most)); length++) {
        if (this.#beginnings.has(edge.slice(-length))) positions.add(offset + edge.length - length)
      }
      for (let length = 1; length <= most && this.#last.test(edge.slice(0, most)); length++) {
        if (this.#endings.has(edge.slice(0, length))) positions.add(offset)
      }
    }
    if (positions.size === 0) return text
    const cuts = [0, ...[...positions].sort((a, b) => a - b), text.length]
    return cuts
      .slice(1)
      .map((end, index) => text.slice(cuts[index], end))
      .join(mark)
  }
}

/**
 * The turns with marks in their texts; undefined where none spells out a special token. A mark is a noncharacter of Unicode
 * that neither the turns nor the template have.
 */
export function markTurns(
  turns: readonly Turn[],
  spelledTokens: SpelledTokens,
  template: string,
): { turns: Turn[]; mark: string } | undefined {
  const texts = turns.flatMap(textsOfTurn)
  if (texts.every((text) => spelledTokens.mark(text, noncharacters[0]!) === text)) return undefined
  const isFree = (mark: string) => !template.includes(mark) && texts.every((text) => !text.includes(mark))
  // 32 of them in one conversation are no text, and only make the marks be taken for a part of it, which is refused
  const mark = noncharacters.find(isFree) ?? noncharacters[0]!
  return { turns: turns.map((turn) => mapTexts(turn, (text) => spelledTokens.mark(text, mark))), mark }
}

const noncharacters = Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfdd0 + index))
