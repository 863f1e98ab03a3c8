import t from 'tap'
import { checkGradients, checkOp, dot } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { embed, embedBackward } from './embedding-reference.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, type OpCall } from './run-op.js'

t.teardown(closeDevices)

// Ids come up several times, the first and the last of the vocabulary among them.
const shapes = [
  { tokens: 1, columns: 64, vocabulary: 1 },
  { tokens: 5, columns: 123, vocabulary: 3 },
  { tokens: 100, columns: 200, vocabulary: 257 },
]
const idsOf = (tokens: number, vocabulary: number) =>
  Int32Array.from({ length: tokens }, (_, t) => vocabulary - 1 - ((t * t) % vocabulary))

for (const type of computeTypes) {
  t.test(`embedding copies rows, ${type.dtype}`, async (t) => {
    for (const { tokens, columns, vocabulary } of shapes) {
      const table = type.normal(1, vocabulary * columns)
      const ids = idsOf(tokens, vocabulary)
      for (const spare of [0, 5]) {
        const operands = {
          table: type.given(table, [vocabulary, columns], { rowStride: columns + spare }),
          ids: given(ids, ['T']),
          out: type.written(['T', columns], { rowStride: columns + spare }),
        }
        const call: OpCall = { op: 'embedding', tokens, operands }
        await checkOp(t, `${tokens} of ${vocabulary} x ${columns}, ${spare} between rows`, call, {
          out: { values: embed(table, ids, columns) },
        })
      }
    }
  })

  t.test(`the backward pass adds rows in the order of tokens, ${type.dtype}`, async (t) => {
    for (const { tokens, columns, vocabulary } of shapes) {
      const start = normalValues(2, vocabulary * columns)
      const dOut = type.normal(3, tokens * columns)
      const ids = idsOf(tokens, vocabulary)
      for (const spare of [0, 5]) {
        const operands = {
          d_out: type.given(dOut, ['T', columns], { rowStride: columns + spare }),
          ids: given(ids, ['T']),
          d_table: accumulated(start, [vocabulary, columns], { rowStride: columns + spare }),
        }
        const call: OpCall = { op: 'embedding_backward', tokens, operands }
        const values = embedBackward(start, dOut, ids, columns)
        await checkOp(t, `${tokens} of ${vocabulary} x ${columns}, ${spare} between rows`, call, { d_table: { values } })
      }
    }
  })
}

t.test('the gradient is that of the forward formula', async (t) => {
  const columns = 4
  const ids = [2, 0, 2, 1, 2]
  const table = Float64Array.from(normalValues(4, 3 * columns))
  const dOut = normalValues(5, ids.length * columns)
  const d_table = embedBackward(new Float64Array(table.length), dOut, ids, columns, (x) => x)
  checkGradients(t, 'embedding', { table }, ({ table }) => dot(embed(table!, ids, columns), dOut), { table: d_table })
})
