import type { TextTokenizer } from '../data/tokenizer/tokenizer.js'

/** The replacement character: decoded from bytes that are not (yet) a character. */
const replacement = '\ufffd'
/** A character takes at most four bytes, so this many tokens without one are no beginning of one. */
const MOST_UNFINISHED = 8
/** Context tokens that the text of the next one may depend on, for example for spaces. */
const CONTEXT = 6

/**
 * The text of tokens that come one by one: each gives what it adds, characters whole, special tokens left out, and nothing that may be the
 * beginning of a stop text. The pieces together are the text of all tokens.
 */
export class TextStream {
  /** The last tokens: those whose text is out, which are context, and those whose text is not. */
  #ids: number[] = []
  #context = 0
  /** Text that is decoded but may begin a stop text. */
  #held = ''
  #isStopped = false

  constructor(
    private readonly tokenizer: TextTokenizer,
    private readonly stop: readonly string[],
    /** Tokens that come before the text. */
    promptIds: readonly number[] = [],
  ) {
    this.#ids = promptIds.slice(-CONTEXT).filter((id) => !tokenizer.isSpecial(id))
    this.#context = this.#ids.length
  }

  /** Whether a stop text was met; nothing comes after it. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Text that a token adds. */
  push(id: number): string {
    if (this.#isStopped || this.tokenizer.isSpecial(id)) return ''
    this.#ids.push(id)
    const before = this.tokenizer.decode(this.#ids.slice(0, this.#context))
    const text = this.tokenizer.decode(this.#ids)
    const isUnfinished = text.endsWith(replacement) && this.#ids.length - this.#context < MOST_UNFINISHED
    if (isUnfinished || text.length <= before.length) return ''
    this.#ids = this.#ids.slice(-CONTEXT)
    this.#context = this.#ids.length
    return this.#release(text.slice(before.length))
  }

  /** Flushes the remaining text after the last token. */
  finish(): string {
    if (this.#isStopped) return ''
    const before = this.tokenizer.decode(this.#ids.slice(0, this.#context))
    const rest = this.#release(this.tokenizer.decode(this.#ids).slice(before.length))
    const held = this.#isStopped ? '' : this.#held
    this.#held = ''
    return rest + held
  }

  #release(text: string): string {
    const all = this.#held + text
    const starts = this.stop.map((stop) => all.indexOf(stop)).filter((at) => at >= 0)
    if (starts.length > 0) {
      this.#isStopped = true
      this.#held = ''
      return all.slice(0, Math.min(...starts))
    }
    const held = Math.max(0, ...this.stop.map((stop) => overlap(all, stop)))
    this.#held = all.slice(all.length - held)
    return all.slice(0, all.length - held)
  }
}

/** Length of the longest end of a text that is a beginning of another one. */
function overlap(text: string, other: string): number {
  for (let length = Math.min(text.length, other.length - 1); length > 0; length--)
    if (text.endsWith(other.slice(0, length))) return length
  return 0
}
