import type { Page } from './page-pool.js'
import type { SamplingOptions } from './sampling.js'

/** Why a sequence ended: an end token or stop text, its limit, its owner, or logits that are not finite. */
export type EngineEnd = 'stop' | 'length' | 'cancelled' | Error

/** Callbacks of a sequence; called between two steps. */
export interface SequenceListener {
  /** A token was chosen; answer true to end the sequence. */
  onToken(token: number, logprob: number, logits: Float32Array | undefined): boolean
  onEnd(end: EngineEnd): void
}

export interface SequenceRequest extends SequenceListener {
  promptIds: readonly number[]
  sampling: Omit<SamplingOptions, 'stop'>
  /** Number of the answer among several to the same prompt: each has its own random numbers. */
  sample: number
  /** Tokens that end it, which are told like any other. */
  endIds: ReadonlySet<number>
}

/** A sequence that is being generated. */
export class Sequence {
  /** Prompt and answer. */
  readonly tokens: number[]
  /** Tokens whose keys and values are in the cache. */
  computed = 0
  pages: Page[] = []
  isCancelled = false
  readonly #seen: { words: Int32Array; tokens: number } = { words: new Int32Array(0), tokens: 0 }

  constructor(
    readonly request: SequenceRequest,
    /** The most tokens, prompt and answer. */
    readonly mostTokens: number,
  ) {
    this.tokens = [...request.promptIds]
  }

  get promptLength(): number {
    return this.request.promptIds.length
  }

  /** Bit set of the tokens that it has, for the repetition penalty. */
  seenIn(words: number): Int32Array {
    const seen = this.#seen
    if (seen.words.length !== words) {
      seen.words = new Int32Array(words)
      seen.tokens = 0
    }
    for (; seen.tokens < this.tokens.length; seen.tokens++) {
      const id = this.tokens[seen.tokens]!
      seen.words[id >>> 5]! |= 1 << (id & 31)
    }
    return seen.words
  }

  /** Set to end it before its next token. */
  cancel(): void {
    this.isCancelled = true
  }
}
