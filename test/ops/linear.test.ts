import t from 'tap'
import { checkGradients, checkOp, dot, sameSums, U } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { backwardBias, backwardInput, backwardWeight, forward, type Shape } from './linear-reference.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, type OpCall, opTargets, runOp } from './run-op.js'

t.teardown(closeDevices)

// Higham, "Accuracy and Stability of Numerical Algorithms", 3.1: a sum of n products in any order is off by at most
// γ_n·Σ|a·b| with γ_n = n·u / (1 − n·u); two more roundings for the bias or what is added to. Products of two bfloat16 are
// exact in float32, whose sums are no worse for that.
const gamma = (n: number) => ((n + 2) * U) / (1 - (n + 2) * U)

// Blocks of a product are 576 rows, 240 columns and 448 deep: the largest shape has more than one of each in every direction.
// Pairs of bfloat16 make blocks 896 deep: the last two have more than one of these, cut at an odd number of pairs or with half
// a pair at the end.
const shapes: Shape[] = [
  { tokens: 1, inner: 1, outer: 1 },
  { tokens: 1, inner: 64, outer: 128 },
  { tokens: 5, inner: 123, outer: 7 },
  { tokens: 64, inner: 32, outer: 64 },
  { tokens: 13, inner: 50, outer: 97 },
  { tokens: 590, inner: 461, outer: 590 },
  { tokens: 20, inner: 930, outer: 905 },
  { tokens: 901, inner: 37, outer: 50 },
]
const nameOf = ({ tokens, inner, outer }: Shape) => `${tokens} x ${inner} -> ${outer}`

const termsOf = ({ tokens, inner, outer }: Shape) => tokens * inner * outer
/** Elements between rows: none, an odd number, and one that takes rows so far apart that they are copied first (4 KiB). */
const sparesOf = (shape: Shape, dtype: string) => (termsOf(shape) > 1e6 ? [5] : [0, 5, dtype === 'bf16' ? 2100 : 1100])

for (const type of computeTypes) {
  t.test(`linear, with and without a bias, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { tokens, inner, outer } = shape
      const x = type.normal(1, tokens * inner)
      const weight = type.normal(2, outer * inner)
      const bias = type.normal(3, outer, 10)
      const { values, sizes } = forward(shape, x, weight)
      for (const spare of sparesOf(shape, type.dtype)) {
        const options = { rowStride: inner + spare }
        const operands: OpCall['operands'] = {
          x: type.given(x, ['T', inner], options),
          weight: type.given(weight, [outer, inner], options),
          y: type.written(['T', outer], { rowStride: outer + spare }),
        }
        const call: OpCall = { op: 'linear', tokens, operands }
        await checkOp(t, `${nameOf(shape)}, ${spare} between rows`, call, {
          y: type.stored({ values, bounds: sizes.map((size) => gamma(inner) * size) }),
        })
        if (termsOf(shape) > 1e8) continue
        const withBias = values.map((value, i) => value + bias[i % outer]!)
        const bounds = sizes.map((size, i) => gamma(inner) * (size + Math.abs(bias[i % outer]!)))
        const more = { ...operands, bias: type.given(bias, [outer]) }
        await checkOp(
          t,
          `${nameOf(shape)} + bias, ${spare} between rows`,
          { ...call, operands: more },
          { y: type.stored({ values: withBias, bounds }) },
        )
      }
    }
  })

  t.test(`linear_backward_input, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { tokens, inner, outer } = shape
      const dY = type.normal(4, tokens * outer)
      const weight = type.normal(5, outer * inner)
      const { values, sizes } = backwardInput(shape, dY, weight)
      for (const spare of sparesOf(shape, type.dtype)) {
        const operands = {
          d_y: type.given(dY, ['T', outer], { rowStride: outer + spare }),
          weight: type.given(weight, [outer, inner], { rowStride: inner + spare }),
          d_x: type.written(['T', inner], { rowStride: inner + spare }),
        }
        const call: OpCall = { op: 'linear_backward_input', tokens, operands }
        await checkOp(t, `${nameOf(shape)}, ${spare} between rows`, call, {
          d_x: type.stored({ values, bounds: sizes.map((size) => gamma(outer) * size) }),
        })
      }
    }
  })

  t.test(`linear_backward_weight adds to what is there, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { tokens, inner, outer } = shape
      const dY = type.normal(6, tokens * outer)
      const x = type.normal(7, tokens * inner)
      const startWeight = normalValues(8, outer * inner)
      const startBias = normalValues(9, outer)
      const { values, sizes } = backwardWeight(shape, dY, x)
      const bias = backwardBias(shape, dY)
      const added = (want: { values: Float64Array; sizes: Float64Array }, start: Float32Array) => ({
        values: want.values.map((value, i) => value + start[i]!),
        bounds: want.sizes.map((size, i) => gamma(tokens) * (size + Math.abs(start[i]!))),
      })
      for (const spare of sparesOf(shape, type.dtype)) {
        const operands: OpCall['operands'] = {
          d_y: type.given(dY, ['T', outer], { rowStride: outer + spare }),
          x: type.given(x, ['T', inner], { rowStride: inner + spare }),
          d_weight: accumulated(startWeight, [outer, inner], { rowStride: inner + spare }),
        }
        const call: OpCall = { op: 'linear_backward_weight', tokens, operands }
        const name = `${nameOf(shape)}, ${spare} between rows`
        await checkOp(t, name, call, { d_weight: added({ values, sizes }, startWeight) })
        if (termsOf(shape) > 1e8) continue
        const more = { ...operands, d_bias: accumulated(startBias, [outer]) }
        const expected = { d_weight: added({ values, sizes }, startWeight), d_bias: added(bias, startBias) }
        await checkOp(t, `${name} with a bias`, { ...call, operands: more }, expected)
      }
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const shape = { tokens: 3, inner: 4, outer: 2 }
  const inputs = {
    x: Float64Array.from(normalValues(10, 12)),
    weight: Float64Array.from(normalValues(11, 8)),
    bias: Float64Array.from(normalValues(12, 2)),
  }
  const dY = normalValues(13, 6)
  checkGradients(
    t,
    'linear',
    inputs,
    ({ x, weight, bias }) =>
      dot(
        forward(shape, x!, weight!).values.map((value, i) => value + bias![i % 2]!),
        dY,
      ),
    {
      x: backwardInput(shape, dY, inputs.weight).values,
      weight: backwardWeight(shape, dY, inputs.x).values,
      bias: backwardBias(shape, dY).values,
    },
  )
})

for (const type of computeTypes) {
  t.test(`a row has the same bits whatever rows are beside it, ${type.dtype}`, async (t) => {
    // Packing must not change a sequence: row 9 alone, and among 600.
    const [inner, outer] = [905, 300]
    const x = type.normal(14, 600 * inner)
    const weight = type.normal(15, outer * inner)
    for (const target of opTargets) {
      const { instructionSet } = target
      const project = async (values: Float32Array) => {
        const tokens = values.length / inner
        const operands = {
          x: type.given(values, ['T', inner]),
          weight: type.given(weight, [outer, inner]),
          y: type.written(['T', outer]),
        }
        return (await runOp({ op: 'linear', tokens, operands }, { ...target, threads: 2 })).y!
      }
      const all = await project(x)
      const alone = await project(x.slice(9 * inner, 10 * inner))
      sameSums(t, target, [alone, all.slice(9 * outer, 10 * outer)], { terms: inner, dtype: type.dtype }, instructionSet)
    }
  })

  t.test(`no tokens: gradients stay as they are, ${type.dtype}`, async (t) => {
    const start = normalValues(16, 12)
    const none = new Float32Array(0)
    for (const target of opTargets) {
      const { instructionSet } = target
      const operands = {
        d_y: type.given(none, ['T', 3]),
        x: type.given(none, ['T', 4]),
        d_weight: accumulated(start, [3, 4]),
        d_bias: accumulated(start.slice(0, 3), [3]),
      }
      const out = await runOp({ op: 'linear_backward_weight', tokens: 0, operands }, { ...target, threads: 2 })
      t.same(out, { d_weight: start, d_bias: start.slice(0, 3) }, instructionSet)
    }
  })
}
