import { type Vocabulary, writeTokenBytes } from './vocabulary.js'

/** The merges of a byte pair encoding by the ids of their two tokens: result and rank. */
export class Merges {
  /** [merges], in the order of their ranks. */
  readonly #left: Int32Array
  readonly #right: Int32Array
  readonly #merged: Int32Array
  /** Rank + 1 by hash; 0 where there is none. */
  readonly #slots: Int32Array

  private constructor(count: number) {
    this.#left = new Int32Array(count)
    this.#right = new Int32Array(count)
    this.#merged = new Int32Array(count)
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2)))
  }

  /** Undefined where one is malformed, or a token of it is not in the vocabulary. */
  static of(list: readonly unknown[], vocabulary: Vocabulary): Merges | undefined {
    const merges = new Merges(list.length)
    const bytes = new Uint8Array(2 * vocabulary.longestToken)
    for (const [rank, merge] of list.entries()) {
      const middle = writeLeft(merge, bytes)
      const end = middle < 0 ? -1 : writeRight(merge, bytes, middle)
      if (end < 0) return undefined
      const leftId = vocabulary.find(bytes, 0, middle)
      const rightId = vocabulary.find(bytes, middle, end)
      const mergedId = vocabulary.find(bytes, 0, end)
      if (leftId < 0 || rightId < 0 || mergedId < 0) return undefined
      merges.#insert(rank, leftId, rightId, mergedId)
    }
    return merges
  }

  /** The rank of the merge of two tokens, or −1: lower ranks come first. */
  rankOf(left: number, right: number): number {
    const mask = this.#slots.length - 1
    for (let slot = hashOf(left, right) & mask; ; slot = (slot + 1) & mask) {
      const rank = this.#slots[slot]! - 1
      if (rank < 0 || (this.#left[rank] === left && this.#right[rank] === right)) return rank
    }
  }

  merged(rank: number): number {
    return this.#merged[rank]!
  }

  #insert(rank: number, left: number, right: number, merged: number): void {
    this.#left[rank] = left
    this.#right[rank] = right
    this.#merged[rank] = merged
    const mask = this.#slots.length - 1
    let slot = hashOf(left, right) & mask
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const earlier = this.#slots[slot]! - 1
      // the last entry counts where a merge is listed twice
      if (this.#left[earlier] === left && this.#right[earlier] === right) break
    }
    this.#slots[slot] = rank + 1
  }
}

/** Merges as `tokenizer.json` has them: `"a b"`, where no token has a space, or `["a", "b"]`. */
function writeLeft(merge: unknown, bytes: Uint8Array): number {
  if (typeof merge === 'string') return writePart(merge, 0, merge.indexOf(' '), bytes, 0)
  const [left, right] = Array.isArray(merge) && merge.length === 2 ? merge : []
  return typeof left === 'string' && typeof right === 'string' ? writePart(left, 0, left.length, bytes, 0) : -1
}

function writeRight(merge: unknown, bytes: Uint8Array, at: number): number {
  if (typeof merge === 'string') return writePart(merge, merge.indexOf(' ') + 1, merge.length, bytes, at)
  const [, right] = merge as [string, string]
  return writePart(right, 0, right.length, bytes, at)
}

function writePart(text: string, start: number, end: number, bytes: Uint8Array, at: number): number {
  return end <= start || at + end - start > bytes.length ? -1 : writeTokenBytes(text, start, end, bytes, at)
}

function hashOf(left: number, right: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
  return hash ^ (hash >>> 16)
}
