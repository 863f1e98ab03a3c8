import { U } from './check-op.js'

type Numbers = ArrayLike<number>

/** q [T, heads·dim], k and v [T, kvHeads·dim], in sequences of the given lengths. */
export interface AttentionCase {
  lengths: number[]
  /** The queries of each sequence are its last so many tokens, and q has rows for these alone; all when absent. */
  queries?: number[]
  heads: number
  kvHeads: number
  dim: number
  q: Numbers
  k: Numbers
  v: Numbers
  /** 1/√dim when absent. */
  scale?: number
  /** Keys after which sums may be scaled anew, at least; 128 when absent. */
  keysTogether?: number
}

export const scaleOf = ({ dim, scale = 1 / Math.sqrt(dim) }: AttentionCase) => scale

interface Result {
  values: Float64Array
  /** How far float32 may be off. */
  bounds: Float64Array
}

const result = (length: number): Result => ({ values: new Float64Array(length), bounds: new Float64Array(length) })

/** A row of q and a head, with the keys that they see: rows [start, start + keys) of k. */
interface Query {
  row: number
  start: number
  keys: number
  /** Query head and key/value head. */
  h: number
  kv: number
}

function eachQuery({ lengths, queries = lengths, heads, kvHeads }: AttentionCase, body: (query: Query) => void): void {
  let [row, start] = [0, 0]
  for (const [sequence, length] of lengths.entries()) {
    for (let keys = length - queries[sequence]! + 1; keys <= length; keys++, row++)
      for (let h = 0; h < heads; h++) body({ row, start, keys, h, kv: Math.floor(h / (heads / kvHeads)) })
    start += length
  }
}

/** Σ a[i + c]·b[j + c] and Σ |a·b|. */
function dots(a: Numbers, i: number, b: Numbers, j: number, dim: number): [number, number] {
  let sum = 0
  let size = 0
  for (let c = 0; c < dim; c++) {
    const term = a[i + c]! * b[j + c]!
    sum += term
    size += Math.abs(term)
  }
  return [sum, size]
}

/** Scores of one row, and how far the worst of them may be off: a sum of dim products, scaled, and its place relative to the maximum. */
function scoresOf(c: AttentionCase, { row, start, keys, h, kv }: Query): { scores: Float64Array; bound: number } {
  const scores = new Float64Array(keys)
  let bound = 0
  for (let u = 0; u < keys; u++) {
    const [score, size] = dots(c.q, (row * c.heads + h) * c.dim, c.k, ((start + u) * c.kvHeads + kv) * c.dim, c.dim)
    scores[u] = score * scaleOf(c)
    bound = Math.max(bound, (c.dim + 4) * U * size * scaleOf(c))
  }
  return { scores, bound }
}

/**
 * The formulas of attention.h for every row, in double.
 *
 * `roundoff` is the unit roundoff of probabilities and score gradients, which may be rounded to the type of the operands before
 * their products. That of what is stored is not in the bounds.
 */
export function attend(c: AttentionCase, roundoff = 0): { out: Result; lse: Result } {
  const out = result(c.q.length)
  const lse = result(c.q.length / c.dim)
  eachQuery(c, (query) => {
    const { start, h, kv } = query
    const { scores, bound } = scoresOf(c, query)
    const max = scores.reduce((a, b) => Math.max(a, b))
    const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0)
    const row = query.row * c.heads + h
    lse.values[row] = max + Math.log(total)
    // Keys come in blocks; each new maximum scales what was summed before by a rounded exponential.
    const roundings = (scores.length + 6 * Math.ceil(scores.length / (c.keysTogether ?? 128)) + 12) * U
    lse.bounds[row] = bound + roundings + 2 * U * Math.abs(lse.values[row]!)
    for (let u = 0; u < scores.length; u++) {
      const p = Math.exp(scores[u]! - lse.values[row]!)
      const relative = 2 * bound + roundings + 3 * U * Math.abs(scores[u]! - max)
      for (let i = 0; i < c.dim; i++) {
        const term = p * c.v[((start + u) * c.kvHeads + kv) * c.dim + i]!
        out.values[row * c.dim + i]! += term
        // What is below e^−87 of the maximum counts as 0.
        out.bounds[row * c.dim + i]! += Math.abs(term) * (relative + roundoff * (1 + relative)) + 1e-37
      }
    }
  })
  return { out, lse }
}

/** The formulas of attention_backward, from `out` and `lse` of the forward pass; `roundoff` as for the forward pass. */
export function attendBackward(c: AttentionCase, dOut: Numbers, out: Numbers, lse: Numbers, roundoff = 0) {
  const [dQ, dK, dV] = [result(c.q.length), result(c.k.length), result(c.v.length)]
  const group = c.heads / c.kvHeads
  // A factor of that size, off by `bound`, is rounded and then goes through so many roundings of a sum of products.
  const summed = (size: number, bound: number, roundings: number) =>
    bound + (size + bound) * (roundoff + roundings * U * (1 + roundoff))
  eachQuery(c, (query) => {
    const { start, h, kv } = query
    const row = query.row * c.heads + h
    const { scores, bound } = scoresOf(c, query)
    const [delta, deltaSize] = dots(dOut, row * c.dim, out, row * c.dim, c.dim)
    // d_k and d_v sum over the rows of the sequence and the heads of the group, d_q over the keys.
    const rows = c.lengths.reduce((a, b) => Math.max(a, b)) * group
    for (let u = 0; u < scores.length; u++) {
      const key = ((start + u) * c.kvHeads + kv) * c.dim
      const p = Math.exp(scores[u]! - lse[row]!)
      const [dP, dPSize] = dots(dOut, row * c.dim, c.v, key, c.dim)
      const dS = p * (dP - delta) * scaleOf(c)
      const pRelative = bound + 2 * U * (Math.abs(scores[u]!) + Math.abs(lse[row]!)) + 6 * U
      const dSBound = scaleOf(c) * p * (pRelative * Math.abs(dP - delta) + (c.dim + 4) * U * (dPSize + deltaSize)) + 1e-37
      for (let i = 0; i < c.dim; i++) {
        const [q, k, d] = [c.q[row * c.dim + i]!, c.k[key + i]!, dOut[row * c.dim + i]!]
        dV.values[key + i]! += p * d
        dV.bounds[key + i]! += summed(p, p * pRelative, rows + 2) * Math.abs(d) + 1e-37
        dQ.values[row * c.dim + i]! += dS * k
        dQ.bounds[row * c.dim + i]! += summed(Math.abs(dS), dSBound, scores.length + 4) * Math.abs(k)
        dK.values[key + i]! += dS * q
        dK.bounds[key + i]! += summed(Math.abs(dS), dSBound, rows + 2) * Math.abs(q)
      }
    }
  })
  return { dQ, dK, dV }
}
