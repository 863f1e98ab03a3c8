import { attentionBackwardOp, attentionOp } from '../graph/ops/attention.js'
import type { ComputeType } from './compute-type.js'
import type { OpCase } from './op-case.js'

/** Query and key/value heads of Qwen2.5-0.5B. */
const [H, K, D] = [14, 2, 64]
const GROUP = H / K
const SCALE = 1 / Math.sqrt(D)

/** One causal sequence of T tokens, forward and backward. */
export function* attentionCases(type: ComputeType): Generator<OpCase> {
  for (const T of [2048, 8192, 16384]) yield* casesOf(type, T)
}

function* casesOf(type: ComputeType, T: number): Generator<OpCase> {
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
  const attributes = { head_dim: D, scale: SCALE }
  // Causal: half of the scores. Two products forward, five backward.
  const product = T * T * H * D
  const shape = { T, H, K, D }
  const row = (t: number, h: number) => attendRow({ q, k, v }, t, h)

  yield {
    ...{ op: attentionOp, direction: 'forward', shape, attributes, flops: 2 * product },
    operands: { out: { shape: [T, H * D] }, lse: { shape: [T, H] }, ...inputs },
    async check({ read, expectClose }) {
      const out = await read('out')
      const lse = await read('lse')
      for (const [t, h] of sampledRows(T)) {
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
      ...(type.dtype === 'bf16' && { d_q_sum: { shape: [T, H * D] } }),
      d_out: { shape: [T, H * D], values: dOut },
      out: { shape: [T, H * D] },
      lse: { shape: [T, H] },
      ...inputs,
    },
    async check({ read, expectClose }) {
      const [out, lse] = [await read('out'), await read('lse')]
      const [dQ, dK, dV] = [await read('d_q'), await read('d_k'), await read('d_v')]
      const forward = { q, k, v, dOut, out, lse }
      // So are probabilities and gradients of scores before the products that give these gradients.
      const hold = (name: string, values: Float32Array, at: number, { sums, sizes }: Sums, bound: number) => {
        for (let i = 0; i < D; i += 7)
          expectClose(name, at + i, values[at + i]!, sums[i]!, bound + type.roundoff * sizes[i]! * (1 + bound))
      }
      for (const [t, h] of sampledRows(T)) hold('d_q', dQ, (t * H + h) * D, queryGradient(forward, t, h), 1e-5)
      for (const u of [0, 143, T >> 1, T - 1]) {
        const kv = u % K
        const expected = keyGradients(forward, u, kv, T)
        // The sums over all later queries grow with their number.
        const bound = 2e-5 * (1 + Math.log(T))
        hold('d_k', dK, (u * K + kv) * D, expected.dK, bound)
        hold('d_v', dV, (u * K + kv) * D, expected.dV, bound)
      }
    },
  }
}

interface Inputs {
  q: Float32Array
  k: Float32Array
  v: Float32Array
}

function sampledRows(T: number): [number, number][] {
  return [0, 1, 63, 64, 145, T >> 1, T - 1].map((t, n) => [t, (n * 5) % H])
}

function dot(a: Float32Array, i: number, b: Float32Array, j: number): number {
  let sum = 0
  for (let c = 0; c < D; c++) sum += a[i + c]! * b[j + c]!
  return sum
}

function attendRow({ q, k, v }: Inputs, t: number, h: number): { out: Float64Array; sizes: Float64Array; lse: number } {
  const kv = Math.floor(h / GROUP)
  const scores = Float64Array.from({ length: t + 1 }, (_, u) => SCALE * dot(q, (t * H + h) * D, k, (u * K + kv) * D))
  const max = scores.reduce((a, b) => Math.max(a, b))
  const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0)
  const { sums, sizes } = newSums()
  for (let u = 0; u <= t; u++) addScaled({ sums, sizes }, Math.exp(scores[u]! - max) / total, v, (u * K + kv) * D)
  return { out: sums, sizes, lse: max + Math.log(total) }
}

/** Σ factor·row and Σ |factor·row|, channel by channel. */
interface Sums {
  sums: Float64Array
  sizes: Float64Array
}

function newSums(): Sums {
  return { sums: new Float64Array(D), sizes: new Float64Array(D) }
}

function addScaled({ sums, sizes }: Sums, factor: number, values: Float32Array, at: number): void {
  for (let i = 0; i < D; i++) {
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
function pair({ q, k, v, dOut, out, lse }: Forward, t: number, h: number, u: number): { p: number; dS: number } {
  const row = (t * H + h) * D
  const key = (u * K + Math.floor(h / GROUP)) * D
  const p = Math.exp(SCALE * dot(q, row, k, key) - lse[t * H + h]!)
  return { p, dS: p * (dot(dOut, row, v, key) - dot(dOut, row, out, row)) * SCALE }
}

function queryGradient(forward: Forward, t: number, h: number): Sums {
  const dQ = newSums()
  for (let u = 0; u <= t; u++) addScaled(dQ, pair(forward, t, h, u).dS, forward.k, (u * K + Math.floor(h / GROUP)) * D)
  return dQ
}

function keyGradients(forward: Forward, u: number, kv: number, T: number): { dK: Sums; dV: Sums } {
  const [dK, dV] = [newSums(), newSums()]
  for (let t = u; t < T; t++) {
    for (let h = kv * GROUP; h < (kv + 1) * GROUP; h++) {
      const { p, dS } = pair(forward, t, h, u)
      addScaled(dK, dS, forward.q, (t * H + h) * D)
      addScaled(dV, p, forward.dOut, (t * H + h) * D)
    }
  }
  return { dK, dV }
}
