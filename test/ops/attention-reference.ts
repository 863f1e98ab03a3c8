import { U } from './check-op.js'

type Numbers = ArrayLike<number>

/** q [T, heads·dim], k and v [T, kvHeads·dim], in sequences of the given lengths. */
export interface AttentionCase {
  lengths: number[]
  heads: number
  kvHeads: number
  dim: number
  q: Numbers
  k: Numbers
  v: Numbers
}

export const scaleOf = ({ dim }: AttentionCase) => 1 / Math.sqrt(dim)

interface Result {
  values: Float64Array
  /** How far float32 may be off. */
  bounds: Float64Array
}

const result = (length: number): Result => ({ values: new Float64Array(length), bounds: new Float64Array(length) })

/** body(row, first row of its sequence, query head, key/value head) */
function eachQuery(
  { lengths, heads, kvHeads }: AttentionCase,
  body: (t: number, start: number, h: number, kv: number) => void,
): void {
  let start = 0
  for (const length of lengths) {
    for (let t = start; t < start + length; t++)
      for (let h = 0; h < heads; h++) body(t, start, h, Math.floor(h / (heads / kvHeads)))
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
function scoresOf(c: AttentionCase, t: number, start: number, h: number, kv: number): { scores: Float64Array; bound: number } {
  const scores = new Float64Array(t - start + 1)
  let bound = 0
  for (let u = start; u <= t; u++) {
    const [score, size] = dots(c.q, (t * c.heads + h) * c.dim, c.k, (u * c.kvHeads + kv) * c.dim, c.dim)
    scores[u - start] = score * scaleOf(c)
    bound = Math.max(bound, (c.dim + 4) * U * size * scaleOf(c))
  }
  return { scores, bound }
}

/** The formulas of attention.h for every row, in double. */
export function attend(c: AttentionCase): { out: Result; lse: Result } {
  const tokens = c.lengths.reduce((sum, length) => sum + length, 0)
  const out = result(tokens * c.heads * c.dim)
  const lse = result(tokens * c.heads)
  eachQuery(c, (t, start, h, kv) => {
    const { scores, bound } = scoresOf(c, t, start, h, kv)
    const max = scores.reduce((a, b) => Math.max(a, b))
    const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0)
    const row = t * c.heads + h
    lse.values[row] = max + Math.log(total)
    // Keys come in blocks of 144; each new maximum scales what was summed before by a rounded exponential.
    const roundings = (scores.length + 6 * Math.ceil(scores.length / 144) + 12) * U
    lse.bounds[row] = bound + roundings + 2 * U * Math.abs(lse.values[row]!)
    for (let u = 0; u < scores.length; u++) {
      const p = Math.exp(scores[u]! - lse.values[row]!)
      const relative = 2 * bound + roundings + 3 * U * Math.abs(scores[u]! - max)
      for (let i = 0; i < c.dim; i++) {
        const term = p * c.v[((start + u) * c.kvHeads + kv) * c.dim + i]!
        out.values[row * c.dim + i]! += term
        // What is below e^−87 of the maximum counts as 0.
        out.bounds[row * c.dim + i]! += Math.abs(term) * relative + 1e-37
      }
    }
  })
  return { out, lse }
}

/** The formulas of attention_backward, from `out` and `lse` of the forward pass. */
export function attendBackward(c: AttentionCase, dOut: Numbers, out: Numbers, lse: Numbers) {
  const [dQ, dK, dV] = [result(c.q.length), result(c.k.length), result(c.v.length)]
  const group = c.heads / c.kvHeads
  eachQuery(c, (t, start, h, kv) => {
    const row = t * c.heads + h
    const { scores, bound } = scoresOf(c, t, start, h, kv)
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
        dV.bounds[key + i]! += (pRelative + (rows + 2) * U) * Math.abs(p * d) + 1e-37
        dQ.values[row * c.dim + i]! += dS * k
        dQ.bounds[row * c.dim + i]! += (dSBound + (scores.length + 4) * U * Math.abs(dS)) * Math.abs(k)
        dK.values[key + i]! += dS * q
        dK.bounds[key + i]! += (dSBound + (rows + 2) * U * Math.abs(dS)) * Math.abs(q)
      }
    }
  })
  return { dQ, dK, dV }
}
