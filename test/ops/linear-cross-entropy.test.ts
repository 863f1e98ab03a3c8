import t from 'tap'
import { checkGradients, checkOp, dot, type Expected, U, within } from './check-op.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, type OpCall, type Operand, runOp, written } from './run-op.js'

t.teardown(closeDevices)

type Numbers = ArrayLike<number>
const NOT_SCORED = -100

interface Case {
  tokens: number
  columns: number
  vocabulary: number
  hidden: Numbers
  weight: Numbers
  labels: Numbers
  lossWeights: Numbers
}

/** The formulas of linear_cross_entropy.h in double, a row at a time, each with a bound for float32. */
function reference(c: Case) {
  const { tokens, columns, vocabulary, hidden, weight, labels, lossWeights } = c
  const zeros = (n: number) => ({ values: new Float64Array(n), bounds: new Float64Array(n) })
  const [loss, tokenLoss, dHidden, dWeight] = [zeros(1), zeros(tokens), zeros(tokens * columns), zeros(vocabulary * columns)]
  const scored = Array.from(labels).filter((label) => label !== NOT_SCORED).length
  for (let t = 0; t < tokens; t++) {
    const label = labels[t]!
    if (label === NOT_SCORED) continue
    const z = new Float64Array(vocabulary)
    // A logit is a sum of `columns` products: off by γ·Σ|h·w|.
    let zBound = 0
    for (let v = 0; v < vocabulary; v++) {
      let size = 0
      for (let c = 0; c < columns; c++) {
        const term = hidden[t * columns + c]! * weight[v * columns + c]!
        z[v]! += term
        size += Math.abs(term)
      }
      zBound = Math.max(zBound, (columns + 1) * U * size)
    }
    const max = Math.max(...z)
    let total = 0
    for (let v = 0; v < vocabulary; v++) total += Math.exp(z[v]! - max)
    const lse = max + Math.log(total)
    const weightOfLoss = lossWeights[t]!
    tokenLoss.values[t] = lse - z[label]!
    loss.values[0]! += weightOfLoss * tokenLoss.values[t]!
    // exp and sums: a block of 1,024 columns is added up in at least four lanes, so 256 + 2 roundings; the rounded
    // difference to the maximum and the exponential itself (3.4) are at most ten more for what is not negligible.
    const sumRoundings = (Math.min(1024, vocabulary) / 4 + 14) * U
    tokenLoss.bounds[t] = 2 * zBound + sumRoundings + U * Math.abs(tokenLoss.values[t]!)
    loss.bounds[0]! += Math.abs(weightOfLoss) * (tokenLoss.bounds[t]! + 2 * U * Math.abs(tokenLoss.values[t]!))
    for (let v = 0; v < vocabulary; v++) {
      const p = Math.exp(z[v]! - lse)
      const dZ = weightOfLoss * (p - (v === label ? 1 : 0))
      // The rounding of z − max shifts the exponent by up to u·|z − max|; what is below e^−87 counts as 0.
      const relative = 2 * zBound + sumRoundings + 2 * U * Math.abs(z[v]! - max)
      const dZBound = Math.abs(weightOfLoss) * (p * relative + (v === label ? 2 * U : 0) + 1e-37)
      for (let c = 0; c < columns; c++) {
        const [w, h] = [weight[v * columns + c]!, hidden[t * columns + c]!]
        dHidden.values[t * columns + c]! += dZ * w
        dHidden.bounds[t * columns + c]! += (dZBound + (vocabulary + 2) * U * Math.abs(dZ)) * Math.abs(w)
        dWeight.values[v * columns + c]! += dZ * h
        dWeight.bounds[v * columns + c]! += (dZBound + (scored + 2) * U * Math.abs(dZ)) * Math.abs(h)
      }
    }
  }
  return { loss, tokenLoss, dHidden, dWeight }
}

interface Settings {
  rows: number
  train: boolean
  spare?: number
  start?: Float32Array
}

/** `rows` are projected to the vocabulary at a time. */
function callOf(c: Case, { rows, train, spare = 0, start }: Settings): OpCall {
  const { tokens, columns, vocabulary } = c
  const options = { rowStride: columns + spare }
  const operands: Record<string, Operand> = {
    hidden: given(Float32Array.from(c.hidden), ['T', columns], options),
    weight: given(Float32Array.from(c.weight), [vocabulary, columns], options),
    labels: given(Int32Array.from(c.labels), ['T']),
    loss_weights: given(Float32Array.from(c.lossWeights), ['T']),
    loss: written([1]),
    token_loss: written(['T']),
    logits: written([rows, vocabulary], { rowStride: vocabulary + spare }),
    hidden_rows: written([rows, columns], options),
  }
  if (train) {
    operands.d_hidden = written(['T', columns], options)
    operands.d_weight = accumulated(start ?? new Float32Array(vocabulary * columns), [vocabulary, columns], options)
    operands.d_hidden_rows = written([rows, columns], options)
  }
  return { op: 'linear_cross_entropy', tokens, operands }
}

/** Working memory is written in part, and NaN stays in the rest: same bits are asked of the results alone. */
function withoutWorkingMemory(outputs: Record<string, Float32Array>): Record<string, Float32Array> {
  const { logits: _, hidden_rows: __, d_hidden_rows: ___, ...results } = outputs
  return results
}

function makeCase(seed: number, tokens: number, columns: number, vocabulary: number, scored: (t: number) => boolean): Case {
  return {
    tokens,
    columns,
    vocabulary,
    hidden: normalValues(seed, tokens * columns),
    weight: normalValues(seed + 1, vocabulary * columns, 0.5),
    labels: Array.from({ length: tokens }, (_, t) => (scored(t) ? (t * 31 + vocabulary - 1) % vocabulary : NOT_SCORED)),
    lossWeights: normalValues(seed + 2, tokens).map((value, t) => (scored(t) ? Math.abs(value) / tokens : 0)),
  }
}

const everyThird = (t: number) => t % 3 !== 1

// More columns of the vocabulary than a block of the softmax (1,024) and of a product (240); more rows than a task (32).
const cases = [
  makeCase(1, 1, 1, 1, () => true),
  makeCase(2, 1, 64, 128, () => true),
  makeCase(3, 5, 123, 257, everyThird),
  makeCase(4, 70, 24, 1001, everyThird),
  makeCase(5, 40, 33, 2100, (t) => t > 20),
]

t.test('loss and gradients, whatever the chunks', async (t) => {
  for (const c of cases) {
    const start = normalValues(6, c.vocabulary * c.columns, 0.1)
    const want = reference(c)
    const expected: Record<string, Expected> = {
      loss: { values: want.loss.values, bounds: want.loss.bounds.map((bound) => bound + U * Math.abs(want.loss.values[0]!)) },
      token_loss: want.tokenLoss,
      d_hidden: want.dHidden,
      d_weight: {
        values: want.dWeight.values.map((value, i) => value + start[i]!),
        // Added to in as many pieces as there are chunks.
        bounds: want.dWeight.bounds.map((bound, i) => bound + (c.tokens + 2) * U * Math.abs(start[i]!)),
      },
    }
    for (const rows of new Set([1, 7, c.tokens, c.tokens + 9])) {
      if (rows > c.tokens + 9 || (rows === 1 && c.tokens > 50)) continue
      for (const spare of rows === 7 ? [0, 5] : [0]) {
        const name = `${c.tokens} x ${c.columns}, vocabulary ${c.vocabulary}, chunks of ${rows}, ${spare} between rows`
        await checkOp(t, name, callOf(c, { rows, train: true, spare, start }), expected)
        const { d_hidden: _, d_weight: __, ...losses } = expected
        await checkOp(t, `${name}, evaluation`, callOf(c, { rows, train: false, spare }), losses)
      }
    }
  }
})

t.test('evaluation gives the bits of training, and so do other chunks', async (t) => {
  for (const c of cases.slice(1))
    for (const instructionSet of instructionSets) {
      const place = { instructionSet, threads: 2 }
      const whole = withoutWorkingMemory(await runOp(callOf(c, { rows: c.tokens, train: true }), place))
      const chunked = withoutWorkingMemory(await runOp(callOf(c, { rows: 7, train: true }), place))
      const evaluated = withoutWorkingMemory(await runOp(callOf(c, { rows: 7, train: false }), place))
      const name = `${c.tokens} x ${c.vocabulary}, ${instructionSet}`
      t.same(evaluated, { loss: whole.loss, token_loss: whole.token_loss }, `${name}: evaluation`)
      // Only d_weight is a sum over rows.
      t.same({ ...chunked, d_weight: null }, { ...whole, d_weight: null }, `${name}: chunks`)
    }
})

t.test('the gradients are those of the forward formula', async (t) => {
  const c = makeCase(7, 4, 3, 5, everyThird)
  const inputs = { hidden: Float64Array.from(c.hidden), weight: Float64Array.from(c.weight) }
  const { dHidden, dWeight } = reference({ ...c, ...inputs })
  const loss = ({ hidden, weight }: Record<string, Float64Array>) =>
    dot(reference({ ...c, hidden: hidden!, weight: weight! }).tokenLoss.values, c.lossWeights)
  checkGradients(t, 'linear_cross_entropy', inputs, loss, { hidden: dHidden.values, weight: dWeight.values })
})

t.test('nothing scored: the loss is 0, d_hidden is 0 and d_weight stays', async (t) => {
  const c = makeCase(8, 45, 19, 257, () => false)
  const start = normalValues(9, c.vocabulary * c.columns)
  await checkOp(t, 'nothing scored', callOf(c, { rows: 8, train: true, start }), {
    loss: { values: [0] },
    token_loss: { values: new Float32Array(c.tokens) },
    d_hidden: { values: new Float32Array(c.tokens * c.columns) },
    d_weight: { values: start },
  })
})

t.test('a row that is not scored changes nothing, not even with NaN in it', async (t) => {
  const c = makeCase(10, 20, 19, 257, everyThird)
  const hidden = Float32Array.from(c.hidden)
  hidden.fill(NaN, 1 * c.columns, 2 * c.columns)
  hidden.fill(1e30, 4 * c.columns, 5 * c.columns)
  for (const instructionSet of instructionSets) {
    const place = { instructionSet, threads: 2 }
    const want = withoutWorkingMemory(await runOp(callOf(c, { rows: 8, train: true }), place))
    t.same(withoutWorkingMemory(await runOp(callOf({ ...c, hidden }, { rows: 8, train: true }), place)), want, instructionSet)
  }
})

t.test('large logits', async (t) => {
  // Rows of the weight alternate in sign: logits are ±80 and ±1,000.
  for (const size of [80, 1000]) {
    const [tokens, columns, vocabulary] = [6, 1, 257]
    const c: Case = {
      tokens,
      columns,
      vocabulary,
      hidden: new Float32Array(tokens).fill(size),
      weight: Float32Array.from({ length: vocabulary }, (_, v) => (v % 2 ? 1 : -1)),
      labels: [0, 1, 2, 255, 256, NOT_SCORED],
      lossWeights: [1, 1, 1, 1, 1, 0],
    }
    const want = reference(c)
    await checkOp(t, `±${size}`, callOf(c, { rows: 4, train: true }), {
      loss: { values: want.loss.values, bounds: want.loss.bounds.map((bound) => bound + U * Math.abs(want.loss.values[0]!)) },
      token_loss: want.tokenLoss,
      d_hidden: want.dHidden,
      d_weight: want.dWeight,
    })
  }
})

t.test('NaN and infinity in a scored row show in the loss', async (t) => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const c = makeCase(11, 3, 5, 37, () => true)
    const hidden = Float32Array.from(c.hidden)
    hidden[7] = bad
    for (const instructionSet of instructionSets) {
      const out = await runOp(callOf({ ...c, hidden }, { rows: 2, train: true }), { instructionSet, threads: 2 })
      t.notOk(Number.isFinite(out.loss![0]) || Number.isFinite(out.token_loss![1]), `${bad}, ${instructionSet}`)
      t.ok(
        Number.isFinite(out.token_loss![0]) && Number.isFinite(out.token_loss![2]),
        `${bad}, ${instructionSet}: in its row alone`,
      )
    }
  }
})

t.test('the loss is summed in double', async (t) => {
  // Each token loses log 2. In float32 a sum of 5,000 would be off by hundreds of roundings.
  const tokens = 5000
  const zeros = new Float32Array(tokens)
  const c: Case = {
    tokens,
    columns: 1,
    vocabulary: 2,
    hidden: zeros,
    weight: [1, 2],
    labels: zeros,
    lossWeights: zeros.map(() => 1),
  }
  for (const instructionSet of instructionSets) {
    const { loss } = await runOp(callOf(c, { rows: 4096, train: false }), { instructionSet, threads: 2 })
    within(t, loss!, [tokens * Math.fround(Math.LN2)], [2 * U * tokens * Math.LN2], instructionSet)
  }
})
