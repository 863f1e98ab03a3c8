import t from 'tap'
import { checkGradients, checkOp, dot, U } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { rmsNorm, rmsNormBackward } from './rms-norm-reference.js'
import { accumulated, closeDevices, given, type OpCall, written } from './run-op.js'

t.teardown(closeDevices)

/* Every head of D channels is normalised by itself: rms_norm with heads for rows. */

const EPS = 1e-6

const shapes = [
  { tokens: 1, heads: 1, dim: 1 },
  { tokens: 1, heads: 1, dim: 64 },
  { tokens: 5, heads: 3, dim: 41 },
  { tokens: 40, heads: 14, dim: 128 },
]

for (const type of computeTypes) {
  t.test(`head_norm, ${type.dtype}`, async (t) => {
    for (const { tokens, heads, dim } of shapes) {
      const columns = heads * dim
      const x = type.normal(1, tokens * columns)
      const weight = type.normal(2, dim)
      const want = rmsNorm(x, weight, EPS)
      // As for rms_norm: half the roundings of a sum of n squares, then eight more.
      const relative = (dim / 2 + 8) * U
      // A view as of queries in a fused projection.
      for (const spare of [0, 2 * dim]) {
        const options = { rowStride: columns + spare }
        const operands = {
          x: type.given(x, ['T', columns], options),
          weight: type.given(weight, [dim]),
          out: type.written(['T', columns], options),
          rstd: written(['T', heads], { rowStride: heads + spare }),
        }
        const call: OpCall = { op: 'head_norm', tokens, operands, attributes: { eps: EPS } }
        await checkOp(t, `${tokens} x ${heads} x ${dim}, ${spare} between rows`, call, {
          out: type.stored({ values: want.out, bounds: want.out.map((value) => Math.abs(value) * relative) }),
          rstd: { values: want.rstd, bounds: want.rstd.map((value) => Math.abs(value) * relative) },
        })
      }
    }
  })

  t.test(`head_norm_backward, ${type.dtype}`, async (t) => {
    for (const { tokens, heads, dim } of shapes) {
      const columns = heads * dim
      const x = type.normal(3, tokens * columns, 2)
      const weight = type.normal(4, dim)
      const dOut = type.normal(5, tokens * columns)
      const start = normalValues(6, dim)
      const rstd = Float32Array.from(rmsNorm(x, weight, EPS).rstd)
      const want = rmsNormBackward(dOut, x, rstd, weight)
      for (const spare of [0, 2 * dim]) {
        const options = { rowStride: columns + spare }
        const operands = {
          d_out: type.given(dOut, ['T', columns], options),
          x: type.given(x, ['T', columns], options),
          rstd: given(rstd, ['T', heads]),
          weight: type.given(weight, [dim]),
          d_x: type.written(['T', columns], options),
          d_weight: accumulated(start, [dim]),
        }
        const call: OpCall = { op: 'head_norm_backward', tokens, operands }
        await checkOp(t, `${tokens} x ${heads} x ${dim}, ${spare} between rows`, call, {
          d_x: type.stored({ values: want.dX, bounds: want.dXSizes.map((size) => (dim + 12) * U * size) }),
          d_weight: {
            values: want.dWeight.map((value, i) => value + start[i]!),
            bounds: want.dWeightSizes.map((size, i) => (tokens * heads + 4) * U * (size + Math.abs(start[i]!))),
          },
        })
      }
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const inputs = { x: Float64Array.from(normalValues(7, 2 * 3 * 4)), weight: Float64Array.from(normalValues(8, 4)) }
  const dOut = normalValues(9, inputs.x.length)
  const { dX, dWeight } = rmsNormBackward(dOut, inputs.x, rmsNorm(inputs.x, inputs.weight, EPS).rstd, inputs.weight)
  checkGradients(t, 'head_norm', inputs, ({ x, weight }) => dot(rmsNorm(x!, weight!, EPS).out, dOut), { x: dX, weight: dWeight })
})
