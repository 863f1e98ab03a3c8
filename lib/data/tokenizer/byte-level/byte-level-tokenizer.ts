import type { JsonObject } from '../../../config/json-object.js'
import { type AddedToken, AddedTokenFinder } from '../added-tokens.js'
import type { TokenizerCore } from '../tokenizer-core.js'
import type { ByteLevelBpe } from './byte-level-bpe.js'
import { writeTokenBytes } from './vocabulary.js'

/** A byte-level tokenizer: added tokens are cut out, what is between them is normalized and goes to byte pair encoding. */
export class ByteLevelTokenizer implements TokenizerCore {
  readonly vocabSize: number
  readonly #bpe: ByteLevelBpe
  readonly #vocab: Readonly<Record<string, number>>
  readonly #added: ReadonlyMap<string, AddedToken>
  readonly #addedBytes: ReadonlyMap<number, Uint8Array>
  readonly #original: AddedTokenFinder
  readonly #normalized: AddedTokenFinder
  #tokens: Map<number, string> | undefined

  private constructor(bpe: ByteLevelBpe, vocab: Record<string, number>, added: readonly AddedToken[]) {
    this.#bpe = bpe
    this.#vocab = vocab
    this.#added = new Map(added.map((token) => [token.content, token]))
    const original = added.filter(({ normalized }) => !normalized)
    const { normalize = (text: string) => text } = bpe
    const normalized = added.filter((token) => token.normalized).map((token) => ({ ...token, content: normalize(token.content) }))
    this.#original = new AddedTokenFinder(original)
    this.#normalized = new AddedTokenFinder(normalized)
    this.#addedBytes = new Map([...original, ...normalized].map(({ id, content }) => [id, addedBytes(content)]))
    this.vocabSize = Math.max(bpe.vocabulary.maxId, ...added.map(({ id }) => id)) + 1
  }

  /** Undefined where the added tokens are not those that Hugging Face's tokenizers would make of the file. */
  static of(bpe: ByteLevelBpe, definition: JsonObject, added: readonly AddedToken[]): ByteLevelTokenizer | undefined {
    const { vocab } = definition.model as { vocab: Record<string, number> }
    // Hugging Face's library numbers added tokens itself, from the size of the vocabulary on, and identifies them by content.
    let next = Object.keys(vocab).length
    const seen = new Set<string>()
    for (const { id, content } of added) {
      const expected = Object.hasOwn(vocab, content) ? vocab[content]! : next++
      if (id !== expected || seen.has(content)) return undefined
      seen.add(content)
    }
    // Spelled-out special tokens are told by their place in the original text.
    if (bpe.normalize !== undefined && added.some(({ special, normalized }) => special && normalized)) return undefined
    return new ByteLevelTokenizer(bpe, vocab, added)
  }

  encode(text: string): number[] {
    return this.#encode(text, undefined)
  }

  encodePlain(text: string): number[] {
    return this.#encode(text, ({ special }) => special)
  }

  decode(ids: readonly number[]): string {
    const parts: Uint8Array[] = []
    for (const id of ids) {
      const bytes = this.#addedBytes.get(id) ?? this.#bpe.vocabulary.bytesOf(id) ?? this.#bytesAsSpelled(id)
      if (bytes !== undefined) parts.push(bytes)
    }
    return decoder.decode(Buffer.concat(parts))
  }

  tokenId(token: string): number | undefined {
    return this.#added.get(token)?.id ?? (Object.hasOwn(this.#vocab, token) ? this.#vocab[token] : undefined)
  }

  #encode(text: string, isText: ((token: AddedToken) => boolean) | undefined): number[] {
    const ids: number[] = []
    let written = 0
    for (const { token, start, end } of this.#original.find(text, isText)) {
      if (start > written) this.#encodeBetween(text, written, start, isText, ids)
      ids.push(token.id)
      written = end
    }
    if (written < text.length) this.#encodeBetween(text, written, text.length, isText, ids)
    return ids
  }

  #encodeBetween(text: string, start: number, end: number, isText: ((token: AddedToken) => boolean) | undefined, ids: number[]) {
    const { normalize } = this.#bpe
    if (normalize === undefined && this.#normalized.isEmpty) {
      this.#bpe.encode(text, start, end, ids)
      return
    }
    const part = text.slice(start, end)
    const normalized = normalize === undefined ? part : normalize(part)
    let written = 0
    for (const { token, start, end } of this.#normalized.find(normalized, isText)) {
      if (start > written) this.#bpe.encode(normalized, written, start, ids)
      ids.push(token.id)
      written = end
    }
    this.#bpe.encode(normalized, written, normalized.length, ids)
  }

  /** Text of a vocabulary token that is not spelled in byte characters, and so never comes from encoding. */
  #bytesAsSpelled(id: number): Uint8Array | undefined {
    this.#tokens ??= new Map(Object.entries(this.#vocab).map(([token, tokenId]) => [tokenId, token]))
    const token = this.#tokens.get(id)
    return token === undefined ? undefined : Buffer.from(token)
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** The byte-level decoder reads an added token as bytes too, unless a character of it stands for none. */
function addedBytes(content: string): Uint8Array {
  const bytes = new Uint8Array(content.length)
  const end = writeTokenBytes(content, 0, content.length, bytes, 0)
  return end < 0 ? Buffer.from(content) : bytes
}
