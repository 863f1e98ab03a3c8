import t from 'tap'
import { checkGradients, checkOp, dot, U } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, type OpCall, runOp, written } from './run-op.js'

t.teardown(closeDevices)

type Numbers = ArrayLike<number>
const EPS = 1e-6

/** out = x · rstd · weight for each row, in double. */
function norm(x: Numbers, weight: Numbers): { out: Float64Array; rstd: Float64Array } {
  const columns = weight.length
  const out = new Float64Array(x.length)
  const rstd = new Float64Array(x.length / columns)
  for (let row = 0; row < rstd.length; row++) {
    let squares = 0
    for (let c = 0; c < columns; c++) squares += x[row * columns + c]! ** 2
    rstd[row] = 1 / Math.sqrt(squares / columns + EPS)
    for (let c = 0; c < columns; c++) out[row * columns + c] = x[row * columns + c]! * rstd[row]! * weight[c]!
  }
  return { out, rstd }
}

/** The formulas of rms_norm.h in double, with the sum of the sizes of what is added up, for the bounds. */
function normBackward(dOut: Numbers, dSum: Numbers | undefined, x: Numbers, rstd: Numbers, weight: Numbers) {
  const columns = weight.length
  const dX = new Float64Array(x.length)
  const dXSizes = new Float64Array(x.length)
  const dWeight = new Float64Array(columns)
  const dWeightSizes = new Float64Array(columns)
  for (let row = 0; row < rstd.length; row++) {
    const r = rstd[row]!
    let mean = 0
    let meanSize = 0
    for (let c = 0; c < columns; c++) {
      const i = row * columns + c
      mean += (dOut[i]! * weight[c]! * x[i]! * r) / columns
      meanSize += Math.abs(dOut[i]! * weight[c]! * x[i]! * r) / columns
      dWeight[c]! += dOut[i]! * x[i]! * r
      dWeightSizes[c]! += Math.abs(dOut[i]! * x[i]! * r)
    }
    for (let c = 0; c < columns; c++) {
      const i = row * columns + c
      dX[i] = r * (dOut[i]! * weight[c]! - x[i]! * r * mean) + (dSum?.[i] ?? 0)
      dXSizes[i] = r * (Math.abs(dOut[i]! * weight[c]!) + Math.abs(x[i]! * r) * meanSize) + Math.abs(dSum?.[i] ?? 0)
    }
  }
  return { dX, dXSizes, dWeight, dWeightSizes }
}

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
        const plain = norm(x, weight)
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
        const added = norm(sum, weight)
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
      const rstd = Float32Array.from(norm(x, weight).rstd)
      for (const flows of [undefined, dSum]) {
        const want = normBackward(dOut, flows, x, rstd, weight)
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
  const { dX, dWeight } = normBackward(dOut, dSum, inputs.x, norm(inputs.x, inputs.weight).rstd, inputs.weight)
  checkGradients(t, 'rms_norm', inputs, ({ x, weight }) => dot(norm(x!, weight!).out, dOut) + dot(x!, dSum), {
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
    for (const instructionSet of instructionSets) {
      const { out, rstd } = await runOp(
        { op: 'rms_norm', tokens: 3, operands, attributes: { eps: EPS } },
        { instructionSet, threads: 2 },
      )
      t.ok(out!.subarray(0, columns).every(Number.isNaN), `${instructionSet}: every number of the first row is NaN`)
      t.ok(out!.subarray(columns, 2 * columns).every(Number.isFinite), `${instructionSet}: the second row is finite`)
      t.ok(
        out!.subarray(2 * columns).every((value) => value === 0) && Math.abs(rstd![2]! - 1000) < 0.01,
        `${instructionSet}: zeros`,
      )
    }
  })
