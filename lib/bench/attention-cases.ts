import { attentionBackwardOp, attentionOp } from '../graph/ops/attention.js'
import type { ComputeType } from './compute-type.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** H query heads and K key/value heads of D channels, T tokens. */
type Shape = BenchSizes['attention'][number]

/** One causal sequence of T tokens, forward and backward. */
export function* attentionCases(type: ComputeType, sizes: BenchSizes): Generator<OpCase> {
  for (const shape of sizes.attention) yield* casesOf(type, shape)
}

function* casesOf(type: ComputeType, shape: Shape): Generator<OpCase> {
  const { T, H, K, D } = shape
  const q = type.random(T * H * D, 1)
  const k = type.random(T * K * D, 2)
  const v = type.random(T * K * D, 3)
  const dOut = type.random(T * H * D, 4)
  const cu_seqlens = { shape: [2], values: Int32Array.of(0, T) }
  const inputs = {
    q: { shape: [T, H * D], values: q },
    k: { shape: [T, K * D], values: k },
    v: { shape: [T, K * D], values: v },
    cu_seqlens,
  }
  const attributes = { head_dim: D, scale: 1 / Math.sqrt(D) }
  // Causal: half of the scores. Two products forward, five backward.
  const product = T * T * H * D
  const row = (t: number, h: number) => attendRow({ shape, q, k, v }, t, h)

  yield {
    ...{ op: attentionOp, direction: 'forward', shape, attributes, flops: 2 * product },
    operands: { out: { shape: [T, H * D] }, lse: { shape: [T, H] }, ...inputs },
    async check({ read, expectClose }) {
      const out = await read('out')
      const lse = await read('lse')
      for (const [t, h] of sampledRows(shape)) {
        const expected = row(t, h)
        expectClose('lse', t * H + h, lse[t * H + h]!, expected.lse, 1e-5)
        for (let i = 0; i < D; i += 7) {
          const at = (t * H + h) * D + i
          // Probabilities may be rounded to the type of the operands before their product with the values.
          expectClose('out', at, out[at]!, expected.out[i]!, 1e-5 + type.roundoff * expected.sizes[i]!)
        }
      }
    },
  }

  yield {
    ...{ op: attentionBackwardOp, before: attentionOp, direction: 'backward', shape, attributes, flops: 5 * product },
    operands: {
      d_q: { shape: [T, H * D] },
      d_k: { shape: [T, K * D] },
      d_v: { shape: [T, K * D] },
      delta: { shape: [T, H] },
      d_out: { shape: [T, H * D], values: dOut },
      out: { shape: [T, H * D] },
      lse: { shape: [T, H] },
      ...inputs,
    },
    async check({ read, expectClose }) {
      const [out, lse] = [await read('out'), await read('lse')]
      const [dQ, dK, dV] = [await read('d_q'), await read('d_k'), await read('d_v')]
      const forward = { shape, q, k, v, dOut, out, lse }
      // Probabilities and gradients of scores, too, are rounded before the products that give these gradients.
      const hold = (name: string, values: Float32Array, at: number, { sums, sizes }: Sums, bound: number) => {
        for (let i = 0; i < D; i += 7)
          expectClose(name, at + i, values[at + i]!, sums[i]!, bound + type.roundoff * sizes[i]! * (1 + bound))
      }
      for (const [t, h] of sampledRows(shape)) hold('d_q', dQ, (t * H + h) * D, queryGradient(forward, t, h), 1e-5)
      for (const u of [0, 143, T >> 1, T - 1]) {
        const kv = u % K
        const expected = keyGradients(forward, u, kv)
        // The sums over all later queries grow with their number.
        const bound = 2e-5 * (1 + Math.log(T))
        hold('d_k', dK, (u * K + kv) * D, expected.dK, bound)
        hold('d_v', dV, (u * K + kv) * D, expected.dV, bound)
      }
    },
  }
}

interface Inputs {
  shape: Shape
  q: Float32Array
  k: Float32Array
  v: Float32Array
}

function sampledRows({ T, H }: Shape): [number, number][] {
  return [0, 1, 63, 64, 145, T >> 1, T - 1].map((t, n) => [t, (n * 5) % H])
}

/** The score of query t of head h and key u. */
function scoreOf({ shape: { H, K, D }, q, k }: Inputs, t: number, h: number, u: number): number {
  return dot(q, (t * H + h) * D, k, (u * K + Math.floor((h * K) / H)) * D, D) / Math.sqrt(D)
}

function dot(a: Float32Array, i: number, b: Float32Array, j: number, D: number): number {
  let sum = 0
  for (let c = 0; c < D; c++) sum += a[i + c]! * b[j + c]!
  return sum
}

function attendRow(inputs: Inputs, t: number, h: number): { out: Float64Array; sizes: Float64Array; lse: number } {
  const { H, K, D } = inputs.shape
  const kv = Math.floor((h * K) / H)
  const scores = Float64Array.from({ length: t + 1 }, (_, u) => scoreOf(inputs, t, h, u))
  const max = scores.reduce((a, b) => Math.max(a, b))
  const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0)
  const { sums, sizes } = newSums(D)
  for (let u = 0; u <= t; u++) addScaled({ sums, sizes }, Math.exp(scores[u]! - max) / total, inputs.v, (u * K + kv) * D)
  return { out: sums, sizes, lse: max + Math.log(total) }
}

/** Σ factor·row and Σ |factor·row|, channel by channel. */
interface Sums {
  sums: Float64Array
  sizes: Float64Array
}

function newSums(D: number): Sums {
  return { sums: new Float64Array(D), sizes: new Float64Array(D) }
}

function addScaled({ sums, sizes }: Sums, factor: number, values: Float32Array, at: number): void {
  for (let i = 0; i < sums.length; i++) {
    const term = factor * values[at + i]!
    sums[i]! += term
    sizes[i]! += Math.abs(term)
  }
}

interface Forward extends Inputs {
  dOut: Float32Array
  out: Float32Array
  lse: Float32Array
}

/** p and d_s of one pair of query and key, from the forward result. */
function pair(forward: Forward, t: number, h: number, u: number): { p: number; dS: number } {
  const { shape, v, dOut, out, lse } = forward
  const { H, K, D } = shape
  const row = (t * H + h) * D
  const key = (u * K + Math.floor((h * K) / H)) * D
  const p = Math.exp(scoreOf(forward, t, h, u) - lse[t * H + h]!)
  return { p, dS: (p * (dot(dOut, row, v, key, D) - dot(dOut, row, out, row, D))) / Math.sqrt(D) }
}

function queryGradient(forward: Forward, t: number, h: number): Sums {
  const { H, K, D } = forward.shape
  const dQ = newSums(D)
  for (let u = 0; u <= t; u++) addScaled(dQ, pair(forward, t, h, u).dS, forward.k, (u * K + Math.floor((h * K) / H)) * D)
  return dQ
}

function keyGradients(forward: Forward, u: number, kv: number): { dK: Sums; dV: Sums } {
  const { T, H, K, D } = forward.shape
  const group = H / K
  const [dK, dV] = [newSums(D), newSums(D)]
  for (let t = u; t < T; t++) {
    for (let h = kv * group; h < (kv + 1) * group; h++) {
      const { p, dS } = pair(forward, t, h, u)
      addScaled(dK, dS, forward.q, (t * H + h) * D)
      addScaled(dV, p, forward.dOut, (t * H + h) * D)
    }
  }
  return { dK, dV }
}
