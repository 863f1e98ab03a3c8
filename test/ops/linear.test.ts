import t from 'tap'
import { checkGradients, checkOp, dot, U } from './check-op.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, type OpCall, runOp, written } from './run-op.js'

t.teardown(closeDevices)

type Numbers = ArrayLike<number>

/** c[i,j] = Σ_k a(i,k)·b(k,j), and Σ |a·b|, in double. */
function product(m: number, n: number, k: number, a: (i: number, k: number) => number, b: (k: number, j: number) => number) {
  const values = new Float64Array(m * n)
  const sizes = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let p = 0; p < k; p++) {
      const x = a(i, p)
      for (let j = 0; j < n; j++) {
        const term = x * b(p, j)
        values[i * n + j]! += term
        sizes[i * n + j]! += Math.abs(term)
      }
    }
  return { values, sizes }
}

interface Shape {
  tokens: number
  inner: number
  outer: number
}

/** y = x·weightᵀ, d_x = d_y·weight, d_weight = d_yᵀ·x. */
const forward = ({ tokens, inner, outer }: Shape, x: Numbers, weight: Numbers) =>
  product(
    tokens,
    outer,
    inner,
    (t, k) => x[t * inner + k]!,
    (k, n) => weight[n * inner + k]!,
  )
const backwardInput = ({ tokens, inner, outer }: Shape, dY: Numbers, weight: Numbers) =>
  product(
    tokens,
    inner,
    outer,
    (t, n) => dY[t * outer + n]!,
    (n, k) => weight[n * inner + k]!,
  )
const backwardWeight = ({ tokens, inner, outer }: Shape, dY: Numbers, x: Numbers) =>
  product(
    outer,
    inner,
    tokens,
    (n, t) => dY[t * outer + n]!,
    (t, k) => x[t * inner + k]!,
  )

// Higham, "Accuracy and Stability of Numerical Algorithms", 3.1: a sum of n products in any order is off by at most
// γ_n·Σ|a·b| with γ_n = n·u / (1 − n·u); two more roundings for the bias or what is added to.
const gamma = (n: number) => ((n + 2) * U) / (1 - (n + 2) * U)

// Blocks of a product are 576 rows, 240 columns and 448 deep: the last shape has more than one of each in every direction.
const shapes: Shape[] = [
  { tokens: 1, inner: 1, outer: 1 },
  { tokens: 1, inner: 64, outer: 128 },
  { tokens: 5, inner: 123, outer: 7 },
  { tokens: 64, inner: 32, outer: 64 },
  { tokens: 13, inner: 50, outer: 97 },
  { tokens: 600, inner: 500, outer: 700 },
]
const nameOf = ({ tokens, inner, outer }: Shape) => `${tokens} x ${inner} -> ${outer}`

t.test('linear, with and without a bias', async (t) => {
  for (const shape of shapes) {
    const { tokens, inner, outer } = shape
    const x = normalValues(1, tokens * inner)
    const weight = normalValues(2, outer * inner)
    const bias = normalValues(3, outer, 10)
    const { values, sizes } = forward(shape, x, weight)
    for (const spare of tokens > 64 ? [4] : [0, 1100]) {
      // Rows more than 4 KiB apart are copied before the product.
      const options = { rowStride: inner + spare }
      const operands: OpCall['operands'] = {
        x: given(x, ['T', inner], options),
        weight: given(weight, [outer, inner], options),
        y: written(['T', outer], { rowStride: outer + spare }),
      }
      const call: OpCall = { op: 'linear', tokens, operands }
      await checkOp(t, `${nameOf(shape)}, ${spare} between rows`, call, {
        y: { values, bounds: sizes.map((size) => gamma(inner) * size) },
      })
      if (tokens > 64) continue
      const withBias = values.map((value, i) => value + bias[i % outer]!)
      const bounds = sizes.map((size, i) => gamma(inner) * (size + Math.abs(bias[i % outer]!)))
      const more = { ...operands, bias: given(bias, [outer]) }
      await checkOp(
        t,
        `${nameOf(shape)} + bias, ${spare} between rows`,
        { ...call, operands: more },
        { y: { values: withBias, bounds } },
      )
    }
  }
})

t.test('linear_backward_input', async (t) => {
  for (const shape of shapes) {
    const { tokens, inner, outer } = shape
    const dY = normalValues(4, tokens * outer)
    const weight = normalValues(5, outer * inner)
    const { values, sizes } = backwardInput(shape, dY, weight)
    for (const spare of tokens > 64 ? [0] : [0, 1100]) {
      const operands = {
        d_y: given(dY, ['T', outer], { rowStride: outer + spare }),
        weight: given(weight, [outer, inner], { rowStride: inner + spare }),
        d_x: written(['T', inner], { rowStride: inner + spare }),
      }
      const call: OpCall = { op: 'linear_backward_input', tokens, operands }
      await checkOp(t, `${nameOf(shape)}, ${spare} between rows`, call, {
        d_x: { values, bounds: sizes.map((size) => gamma(outer) * size) },
      })
    }
  }
})

t.test('linear_backward_weight adds to what is there', async (t) => {
  for (const shape of shapes) {
    const { tokens, inner, outer } = shape
    const dY = normalValues(6, tokens * outer)
    const x = normalValues(7, tokens * inner)
    const startWeight = normalValues(8, outer * inner)
    const startBias = normalValues(9, outer)
    const { values, sizes } = backwardWeight(shape, dY, x)
    const bias = product(
      1,
      outer,
      tokens,
      () => 1,
      (t, n) => dY[t * outer + n]!,
    )
    const added = (want: { values: Float64Array; sizes: Float64Array }, start: Float32Array) => ({
      values: want.values.map((value, i) => value + start[i]!),
      bounds: want.sizes.map((size, i) => gamma(tokens) * (size + Math.abs(start[i]!))),
    })
    for (const spare of tokens > 64 ? [0] : [0, 1100]) {
      const operands: OpCall['operands'] = {
        d_y: given(dY, ['T', outer], { rowStride: outer + spare }),
        x: given(x, ['T', inner], { rowStride: inner + spare }),
        d_weight: accumulated(startWeight, [outer, inner], { rowStride: inner + spare }),
      }
      const call: OpCall = { op: 'linear_backward_weight', tokens, operands }
      const name = `${nameOf(shape)}, ${spare} between rows`
      await checkOp(t, name, call, { d_weight: added({ values, sizes }, startWeight) })
      if (tokens > 64) continue
      const more = { ...operands, d_bias: accumulated(startBias, [outer]) }
      const expected = { d_weight: added({ values, sizes }, startWeight), d_bias: added(bias, startBias) }
      await checkOp(t, `${name} with a bias`, { ...call, operands: more }, expected)
    }
  }
})

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
      bias: product(
        1,
        2,
        3,
        () => 1,
        (t, n) => dY[t * 2 + n]!,
      ).values,
    },
  )
})

t.test('a row has the same bits whatever rows are beside it', async (t) => {
  // Packing must not change a sequence: row 9 alone, and among 600.
  const [inner, outer] = [500, 300]
  const x = normalValues(14, 600 * inner)
  const weight = normalValues(15, outer * inner)
  for (const instructionSet of instructionSets) {
    const rows = async (values: Float32Array) => {
      const tokens = values.length / inner
      const operands = { x: given(values, ['T', inner]), weight: given(weight, [outer, inner]), y: written(['T', outer]) }
      return (await runOp({ op: 'linear', tokens, operands }, { instructionSet, threads: 2 })).y!
    }
    const all = await rows(x)
    t.same(await rows(x.slice(9 * inner, 10 * inner)), all.slice(9 * outer, 10 * outer), instructionSet)
  }
})

t.test('no tokens: gradients stay as they are', async (t) => {
  const start = normalValues(16, 12)
  const none = new Float32Array(0)
  for (const instructionSet of instructionSets) {
    const operands = {
      d_y: given(none, ['T', 3]),
      x: given(none, ['T', 4]),
      d_weight: accumulated(start, [3, 4]),
      d_bias: accumulated(start.slice(0, 3), [3]),
    }
    const out = await runOp({ op: 'linear_backward_weight', tokens: 0, operands }, { instructionSet, threads: 2 })
    t.same(out, { d_weight: start, d_bias: start.slice(0, 3) }, instructionSet)
  }
})
