import { isJsonObject, type JsonObject } from '../../../config/json-object.js'
import { compose } from './compose.js'
import { TokenMerger } from './merge-tokens.js'
import { Merges } from './merges.js'
import { PreTokenCache } from './pre-token-cache.js'
import { endLikeGpt2, type NextPreToken, splitPatterns } from './pre-tokens.js'
import { Vocabulary } from './vocabulary.js'

interface Parts {
  nextEnd: NextPreToken
  normalize: ((text: string) => string) | undefined
  vocabulary: Vocabulary
  /** [256], the token of each byte. */
  byteIds: Int32Array
  merges: Merges
  /** A pre-token that is in the vocabulary is that token, whatever merging would make of it (Llama 3). */
  ignoreMerges: boolean
}

/**
 * Byte pair encoding over the bytes of UTF-8, as GPT-2, Qwen and Llama 3 have it. A text is cut into pre-tokens (words,
 * numbers, runs of signs), and each of them is merged from its bytes on its own:
 *
 *     "2+2 is four"  ─▶  2 + 2 ·is ·four  ─▶  17 10 17 374 3040
 */
export class ByteLevelBpe {
  readonly normalize: ((text: string) => string) | undefined
  readonly #parts: Parts
  readonly #merger: TokenMerger
  readonly #cache = new PreTokenCache()
  #bytes = new Uint8Array(256)

  private constructor(parts: Parts) {
    this.#parts = parts
    this.normalize = parts.normalize
    this.#merger = new TokenMerger(parts.merges)
  }

  /** Undefined where `tokenizer.json` has anything that is not known here to give the same ids. */
  static of(definition: JsonObject): ByteLevelBpe | undefined {
    const { model, normalizer = null, decoder } = definition
    const nextEnd = preTokensOf(definition.pre_tokenizer)
    const hasKnownNormalizer = normalizer === null || (isJsonObject(normalizer) && isOnly(normalizer, { type: ['NFC'] }))
    if (nextEnd === undefined || !hasKnownNormalizer || !isJsonObject(decoder) || decoder.type !== 'ByteLevel') return undefined
    if (!isJsonObject(model) || !isOnly(model, bpeKeys) || model.type !== 'BPE') return undefined
    if (!isJsonObject(model.vocab) || !Array.isArray(model.merges)) return undefined
    const known = Vocabulary.of(model.vocab)
    const merges = known && Merges.of(model.merges, known.vocabulary)
    if (known === undefined || merges === undefined) return undefined
    const normalize = normalizer === null ? undefined : compose
    return new ByteLevelBpe({ nextEnd, normalize, ...known, merges, ignoreMerges: model.ignore_merges === true })
  }

  get vocabulary(): Vocabulary {
    return this.#parts.vocabulary
  }

  /** Appends the ids of `text`, which is normalized and has no added tokens, from `start` to `end`. */
  encode(text: string, start: number, end: number, out: number[]): void {
    const { nextEnd } = this.#parts
    for (let at = start; at < end; ) {
      const stop = nextEnd(text, at, end)
      if (stop - at > PreTokenCache.longest) {
        this.#encodePreToken(text, at, stop, out)
      } else if (!this.#cache.lookUp(text, at, stop, out)) {
        const from = out.length
        this.#encodePreToken(text, at, stop, out)
        this.#cache.add(text, at, stop, out, from)
      }
      at = stop
    }
  }

  #encodePreToken(text: string, start: number, end: number, out: number[]): void {
    const length = this.#toBytes(text, start, end)
    const { byteIds, vocabulary, ignoreMerges } = this.#parts
    const whole = ignoreMerges ? vocabulary.find(this.#bytes, 0, length) : -1
    if (whole >= 0) {
      out.push(whole)
      return
    }
    const ids = this.#merger.start(length)
    for (let i = 0; i < length; i++) ids[i] = byteIds[this.#bytes[i]!]!
    const count = this.#merger.merge(length)
    for (let i = 0; i < count; i++) out.push(ids[i]!)
  }

  /** Writes UTF-8 to `#bytes`, U+FFFD for half a surrogate pair: its length. */
  #toBytes(text: string, start: number, end: number): number {
    // at most three bytes for a UTF-16 unit
    if (this.#bytes.length < 3 * (end - start)) this.#bytes = new Uint8Array(4 * (end - start))
    return encoder.encodeInto(start === 0 && end === text.length ? text : text.slice(start, end), this.#bytes).written
  }
}

const encoder = new TextEncoder()

/** The keys of a BPE model, each with the values under which the ids are those that are made here. */
const bpeKeys: Record<string, readonly unknown[] | 'any'> = {
  type: ['BPE'],
  vocab: 'any',
  merges: 'any',
  dropout: [null, 0],
  continuing_subword_prefix: [null, ''],
  end_of_word_suffix: [null, ''],
  ignore_merges: [true, false],
  // Options for unknown characters have no effect: every byte has its token.
  unk_token: 'any',
  fuse_unk: 'any',
  byte_fallback: 'any',
}

function isOnly(json: JsonObject, known: Record<string, readonly unknown[] | 'any'>): boolean {
  return Object.entries(json).every(([key, value]) => {
    const values = Object.hasOwn(known, key) ? known[key] : undefined
    return values === 'any' || values?.includes(value) === true
  })
}

function preTokensOf(preTokenizer: unknown): NextPreToken | undefined {
  if (!isJsonObject(preTokenizer)) return undefined
  if (isByteLevel(preTokenizer)) return preTokenizer.use_regex === false ? undefined : endLikeGpt2
  const { type, pretokenizers } = preTokenizer
  if (type !== 'Sequence' || !Array.isArray(pretokenizers) || pretokenizers.length !== 2) return undefined
  const [split, bytes] = pretokenizers as unknown[]
  if (!isJsonObject(bytes) || !isByteLevel(bytes) || bytes.use_regex !== false) return undefined
  const keys = { type: ['Split'], pattern: 'any', behavior: ['Isolated'], invert: [false] } as const
  if (!isJsonObject(split) || !isOnly(split, keys) || split.type !== 'Split' || !isJsonObject(split.pattern)) return undefined
  const isIsolated = split.behavior === 'Isolated' && split.invert === false
  return isIsolated && isOnly(split.pattern, { Regex: 'any' }) ? splitPatterns.get(split.pattern.Regex as string) : undefined
}

function isByteLevel(json: JsonObject): boolean {
  const keys = { type: ['ByteLevel'], add_prefix_space: [false], trim_offsets: 'any', use_regex: [true, false] } as const
  return isOnly(json, keys) && json.type === 'ByteLevel' && json.add_prefix_space === false
}
