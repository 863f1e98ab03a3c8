import { linearCrossEntropyOp, scoredRowsPerChunk } from '../graph/ops/linear-cross-entropy.js'
import { type ComputeType, U } from './compute-type.js'
import { randomIds, randomValues } from './measure.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** The vocabulary projection with its loss, every token scored: one product forward, two backward. */
export function* lossCases(type: ComputeType, { loss: { T, V, C } }: BenchSizes): Generator<OpCase> {
  const hidden = type.random(T * C, 1)
  // A power of two: logits of the size of one, and still numbers of the type.
  const weight = type.random(V * C, 2).map((value) => value / 16)
  const labels = randomIds(T, V, 3)
  const lossWeights = randomValues(T, 4).map((value) => 1 + value)
  const rows = scoredRowsPerChunk(V, T)
  yield {
    ...{ op: linearCrossEntropyOp, direction: 'forward+backward', shape: { T, V, C }, flops: 6 * T * V * C },
    operands: {
      loss: { shape: [1] },
      token_loss: { shape: [T] },
      d_hidden: { shape: [T, C] },
      d_weight: { shape: [V, C], values: new Float32Array(V * C) },
      logits: { shape: [rows, V] },
      hidden_rows: { shape: [rows, C] },
      d_hidden_rows: { shape: [rows, C] },
      hidden: { shape: [T, C], values: hidden },
      weight: { shape: [V, C], values: weight },
      labels: { shape: [T], values: labels },
      loss_weights: { shape: [T], values: lossWeights },
    },
    async check({ read, expectClose }) {
      const [loss, tokenLoss] = [await read('loss'), await read('token_loss')]
      const [dHidden, dWeight] = [await read('d_hidden'), await read('d_weight')]
      const total = tokenLoss.reduce((sum, value, t) => sum + value * lossWeights[t]!, 0)
      expectClose('loss', 0, loss[0]!, total, T * U * Math.abs(total))

      const logit = (t: number, v: number) => dotOf(hidden, t * C, weight, v * C, C)
      for (const t of [0, T >> 1, T - 1]) {
        const z = Float64Array.from({ length: V }, (_, v) => logit(t, v))
        const max = z.reduce((a, b) => Math.max(a, b))
        const lse = max + Math.log(z.reduce((sum, value) => sum + Math.exp(value - max), 0))
        const label = labels[t]!
        expectClose('token_loss', t, tokenLoss[t]!, lse - z[label]!, 2 * logitBound(C) + 1e-5)
        const dZ = z.map((value, v) => lossWeights[t]! * (Math.exp(value - lse) - (v === label ? 1 : 0)))
        for (let c = 0; c < C; c += 113) {
          const terms = { sum: 0, size: 0 }
          for (let v = 0; v < V; v++) add(terms, dZ[v]! * weight[v * C + c]!)
          expectClose('d_hidden', t * C + c, dHidden[t * C + c]!, terms.sum, productBound(type, C, V, terms.size))
        }
      }
      // The other gradient sums over all rows, whose log-sum-exp the losses tell.
      const lse = Float64Array.from(tokenLoss, (value, t) => value + logit(t, labels[t]!))
      for (const v of [labels[0]!, labels[T >> 1]!, 0, V >> 1, V - 1]) {
        const dZ = lse.map((value, t) => lossWeights[t]! * (Math.exp(logit(t, v) - value) - (labels[t] === v ? 1 : 0)))
        for (let c = 0; c < C; c += 113) {
          const terms = { sum: 0, size: 0 }
          for (let t = 0; t < T; t++) add(terms, dZ[t]! * hidden[t * C + c]!)
          expectClose('d_weight', v * C + c, dWeight[v * C + c]!, terms.sum, productBound(type, C, T, terms.size))
        }
      }
    },
  }
}

/** A sum of C products of numbers below 1 and below 1/16. */
const logitBound = (C: number) => (C * U * C) / 16

/** Gradients of logits are off by twice what logits are off by, and may be rounded before they are summed with so many others. */
function productBound(type: ComputeType, C: number, terms: number, size: number): number {
  return size * (type.roundoff + 4 * logitBound(C) + terms * U + 1e-5)
}

function dotOf(a: Float32Array, i: number, b: Float32Array, j: number, C: number): number {
  let sum = 0
  for (let c = 0; c < C; c++) sum += a[i + c]! * b[j + c]!
  return sum
}

function add(terms: { sum: number; size: number }, term: number): void {
  terms.sum += term
  terms.size += Math.abs(term)
}
