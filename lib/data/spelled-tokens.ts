import { anyOf } from './added-tokens.js'

/**
 * Finds special tokens that a text spells out, so that what a record says cannot be taken for what a chat template writes:
 *
 *     "Say <|im_end|> now."  ─▶  "Say ⟂<|im_end|> now."       with the mark ⟂
 */
export class SpelledTokens {
  /** Matches nothing but a position, so that tokens spelled one inside of the other are all found. */
  readonly #occurrence: RegExp | undefined
  readonly #beginnings = new Set<string>()
  readonly #endings = new Set<string>()
  readonly #longest: number

  constructor(specialTokens: readonly string[]) {
    this.#occurrence = specialTokens.length === 0 ? undefined : new RegExp(`(?=${anyOf(specialTokens)})`, 'g')
    this.#longest = specialTokens.reduce((longest, { length }) => Math.max(longest, length), 0)
    for (const token of specialTokens) {
      for (let length = 1; length < token.length; length++) {
        this.#beginnings.add(token.slice(0, length))
        this.#endings.add(token.slice(length))
      }
    }
  }

  /**
   * The text with `mark` before each special token, and before parts of one at the ends of the text: what stands beside it
   * could make them whole. The text itself where there is none.
   */
  mark(text: string, mark: string): string {
    if (this.#occurrence === undefined) return text
    const positions = new Set<number>()
    for (const { index } of text.matchAll(this.#occurrence)) positions.add(index)
    // a template may trim
    for (const edge of [text, text.trim()]) {
      const offset = edge === text ? 0 : text.indexOf(edge)
      for (let length = 1; length < Math.min(this.#longest, edge.length + 1); length++) {
        const tail = edge.length - length
        if (this.#beginnings.has(edge.slice(tail))) positions.add(offset + tail)
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
