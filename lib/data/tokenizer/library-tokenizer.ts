import * as library from '@huggingface/tokenizers'
import type { JsonObject } from '../../config/json-object.js'
import { type AddedToken, AddedTokenFinder, readAddedTokens } from './added-tokens.js'
import { inBoundedTime } from './bounded-time.js'
import type { Before, TokenizerCore } from './tokenizer-core.js'

// Types of the parts of the library that are used. Its own types import without file extensions, which this module resolution
// does not follow.
type TextPart = (text: string) => unknown
interface Tokenizer {
  normalizer: TextPart | null
  pre_tokenizer: TextPart | null
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] }
  decode(ids: readonly number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string
  token_to_id(token: string): number | undefined
  get_vocab(): Map<string, number>
}
const { Tokenizer, SequenceNormalizer, SequencePreTokenizer } = library as unknown as {
  Tokenizer: new (definition: JsonObject, config: JsonObject) => Tokenizer
  SequenceNormalizer: new (config: { type: 'Sequence'; normalizers: JsonObject[] }) => TextPart
  SequencePreTokenizer: new (config: { type: 'Sequence'; pretokenizers: JsonObject[] }) => TextPart
}

/** Bound on the time of one text where a file brings regular expressions: a hundred times what those of models take. */
const LONGEST_MS = 5000
const LONGEST_MS_PER_UNIT = 0.2

function hasPatterns({ normalizer, pre_tokenizer, decoder }: JsonObject): boolean {
  return JSON.stringify([normalizer, pre_tokenizer, decoder]).includes('"Regex"')
}

/** Any other tokenizer, by Hugging Face's library for JavaScript: all kinds, at a tenth of the speed. */
export class LibraryTokenizer implements TokenizerCore {
  readonly vocabSize: number
  readonly #full: PrefixedTokenizer
  readonly #makePlain: () => PrefixedTokenizer
  readonly #bounded: <T>(run: () => T, length: number) => T
  #plain: PrefixedTokenizer | undefined

  /** Throws what the library throws for a definition that it cannot use. */
  constructor(definition: JsonObject, config: JsonObject, added: readonly AddedToken[], malformed: (problem: string) => Error) {
    const withTokens = (tokens: unknown[]) => new PrefixedTokenizer({ ...definition, added_tokens: tokens }, config, malformed)
    const listed = (definition.added_tokens ?? []) as unknown[]
    this.#full = withTokens(listed)
    this.#makePlain = () => withTokens(listed.filter((_, index) => !added[index]!.special))
    this.vocabSize = this.#full.vocabSize
    const isSlow = () => malformed('a regular expression in it takes seconds for one text')
    this.#bounded = hasPatterns(definition)
      ? (run, length) => inBoundedTime(run, LONGEST_MS + length * LONGEST_MS_PER_UNIT, isSlow)
      : (run) => run()
  }

  encode(text: string, before: Before): number[] {
    return this.#bounded(() => this.#full.encode(text, before), text.length)
  }

  encodePlain(text: string, before: Before): number[] {
    this.#plain ??= this.#makePlain()
    const plain = this.#plain
    return this.#bounded(() => plain.encode(text, before), text.length)
  }

  decode(ids: readonly number[]): string {
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false }
    return this.#bounded(() => this.#full.tokenizer.decode(ids, options), ids.length)
  }

  tokenId(token: string): number | undefined {
    return this.#full.tokenizer.token_to_id(token)
  }
}

/**
 * Llama 2's tokenizer puts a space before every text. A piece that continues a text must not get one: the model, which
 * continues its prompt token by token, never sees it. So the tokenizer's prefix rules are taken out while it is encoded. What
 * follows an added token gets a space by `prepend_scheme: always` and by the normalizer Prepend, but not by `first`, which is for the
 * beginning of a whole text.
 */
class PrefixedTokenizer {
  readonly tokenizer: Tokenizer
  readonly vocabSize: number
  readonly #malformed: (problem: string) => Error
  readonly #added: AddedTokenFinder
  readonly #parts: { readonly [before in Before]?: Parts | undefined }

  constructor(definition: JsonObject, config: JsonObject, malformed: (problem: string) => Error) {
    this.tokenizer = new Tokenizer(definition, config)
    this.#malformed = malformed
    let vocabSize = 0
    for (const id of this.tokenizer.get_vocab().values()) vocabSize = Math.max(vocabSize, id + 1)
    this.vocabSize = vocabSize
    this.#added = new AddedTokenFinder(readAddedTokens(definition.added_tokens) ?? [])
    this.#parts = { text: partsWithoutPrefix(definition, isPrefix), token: partsWithoutPrefix(definition, isFirstPrefix) }
  }

  encode(text: string, before: Before): number[] {
    if (text === '') return []
    if (before !== 'text' || this.#parts.text === undefined) return this.#encodeBy(this.#parts[before], text)
    // Only as far as the text is continued: a space comes after the added tokens in it as in a text that begins.
    const [next] = this.#added.find(text)
    const end = next?.start ?? text.length
    const head = end === 0 ? [] : this.#encodeBy(this.#parts.text, text.slice(0, end))
    return end === text.length ? head : [...head, ...this.#encodeBy(this.#parts.token, text.slice(end))]
  }

  #encodeBy(parts: Parts | undefined, text: string): number[] {
    if (parts === undefined) return this.#encode(text)
    const { tokenizer } = this
    const { normalizer, pre_tokenizer } = tokenizer
    if (normalizer !== null) tokenizer.normalizer = parts.normalizer
    if (pre_tokenizer !== null) tokenizer.pre_tokenizer = parts.preTokenizer
    try {
      return this.#encode(text)
    } finally {
      tokenizer.normalizer = normalizer
      tokenizer.pre_tokenizer = pre_tokenizer
    }
  }

  #encode(text: string): number[] {
    const { ids, tokens } = this.tokenizer.encode(text, { add_special_tokens: false })
    const unknown = ids.findIndex((id) => !Number.isInteger(id))
    if (unknown < 0) return ids
    throw this.#malformed(`it has no id for the token ${JSON.stringify(tokens[unknown])}`)
  }
}

interface Parts {
  normalizer: TextPart
  preTokenizer: TextPart
}

const isFirstPrefix = (part: JsonObject) => part.type === 'Metaspace' && part.prepend_scheme === 'first'
const isPrefix = (part: JsonObject) =>
  part.type === 'Prepend' ||
  part.add_prefix_space === true ||
  part.prepend_scheme === 'always' ||
  part.prepend_scheme === 'first' ||
  // The library's default, as that of Hugging Face's tokenizers.
  (part.type === 'Metaspace' && part.prepend_scheme == null)

/** The normalizer and pre-tokenizer without some of their rules that put a space first; undefined where they have none of those. */
function partsWithoutPrefix(definition: JsonObject, isTakenOut: (part: JsonObject) => boolean): Parts | undefined {
  const normalizers = flatten(definition.normalizer, 'normalizers')
  const preTokenizers = flatten(definition.pre_tokenizer, 'pretokenizers')
  if (![...normalizers, ...preTokenizers].some(isTakenOut)) return undefined
  return {
    normalizer: new SequenceNormalizer({ type: 'Sequence', normalizers: normalizers.filter((part) => !isTakenOut(part)) }),
    preTokenizer: new SequencePreTokenizer({
      type: 'Sequence',
      pretokenizers: preTokenizers.map((part) =>
        isTakenOut(part) ? { ...part, add_prefix_space: false, prepend_scheme: 'never' } : part,
      ),
    }),
  }
}

/** The parts of a normalizer or pre-tokenizer, in order, with sequences inside it taken apart. */
function flatten(part: unknown, sequenceKey: string): JsonObject[] {
  if (part == null) return []
  const { [sequenceKey]: parts } = part as JsonObject
  return Array.isArray(parts) ? parts.flatMap((inner) => flatten(inner, sequenceKey)) : [part as JsonObject]
}
