import type { JsonObject } from '../../../config/json-object.js'

/** The byte that each character of a byte-level vocabulary stands for (GPT-2's `bytes_to_unicode` read backwards); −1 for others. */
const byteOfCharacter = byteOfCharacters()

function byteOfCharacters(): Int16Array {
  const table = new Int16Array(0x10000).fill(-1)
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    table[isPrintable ? byte : next++] = byte
  }
  return table
}

/** The bytes of a token that is `text` from `start` to `end`, written to `target` from `at` on: their end, or −1 for a text that is not in bytes' characters. */
export function writeTokenBytes(text: string, start: number, end: number, target: Uint8Array, at: number): number {
  let written = at
  for (let i = start; i < end; i++) {
    const byte = byteOfCharacter[text.charCodeAt(i)]!
    if (byte < 0) return -1
    target[written++] = byte
  }
  return written
}

/** The tokens of a byte-level vocabulary by their bytes: a hash table, because JavaScript has no map with such keys. */
export class Vocabulary {
  /** The largest id. */
  readonly maxId: number
  readonly longestToken: number
  readonly #bytes: Uint8Array
  /** [entries + 1] */
  readonly #starts: Int32Array
  readonly #ids: Int32Array
  /** Entry + 1 by hash; 0 where there is none. */
  readonly #slots: Int32Array
  readonly #entryOfId: Int32Array

  private constructor(tokens: readonly string[], ids: Int32Array) {
    let characters = 0
    let maxId = -1
    let longest = 0
    for (const [entry, token] of tokens.entries()) {
      characters += token.length
      longest = Math.max(longest, token.length)
      maxId = Math.max(maxId, ids[entry]!)
    }
    this.maxId = maxId
    this.longestToken = longest
    this.#ids = ids
    this.#bytes = new Uint8Array(characters)
    this.#starts = new Int32Array(tokens.length + 1)
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * tokens.length + 2)))
    this.#entryOfId = new Int32Array(maxId + 1).fill(-1)
    let end = 0
    for (const [entry, token] of tokens.entries()) {
      const start = end
      const written = writeTokenBytes(token, 0, token.length, this.#bytes, start)
      // A token with other characters is never the result of a merge, so no text has it, and decoding takes it as it is spelled.
      if (written >= 0) {
        end = written
        this.#entryOfId[ids[entry]!] = entry
        this.#insert(entry, start, end)
      }
      this.#starts[entry + 1] = end
    }
  }

  /** Undefined where `vocab` is no map from tokens to different ids, or lacks a byte. */
  static of(vocab: JsonObject): { vocabulary: Vocabulary; byteIds: Int32Array } | undefined {
    const tokens = Object.keys(vocab)
    const ids = new Int32Array(tokens.length)
    for (const [entry, token] of tokens.entries()) {
      const id = vocab[token]
      if (typeof id !== 'number' || !(id >= 0 && id < 2 ** 24 && Number.isInteger(id))) return undefined
      ids[entry] = id
    }
    const sorted = ids.slice().sort()
    for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) return undefined
    const vocabulary = new Vocabulary(tokens, ids)
    const byteIds = Int32Array.from({ length: 256 }, (_, byte) => vocabulary.find(Uint8Array.of(byte), 0, 1))
    return byteIds.includes(-1) ? undefined : { vocabulary, byteIds }
  }

  /** The id of the token with the bytes from `start` to `end`, or −1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#slots.length - 1
    for (let slot = hashOf(bytes, start, end) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot]! - 1
      if (entry < 0) return -1
      if (this.#equals(entry, bytes, start, end)) return this.#ids[entry]!
    }
  }

  /** Undefined for an id without a token in bytes. */
  bytesOf(id: number): Uint8Array | undefined {
    const entry = this.#entryOfId[id] ?? -1
    return entry < 0 ? undefined : this.#bytes.subarray(this.#starts[entry], this.#starts[entry + 1])
  }

  #insert(entry: number, start: number, end: number): void {
    const mask = this.#slots.length - 1
    let slot = hashOf(this.#bytes, start, end) & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = entry + 1
  }

  #equals(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#starts[entry]!
    if (this.#starts[entry + 1]! - from !== end - start) return false
    for (let i = start; i < end; i++) if (this.#bytes[from + i - start] !== bytes[i]) return false
    return true
  }
}

/** FNV-1a, its high bits mixed into the low ones that choose the slot. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash ^ (hash >>> 15)
}
