import { embeddingBackwardOp, embeddingOp } from '../graph/ops/embedding.js'
import { type ComputeType, U } from './compute-type.js'
import { randomIds } from './measure.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** Ids that are spread over all of the table. */
export function* embeddingCases(type: ComputeType, { embedding: { T, V, C } }: BenchSizes): Generator<OpCase> {
  const ids = randomIds(T, V, 1)
  const base = { shape: { T, V, C } }
  const sampled = Array.from({ length: 50 }, (_, n) => ({ t: (n * 7919) % T, c: (n * 37) % C }))
  const table = type.random(V * C, 2)
  yield {
    ...{ ...base, op: embeddingOp, direction: 'forward', bytes: 2 * T * C * type.bytes },
    operands: { out: { shape: [T, C] }, table: { shape: [V, C], values: table }, ids: { shape: [T], values: ids } },
    async check({ read, expectClose }) {
      const out = await read('out')
      for (const { t, c } of sampled) expectClose('out', t * C + c, out[t * C + c]!, table[ids[t]! * C + c]!, 0)
    },
  }
  const dOut = type.random(T * C, 3)
  yield {
    ...{ ...base, op: embeddingBackwardOp, direction: 'backward', bytes: T * C * (type.bytes + 8) },
    operands: {
      d_table: { shape: [V, C], values: new Float32Array(V * C) },
      d_out: { shape: [T, C], values: dOut },
      ids: { shape: [T], values: ids },
    },
    async check({ read, expectClose }) {
      const dTable = await read('d_table')
      for (const { t, c } of sampled) {
        const terms = [...ids.keys()].filter((other) => ids[other] === ids[t]).map((other) => dOut[other * C + c]!)
        const at = ids[t]! * C + c
        const size = terms.reduce((sum, term) => sum + Math.abs(term), 0)
        expectClose(
          'd_table',
          at,
          dTable[at]!,
          terms.reduce((a, b) => a + b),
          terms.length * U * size,
        )
      }
    },
  }
}
