import t from 'tap'
import { checkGradients, checkOp, dot, type Expected, sameSums, U, within } from './check-op.js'
import { type ComputeType, computeTypes } from './compute-types.js'
import { type Case, NOT_SCORED, project } from './linear-cross-entropy-reference.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, type OpCall, type Operand, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

/** A case whose hidden states and weights are of a type. */
interface TypedCase extends Case {
  type: ComputeType
}

interface Settings {
  rows: number
  train: boolean
  spare?: number
  start?: Float32Array
}

/** `rows` are projected to the vocabulary at a time. */
function callOf(c: TypedCase, { rows, train, spare = 0, start }: Settings): OpCall {
  const { tokens, columns, vocabulary } = c
  const options = { rowStride: columns + spare }
  const operands: Record<string, Operand> = {
    hidden: c.type.given(Float32Array.from(c.hidden), ['T', columns], options),
    weight: c.type.given(Float32Array.from(c.weight), [vocabulary, columns], options),
    labels: given(Int32Array.from(c.labels), ['T']),
    loss_weights: given(Float32Array.from(c.lossWeights), ['T']),
    loss: written([1]),
    token_loss: written(['T']),
    logits: written([rows, vocabulary], { rowStride: vocabulary + spare }),
    hidden_rows: c.type.written([rows, columns], options),
  }
  if (train) {
    operands.d_hidden = c.type.written(['T', columns], options)
    operands.d_weight = accumulated(start ?? new Float32Array(vocabulary * columns), [vocabulary, columns], options)
    operands.d_hidden_rows = c.type.written([rows, columns], options)
  }
  return { op: 'linear_cross_entropy', tokens, operands }
}

/** Working memory is written in part, and NaN stays in the rest: same bits are asked of the results alone. */
function withoutWorkingMemory(outputs: Record<string, Float32Array>): Record<string, Float32Array> {
  const { logits: _, hidden_rows: __, d_hidden_rows: ___, ...results } = outputs
  return results
}

interface Size {
  tokens: number
  columns: number
  vocabulary: number
}

function makeCase(type: ComputeType, seed: number, size: Size, scored: (t: number) => boolean): TypedCase {
  const { tokens, columns, vocabulary } = size
  return {
    type,
    tokens,
    columns,
    vocabulary,
    hidden: type.normal(seed, tokens * columns),
    weight: type.normal(seed + 1, vocabulary * columns, 0.5),
    labels: Array.from({ length: tokens }, (_, t) => (scored(t) ? (t * 31 + vocabulary - 1) % vocabulary : NOT_SCORED)),
    lossWeights: normalValues(seed + 2, tokens).map((value, t) => (scored(t) ? Math.abs(value) / tokens : 0)),
  }
}

const everyThird = (t: number) => t % 3 !== 1

// More columns of the vocabulary than a block of the softmax (1,024) and of a product (240); more rows than a task (32).
const casesOf = (type: ComputeType) => [
  makeCase(type, 1, { tokens: 1, columns: 1, vocabulary: 1 }, () => true),
  makeCase(type, 2, { tokens: 1, columns: 64, vocabulary: 128 }, () => true),
  makeCase(type, 3, { tokens: 5, columns: 123, vocabulary: 257 }, everyThird),
  makeCase(type, 4, { tokens: 70, columns: 24, vocabulary: 1001 }, everyThird),
  makeCase(type, 5, { tokens: 40, columns: 33, vocabulary: 2100 }, (t) => t > 20),
]

/** What both passes give; `roundoff` is that of the gradients of logits. */
function expectedOf(c: TypedCase, start: Float32Array, roundoff = c.type.u): Record<string, Expected> {
  const want = project(c, roundoff)
  return {
    loss: { values: want.loss.values, bounds: want.loss.bounds.map((bound) => bound + U * Math.abs(want.loss.values[0]!)) },
    token_loss: want.tokenLoss,
    d_hidden: c.type.stored(want.dHidden),
    d_weight: {
      values: want.dWeight.values.map((value, i) => value + start[i]!),
      // Added to in as many pieces as there are chunks.
      bounds: want.dWeight.bounds.map((bound, i) => bound + (c.tokens + 2) * U * Math.abs(start[i]!)),
    },
  }
}

for (const type of computeTypes) {
  t.test(`loss and gradients, whatever the chunks, ${type.dtype}`, async (t) => {
    for (const c of casesOf(type)) {
      const start = normalValues(6, c.vocabulary * c.columns, 0.1)
      const expected = expectedOf(c, start)
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

  t.test(`evaluation gives the bits of training, and so do other chunks, ${type.dtype}`, async (t) => {
    for (const c of casesOf(type).slice(1))
      for (const target of opTargets.map((each) => ({ ...each, threads: 2 }))) {
        const { instructionSet } = target
        const whole = withoutWorkingMemory(await runOp(callOf(c, { rows: c.tokens, train: true }), target))
        const chunked = withoutWorkingMemory(await runOp(callOf(c, { rows: 7, train: true }), target))
        const evaluated = withoutWorkingMemory(await runOp(callOf(c, { rows: 7, train: false }), target))
        const name = `${c.tokens} x ${c.vocabulary}, ${instructionSet}`
        const sums = { terms: c.columns, dtype: type.dtype }
        for (const output of ['loss', 'token_loss'])
          sameSums(t, target, [evaluated[output]!, whole[output]!], sums, `${name}: ${output} of evaluation`)
        t.same(Object.keys(evaluated).sort(), ['loss', 'token_loss'])
        // Only d_weight is a sum over rows.
        for (const output of Object.keys(whole).filter((each) => each !== 'd_weight'))
          sameSums(t, target, [chunked[output]!, whole[output]!], sums, `${name}: ${output} of chunks`)
      }
  })

  t.test(`gradients of logits that bfloat16 has: no number is left out, ${type.dtype}`, async (t) => {
    // Hidden states and weights have no channel in common: every logit is 0 and every probability 1/256.
    const c = makeCase(type, 12, { tokens: 71, columns: 33, vocabulary: 256 }, everyThird)
    const hidden = Float32Array.from(c.hidden, (value, i) => ((i % 33) % 2 ? value : 0))
    const weight = Float32Array.from(c.weight, (value, i) => ((i % 33) % 2 ? 0 : value))
    const lossWeights = Array.from(c.labels, (label, t) => (label === NOT_SCORED ? 0 : 2 ** -(t % 4)))
    const start = new Float32Array(c.weight.length)
    const exact = { ...c, hidden, weight, lossWeights }
    for (const rows of [16, 71])
      await checkOp(t, `chunks of ${rows}`, callOf(exact, { rows, train: true, start }), expectedOf(exact, start, 0))
  })

  t.test(`nothing scored: the loss is 0, d_hidden is 0 and d_weight stays, ${type.dtype}`, async (t) => {
    const c = makeCase(type, 8, { tokens: 45, columns: 19, vocabulary: 257 }, () => false)
    const start = normalValues(9, c.vocabulary * c.columns)
    await checkOp(t, 'nothing scored', callOf(c, { rows: 8, train: true, start }), {
      loss: { values: [0] },
      token_loss: { values: new Float32Array(c.tokens) },
      d_hidden: { values: new Float32Array(c.tokens * c.columns) },
      d_weight: { values: start },
    })
  })

  t.test(`a row that is not scored changes nothing, not even with NaN in it, ${type.dtype}`, async (t) => {
    const c = makeCase(type, 10, { tokens: 20, columns: 19, vocabulary: 257 }, everyThird)
    const hidden = Float32Array.from(c.hidden)
    hidden.fill(NaN, 1 * c.columns, 2 * c.columns)
    hidden.fill(2 ** 100, 4 * c.columns, 5 * c.columns)
    for (const target of opTargets.map((each) => ({ ...each, threads: 2 }))) {
      const { instructionSet } = target
      const want = withoutWorkingMemory(await runOp(callOf(c, { rows: 8, train: true }), target))
      t.same(withoutWorkingMemory(await runOp(callOf({ ...c, hidden }, { rows: 8, train: true }), target)), want, instructionSet)
    }
  })

  t.test(`large logits, ${type.dtype}`, async (t) => {
    // Rows of the weight alternate in sign: logits are ±80 and ±1,000.
    for (const size of [80, 1000]) {
      const [tokens, columns, vocabulary] = [6, 1, 257]
      const c: TypedCase = {
        type,
        tokens,
        columns,
        vocabulary,
        hidden: new Float32Array(tokens).fill(size),
        weight: Float32Array.from({ length: vocabulary }, (_, v) => (v % 2 ? 1 : -1)),
        labels: [0, 1, 2, 255, 256, NOT_SCORED],
        lossWeights: [1, 1, 1, 1, 1, 0],
      }
      await checkOp(t, `±${size}`, callOf(c, { rows: 4, train: true }), expectedOf(c, new Float32Array(vocabulary)))
    }
  })

  t.test(`NaN and infinity in a scored row show in the loss, ${type.dtype}`, async (t) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const c = makeCase(type, 11, { tokens: 3, columns: 5, vocabulary: 37 }, () => true)
      const hidden = Float32Array.from(c.hidden)
      hidden[7] = bad
      for (const target of opTargets) {
        const { instructionSet } = target
        const out = await runOp(callOf({ ...c, hidden }, { rows: 2, train: true }), { ...target, threads: 2 })
        t.notOk(Number.isFinite(out.loss![0]) || Number.isFinite(out.token_loss![1]), `${bad}, ${instructionSet}`)
        t.ok(
          Number.isFinite(out.token_loss![0]) && Number.isFinite(out.token_loss![2]),
          `${bad}, ${instructionSet}: in its row alone`,
        )
      }
    }
  })

  t.test(`the loss is summed in double, ${type.dtype}`, async (t) => {
    // Each token loses log 2. In float32 a sum of 5,000 would be off by hundreds of roundings.
    const tokens = 5000
    const zeros = new Float32Array(tokens)
    const c: TypedCase = {
      type,
      tokens,
      columns: 1,
      vocabulary: 2,
      hidden: zeros,
      weight: [1, 2],
      labels: zeros,
      lossWeights: zeros.map(() => 1),
    }
    for (const target of opTargets) {
      const { instructionSet } = target
      const { loss } = await runOp(callOf(c, { rows: 4096, train: false }), { ...target, threads: 2 })
      within(t, loss!, [tokens * Math.fround(Math.LN2)], [2 * U * tokens * Math.LN2], instructionSet)
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const c = makeCase(computeTypes[0]!, 7, { tokens: 4, columns: 3, vocabulary: 5 }, everyThird)
  const inputs = { hidden: Float64Array.from(c.hidden), weight: Float64Array.from(c.weight) }
  const { dHidden, dWeight } = project({ ...c, ...inputs })
  const loss = ({ hidden, weight }: Record<string, Float64Array>) =>
    dot(project({ ...c, hidden: hidden!, weight: weight! }).tokenLoss.values, c.lossWeights)
  checkGradients(t, 'linear_cross_entropy', inputs, loss, { hidden: dHidden.values, weight: dWeight.values })
})
