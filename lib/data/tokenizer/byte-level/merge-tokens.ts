import type { Merges } from './merges.js'

/** A rank and a position as one number that sorts by rank, then by position. */
const positions = 2 ** 32

/**
 * Merges neighbouring tokens until no merge is left, always the one of the lowest rank and of those the first. The waiting
 * merges are in a heap and the tokens in a linked list, so n tokens take n log n steps whatever the text is.
 */
export class TokenMerger {
  readonly #merges: Merges
  #ids = new Int32Array(64)
  #next = new Int32Array(64)
  #previous = new Int32Array(64)
  /** Binary heap, least first. Each merge takes one entry out and puts at most two in. */
  #heap = new Float64Array(128)
  #waiting = 0

  constructor(merges: Merges) {
    this.#merges = merges
  }

  /** Input buffer: the caller writes the `length` tokens to be merged. */
  start(length: number): Int32Array {
    if (length > this.#ids.length) {
      const capacity = 2 * length
      this.#ids = new Int32Array(capacity)
      this.#next = new Int32Array(capacity)
      this.#previous = new Int32Array(capacity)
      this.#heap = new Float64Array(2 * capacity)
    }
    return this.#ids
  }

  /** Merges the first `length` tokens that were written and leaves the result in their place: its length. */
  merge(length: number): number {
    const ids = this.#ids
    const next = this.#next
    const previous = this.#previous
    this.#waiting = 0
    for (let at = 0; at < length; at++) {
      next[at] = at + 1
      previous[at] = at - 1
    }
    for (let at = 0; at + 1 < length; at++) this.#offer(at, at + 1)
    while (this.#waiting > 0) {
      const least = this.#take()
      const rank = Math.floor(least / positions)
      const at = least - rank * positions
      const right = next[at]!
      // one of the two tokens may have been merged with another neighbour meanwhile
      if (ids[at]! < 0 || right >= length || this.#merges.rankOf(ids[at]!, ids[right]!) !== rank) continue
      ids[at] = this.#merges.merged(rank)
      ids[right] = -1
      const following = next[right]!
      next[at] = following
      if (following < length) {
        previous[following] = at
        this.#offer(at, following)
      }
      if (previous[at]! >= 0) this.#offer(previous[at]!, at)
    }
    let count = 0
    for (let at = 0; at < length; at = next[at]!) ids[count++] = ids[at]!
    return count
  }

  #offer(left: number, right: number): void {
    const rank = this.#merges.rankOf(this.#ids[left]!, this.#ids[right]!)
    if (rank < 0) return
    const heap = this.#heap
    const key = rank * positions + left
    let at = this.#waiting++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]! <= key) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = key
  }

  #take(): number {
    const heap = this.#heap
    const least = heap[0]!
    const last = --this.#waiting
    const key = heap[last]!
    let at = 0
    for (let child = 1; child < last; child = 2 * at + 1) {
      if (child + 1 < last && heap[child + 1]! < heap[child]!) child += 1
      if (heap[child]! >= key) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = key
    return least
  }
}
