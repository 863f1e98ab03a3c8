import t from 'tap'
import { checkGradients, checkOp, dot, U } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { rmsNorm, rmsNormBackward } from './rms-norm-reference.js'
import { accumulated, closeDevices, given, type OpCall, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const EPS = 1e-6

// 100 x 300: more than the 32 rows and 64 columns of a task
const shapes = [
  [1, 1],
  [1, 64],
  [32, 128],
  [5, 123],
  [100, 300],
] as const

for (const type of computeTypes) {
  t.test(`rms_norm, ${type.dtype}`, async (t) => {
    for (const [rows, columns] of shapes) {
      const x = type.normal(1, rows * columns)
      const residual = type.normal(2, rows * columns, 3)
      const weight = type.normal(3, columns)
      // The sum of n squares, all positive, is off by n + 2 roundings at most, its square root by half of that; then come
      // the mean, eps, the root, the division and two products.
      const relative = (columns / 2 + 8) * U
      const withBounds = (values: Float64Array) => ({ values, bounds: values.map((value) => Math.abs(value) * relative) })
      for (const spare of [0, 7]) {
        const options = { rowStride: columns + spare }
        const plain = rmsNorm(x, weight, EPS)
        const operands: OpCall['operands'] = {
          x: type.given(x, ['T', columns], options),
          weight: type.given(weight, [columns]),
          out: type.written(['T', columns], options),
          rstd: written(['T']),
        }
        const call: OpCall = { op: 'rms_norm', tokens: rows, operands, attributes: { eps: EPS } }
        await checkOp(t, `${rows} x ${columns}, ${spare} between rows`, call, {
          out: type.stored(withBounds(plain.out)),
          rstd: withBounds(plain.rstd),
        })
        const sum = type.round(x.map((value, i) => value + residual[i]!)) // what is normalised is the sum as it is stored
        const added = rmsNorm(sum, weight, EPS)
        const withResidual = {
          ...operands,
          residual: type.given(residual, ['T', columns], { rowStride: columns + 2 * spare }),
          sum: type.written(['T', columns], options),
        }
        await checkOp(
          t,
          `${rows} x ${columns} with a residual, ${spare} between rows`,
          { ...call, operands: withResidual },
          {
            out: type.stored(withBounds(added.out)),
            rstd: withBounds(added.rstd),
            sum: { values: sum },
          },
        )
      }
    }
  })

  t.test(`rms_norm_backward, ${type.dtype}`, async (t) => {
    for (const [rows, columns] of shapes) {
      const x = type.normal(4, rows * columns, 2)
      const weight = type.normal(5, columns)
      const dOut = type.normal(6, rows * columns)
      const dSum = type.normal(7, rows * columns)
      const start = normalValues(8, columns)
      const rstd = Float32Array.from(rmsNorm(x, weight, EPS).rstd)
      for (const flows of [undefined, dSum]) {
        const want = rmsNormBackward(dOut, x, rstd, weight, flows)
        // A dot product of n terms of three factors, then a dozen roundings.
        const dXBounds = want.dXSizes.map((size) => (columns + 12) * U * size)
        const dWeightBounds = want.dWeightSizes.map((size, c) => (rows + 4) * U * (size + Math.abs(start[c]!)))
        const expected = {
          d_x: type.stored({ values: want.dX, bounds: dXBounds }),
          d_weight: { values: want.dWeight.map((value, c) => value + start[c]!), bounds: dWeightBounds },
        }
        for (const spare of [0, 7]) {
          const options = { rowStride: columns + spare }
          const operands: OpCall['operands'] = {
            d_out: type.given(dOut, ['T', columns], options),
            ...(flows ? { d_sum: type.given(flows, ['T', columns], options) } : {}),
            x: type.given(x, ['T', columns], options),
            rstd: given(rstd, ['T']),
            weight: type.given(weight, [columns]),
            d_x: type.written(['T', columns], options),
            d_weight: accumulated(start, [columns]),
          }
          const call: OpCall = { op: 'rms_norm_backward', tokens: rows, operands }
          const name = `${rows} x ${columns}${flows ? ' with d_sum' : ''}, ${spare} between rows`
          await checkOp(t, name, call, expected)
          for (const over of flows ? ['d_out', 'd_sum'] : ['d_out']) {
            const inPlace = { ...operands, d_x: type.written(['T', columns], { ...options, over }) }
            await checkOp(t, `${name}, d_x is ${over}`, { ...call, operands: inPlace }, expected)
          }
        }
      }
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const [rows, columns] = [3, 5]
  const inputs = { x: Float64Array.from(normalValues(9, rows * columns)), weight: Float64Array.from(normalValues(10, columns)) }
  const dOut = normalValues(11, rows * columns)
  const dSum = normalValues(12, rows * columns)
  const { dX, dWeight } = rmsNormBackward(dOut, inputs.x, rmsNorm(inputs.x, inputs.weight, EPS).rstd, inputs.weight, dSum)
  checkGradients(t, 'rms_norm', inputs, ({ x, weight }) => dot(rmsNorm(x!, weight!, EPS).out, dOut) + dot(x!, dSum), {
    x: dX,
    weight: dWeight,
  })
})

for (const type of computeTypes)
  t.test(`a NaN stays in its row, a row of zeros is zero, ${type.dtype}`, async (t) => {
    const columns = 37
    const x = type.normal(13, 3 * columns)
    x[5] = NaN
    x.fill(0, 2 * columns)
    const operands = {
      x: type.given(x, ['T', columns]),
      weight: type.given(type.normal(14, columns), [columns]),
      out: type.written(['T', columns]),
      rstd: written(['T']),
    }
    for (const target of opTargets) {
      const { instructionSet } = target
      const { out, rstd } = await runOp(
        { op: 'rms_norm', tokens: 3, operands, attributes: { eps: EPS } },
        { ...target, threads: 2 },
      )
      t.ok(out!.subarray(0, columns).every(Number.isNaN), `${instructionSet}: every number of the first row is NaN`)
      t.ok(out!.subarray(columns, 2 * columns).every(Number.isFinite), `${instructionSet}: the second row is finite`)
      t.ok(
        out!.subarray(2 * columns).every((value) => value === 0) && Math.abs(rstd![2]! - 1000) < 0.01,
        `${instructionSet}: zeros`,
      )
    }
  })
