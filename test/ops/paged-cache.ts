import { Random } from '../../lib/random/random.js'
import type { AttentionCase } from './attention-reference.js'
import type { ComputeType } from './compute-types.js'

/** Keys and values of sequences in pages, and where those of each sequence lie. */
export interface PagedValues {
  pageSize: number
  /** Rows of the cache. */
  rows: number
  k: Float32Array
  v: Float32Array
  /** [S, P]; −1 after the last page of a sequence. */
  pageTable: Int32Array
  pagesOfSequence: number
}

/**
 * Lays the keys and values of a case out in pages, in a seeded order and with some pages left over. The first `shared` pages of all
 * sequences are the same ones. Whatever is not a key or value of a sequence is NaN.
 */
export function layOutPages(c: AttentionCase, type: ComputeType, pageSize: number, { shared = 0, seed = 1 } = {}): PagedValues {
  const columns = c.kvHeads * c.dim
  const pages = c.lengths.map((length) => Math.ceil(length / pageSize))
  const pagesOfSequence = Math.max(...pages) + 1
  const order = shuffled(pages.reduce((sum, count) => sum + count, 0) + 3, seed)
  const pageTable = new Int32Array(c.lengths.length * pagesOfSequence).fill(-1)
  const rows = order.length * pageSize
  const parts = [c.k, c.v].map((values) => {
    const from = Float32Array.from(values)
    return { from, to: type.round(new Float32Array(rows * columns).fill(NaN)) }
  })
  let start = 0
  for (const [sequence, length] of c.lengths.entries()) {
    for (let page = 0; page < pages[sequence]!; page++)
      pageTable[sequence * pagesOfSequence + page] = page < shared && sequence > 0 ? pageTable[page]! : order.pop()!
    for (let token = 0; token < length; token++) {
      const page = pageTable[sequence * pagesOfSequence + Math.floor(token / pageSize)]!
      const row = (start + token) * columns
      for (const { from, to } of parts)
        to.set(from.subarray(row, row + columns), (page * pageSize + (token % pageSize)) * columns)
    }
    start += length
  }
  const [k, v] = parts.map(({ to }) => to) as [Float32Array, Float32Array]
  return { pageSize, rows, k, v, pageTable, pagesOfSequence }
}

/** 0 … count − 1 in a seeded order. */
export function shuffled(count: number, seed: number): number[] {
  const random = new Random(seed)
  const order = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1)
    ;[order[i], order[other]] = [order[other]!, order[i]!]
  }
  return order
}
