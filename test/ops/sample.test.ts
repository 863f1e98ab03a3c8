import t from 'tap'
import { Random } from '../../lib/random/random.js'
import { checkOp, checkRefused, type Expected } from './check-op.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, type OpCall, opTargets, runOp, written } from './run-op.js'
import { chosenToken, logprobOf, penalized, type SampleOptions } from './sample-reference.js'

t.teardown(closeDevices)

/** One row of a call. */
interface Row extends SampleOptions {
  logits: Float32Array
  penalty?: number
  /** Words of bits that mark tokens. */
  seen?: Int32Array
}

const plain: SampleOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, uniform: 0 }

function sampleCall(rows: Row[], spare = 0): OpCall {
  const vocabulary = rows[0]!.logits.length
  const words = Math.ceil(vocabulary / 32)
  const column = (of: (row: Row) => number) => given(Float32Array.from(rows, of), ['S'])
  const joined = <A extends Float32Array | Int32Array>(all: A, parts: A[], columns: number): A => {
    for (const [row, part] of parts.entries()) all.set(part, row * columns)
    return all
  }
  const logits = joined(
    new Float32Array(rows.length * vocabulary),
    rows.map((row) => row.logits),
    vocabulary,
  )
  const withPenalty = rows.some((row) => row.penalty !== undefined)
  const seen = rows.map((row) => row.seen ?? new Int32Array(words))
  return {
    op: 'sample',
    sequences: rows.length,
    operands: {
      token: written(['S']),
      logprob: written(['S']),
      logits: accumulated(logits, ['S', vocabulary], { rowStride: vocabulary + spare }),
      temperature: column((row) => row.temperature),
      top_k: column((row) => row.topK),
      top_p: column((row) => row.topP),
      min_p: column((row) => row.minP),
      uniform: column((row) => row.uniform),
      ...(withPenalty && {
        penalty: column((row) => row.penalty ?? 1),
        seen: given(joined(new Int32Array(rows.length * words), seen, words), ['S', words], { rowStride: words + spare }),
      }),
    },
  }
}

const isSeen = ({ seen }: Row, id: number) => seen !== undefined && ((seen[id >> 5]! >>> (id & 31)) & 1) === 1

/** The numbers that a row's operands have as float32. */
const rounded = (row: Row): Row => ({
  ...row,
  ...{ temperature: Math.fround(row.temperature), topP: Math.fround(row.topP), minP: Math.fround(row.minP) },
  uniform: Math.fround(row.uniform),
})

function expectedOf(rows: Row[]): Record<string, Expected> {
  const logits = rows.map((row) => penalized(row.logits, Math.fround(row.penalty ?? 1), (id) => isSeen(row, id)))
  const tokens = rows.map((row, s) => {
    const token = chosenToken(logits[s]!, rounded(row))
    if (token === undefined) throw new Error(`rounding decides row ${s}`)
    return token
  })
  const logprobs = tokens.map((token, s) => logprobOf(logits[s]!, token))
  return {
    token: { values: tokens },
    logprob: { values: logprobs.map(({ value }) => value), bounds: logprobs.map(({ bound }) => bound) },
    logits: { values: logits.flatMap((row) => Array.from(row)) },
  }
}

/** A uniform number of [0, 1), as a multiple of 2⁻²⁴: a float32. */
const uniformOf = (random: Random) => (random.uint32() >>> 8) / 2 ** 24

/** The row with a number that no rounding can make another token of. */
function withUniform(row: Row, random: Random): Row {
  for (let tries = 0; tries < 20; tries++) {
    const drawn = { ...row, uniform: uniformOf(random) }
    const z = penalized(row.logits, Math.fround(row.penalty ?? 1), (id) => isSeen(row, id))
    if (chosenToken(z, rounded(drawn)) !== undefined) return drawn
  }
  throw new Error('every choice depends on rounding')
}

const vocabularies = [1, 2, 31, 32, 33, 1000, 151_936]

/** Logits of N(0, scale²), and some of the largest several times. */
function logitsOf(seed: number, vocabulary: number, scale: number): Float32Array {
  const logits = normalValues(seed, vocabulary, scale)
  const largest = logits.reduce((a, b) => Math.max(a, b))
  for (let id = 5; id < vocabulary; id += 11 + vocabulary / 4) logits[Math.floor(id)] = largest
  return logits
}

t.test('random logits and options, around the sizes of vectors and words', async (t) => {
  const random = new Random(1)
  const seenOf = (vocabulary: number) => Int32Array.from({ length: Math.ceil(vocabulary / 32) }, () => random.uint32())
  for (const vocabulary of vocabularies) {
    const large = vocabulary > 100_000
    const options: Partial<Row>[] = [
      {},
      { temperature: 0 },
      { temperature: 0.6, topP: 0.95, topK: 20 },
      { temperature: 2, topK: 7 },
      { topP: 0.31, minP: 0.02 },
      ...(large ? [] : [{ minP: 0.1 }, { temperature: 0.05 }, { topK: 3, topP: 0.7 }, { temperature: 1e6 }, { topP: 0.999 }]),
    ]
    const rows = options.map((option, i) => {
      const row = { ...plain, logits: logitsOf(10 + i, vocabulary, i % 2 ? 3 : 1), ...option }
      return withUniform(i === 3 || i === 1 ? { ...row, penalty: 1.3, seen: seenOf(vocabulary) } : row, random)
    })
    for (const spare of large ? [1] : [0, 5])
      await checkOp(t, `vocabulary of ${vocabulary}, ${spare} between rows`, sampleCall(rows, spare), expectedOf(rows))
  }
})

/** Weights that float32 has exactly: logits log2(weight)·ln 2, whose exponentials are off by less than what the tests tell apart. */
const weighted = (weights: number[]) => Float32Array.from(weights, (weight) => Math.log2(weight) * Math.LN2)

/** Rows with the numbers that choose just before and just after each border of the running sum of `kept` weights, by id. */
function borderRows(
  logits: Float32Array,
  options: Partial<SampleOptions>,
  kept: [id: number, weight: number][],
): { rows: Row[]; tokens: number[] } {
  const sum = kept.reduce((a, [, weight]) => a + weight, 0)
  const rows: Row[] = []
  const tokens: number[] = []
  let before = 0
  for (const [id, weight] of kept) {
    const [from, to] = [before / sum + 1e-4, (before + weight) / sum - 1e-4]
    for (const uniform of [before === 0 ? 0 : from, (from + to) / 2, before + weight === sum ? 1 - 2 ** -24 : to]) {
      rows.push({ ...plain, ...options, logits, uniform })
      tokens.push(id)
    }
    before += weight
  }
  return { rows, tokens }
}

t.test('what is kept and what is chosen: every border of the running sum', async (t) => {
  // By falling weight: 3, 1 and 6, 0 and 4 and 5, 2.
  const logits = weighted([1, 4, 0.5, 8, 1, 1, 4])
  const all: [number, number][] = [
    [0, 1],
    [1, 4],
    [2, 0.5],
    [3, 8],
    [4, 1],
    [5, 1],
    [6, 4],
  ]
  const only = (...ids: number[]) => all.filter(([id]) => ids.includes(id))
  const cases: [string, Partial<SampleOptions>, [number, number][]][] = [
    ['all', {}, all],
    ['top_k of all', { topK: 7 }, all],
    ['top_k of more', { topK: 1e9 }, all],
    ['top_k 1', { topK: 1 }, only(3)],
    ['top_k 2: the first of two equal ones', { topK: 2 }, only(1, 3)],
    ['top_k 3', { topK: 3 }, only(1, 3, 6)],
    ['top_k 5: the first two of three equal ones', { topK: 5 }, only(0, 1, 3, 4, 6)],
    ['top_k 6', { topK: 6 }, only(0, 1, 3, 4, 5, 6)],
    // Sums before each in order: 0, 8, 12, 16, 17, 18, 19 of 19.5.
    ['top_p tiny', { topP: 1e-30 }, only(3)],
    ['top_p of less than the first', { topP: 7.9 / 19.5 }, only(3)],
    ['top_p of more than the first', { topP: 8.1 / 19.5 }, only(1, 3)],
    ['top_p of more than two', { topP: 12.1 / 19.5 }, only(1, 3, 6)],
    ['top_p of two equal ones', { topP: 17.1 / 19.5 }, only(0, 1, 3, 4, 6)],
    ['top_p of all but the last', { topP: 18.9 / 19.5 }, only(0, 1, 3, 4, 5, 6)],
    ['top_p of the last too', { topP: 19.1 / 19.5 }, all],
    ['min_p of nearly all', { minP: 0.06 }, all],
    ['min_p of all but one', { minP: 0.1 }, only(0, 1, 3, 4, 5, 6)],
    ['min_p of three', { minP: 0.4 }, only(1, 3, 6)],
    ['min_p 1', { minP: 1 }, only(3)],
    // After top_k 3 the total is 16.
    ['top_k, then top_p', { topK: 3, topP: 11.9 / 16 }, only(1, 3)],
    ['top_k, then top_p, then min_p', { topK: 6, topP: 17.1 / 19, minP: 0.3 }, only(1, 3, 6)],
    // At half the temperature weights are squared; a smallest of 2⁻⁸ of the largest.
    ['temperature', { temperature: 0.5 }, all.map(([id, weight]) => [id, weight * weight])],
    [
      'temperature, then min_p',
      { temperature: 0.5, minP: 0.02 },
      [
        [1, 16],
        [3, 64],
        [6, 16],
      ],
    ],
    ['a temperature that makes all equal', { temperature: 1e30 }, all.map(([id]) => [id, 1])],
  ]
  for (const [name, options, kept] of cases) {
    const { rows, tokens } = borderRows(logits, options, kept)
    await checkOp(t, name, sampleCall(rows), {
      token: { values: tokens },
      logits: { values: rows.flatMap((row) => [...row.logits]) },
    })
  }
})

t.test('ties', async (t) => {
  for (const vocabulary of [31, 33, 1000]) {
    const equal = new Float32Array(vocabulary).fill(-2.5)
    const zeros = Float32Array.from({ length: vocabulary }, (_, id) => (id % 2 ? 0 : -0))
    const rows: Row[] = [equal, zeros].flatMap((logits) => [
      { ...plain, logits, temperature: 0 },
      { ...plain, logits, topK: 1, uniform: 0.99 },
      { ...plain, logits, topP: 1e-9, uniform: 0.99 },
      { ...plain, logits, topK: 5, uniform: 0.99 },
      // Sums before each are whole weights: 9.5 of them are more than those before the tenth.
      { ...plain, logits, topP: 9.5 / vocabulary, uniform: 0.99 },
      { ...plain, logits, uniform: (vocabulary - 0.5) / vocabulary },
      { ...plain, logits, minP: 1, uniform: 0.5 / vocabulary },
    ])
    const tokens = [equal, zeros].flatMap(() => [0, 0, 0, 4, 9, vocabulary - 1, 0])
    await checkOp(t, `${vocabulary} equal ones`, sampleCall(rows), {
      token: { values: tokens },
      logprob: { values: rows.map(() => -Math.log(vocabulary)), bounds: rows.map(() => 1e-5) },
    })
  }
})

t.test('what weighs less than 2⁻⁴⁰ is never chosen', async (t) => {
  const logits = weighted([2 ** -41, 1, 2 ** -41, 2 ** -39, 2 ** -60])
  const uniforms = [0, 0.5, 1 - 2 ** -24]
  const rows = uniforms.map((uniform) => ({ ...plain, logits, uniform }))
  // Not even where top_k has room for it.
  rows.push({ ...plain, logits, topK: 4, uniform: 1 - 2 ** -24 })
  await checkOp(t, 'least weights', sampleCall(rows), { token: { values: [1, 1, 1, 1] } })
  // Many light ones together are not light.
  const many = weighted(Array.from({ length: 40_000 }, (_, id) => (id === 7 ? 1 : 2 ** -16)))
  await checkOp(t, 'the last of many', sampleCall([{ ...plain, logits: many, uniform: 1 - 2 ** -24 }]), {
    token: { values: [39_999] },
  })
})

t.test('penalties', async (t) => {
  const logits = Float32Array.of(2, -1, 0.5, -3, 1.9, 0, -0, 2)
  const row = { ...plain, temperature: 0, logits }
  const seen = Int32Array.of(0b10001011)
  const rows: Row[] = [
    { ...row, penalty: 1.5, seen },
    { ...row, penalty: 0.5, seen },
    { ...row, penalty: 1, seen },
    { ...row, penalty: 3 },
    { ...row, penalty: 1.1, seen: Int32Array.of(-1) },
    { ...plain, logits, penalty: 2, seen, uniform: 0.61 },
  ]
  t.same(Array.from(expectedOf(rows).token!.values).slice(0, 4), [4, 0, 0, 0])
  await checkOp(t, 'eight tokens', sampleCall(rows), expectedOf(rows))
  const withoutPenalty = rows.map(({ penalty: _, seen: __, ...rest }) => rest)
  await checkOp(t, 'none', sampleCall(withoutPenalty), expectedOf(withoutPenalty))
})

t.test('numbers that are not finite: −1, for that row alone', async (t) => {
  for (const vocabulary of [1, 33, 1000]) {
    const sound = { ...plain, logits: logitsOf(5, vocabulary, 1), uniform: 0.5, temperature: 0 }
    const with_ = (value: number, id: number): Row => ({ ...sound, temperature: id % 2, logits: sound.logits.with(id, value) })
    const rows = [
      sound,
      ...[NaN, Infinity, -Infinity].flatMap((value) => [with_(value, 0), with_(value, vocabulary - 1), sound]),
      // The penalty makes an infinity of it.
      {
        ...sound,
        logits: sound.logits.with(0, -3e38),
        penalty: 1e10,
        seen: new Int32Array(Math.ceil(vocabulary / 32)).with(0, 1),
      },
    ]
    const { token, logprob } = expectedOf([sound])
    const bad = rows.map((row, s) => row !== sound || s === rows.length - 1)
    await checkOp(t, `vocabulary of ${vocabulary}`, sampleCall(rows), {
      token: { values: bad.map((isBad) => (isBad ? -1 : token!.values[0]!)) },
      logprob: {
        values: bad.map((isBad) => (isBad ? 0 : logprob!.values[0]!)),
        bounds: bad.map((isBad) => (isBad ? 0 : logprob!.bounds![0]!)),
      },
    })
  }
})

t.test('options out of their range lead to no target outside of the row', async (t) => {
  const logits = logitsOf(6, 33, 1)
  const odd: Partial<SampleOptions>[] = [NaN, -1, 2, Infinity, -Infinity, 1e30, -1e30].flatMap((value) =>
    (['temperature', 'topK', 'topP', 'minP', 'uniform'] as const).map((name) => ({ [name]: value })),
  )
  const rows = odd.map((options) => ({ ...plain, logits, topP: 0.9, uniform: 0.5, ...options }))
  for (const target of opTargets) {
    const { token } = await runOp(sampleCall(rows), target)
    t.ok(
      token!.every((id) => Number.isInteger(id) && id >= 0 && id < 33),
      `${target.instructionSet}: ${token}`,
    )
  }
})

t.test('tokens come as often as their weights say', async (t) => {
  const weights = [5, 1, 12, 0.25, 30, 3, 3, 7, 0.02, 20]
  const logits = weighted(weights)
  const rowsAtOnce = 200
  const cases: [string, Partial<SampleOptions>, number[]][] = [
    ['all', {}, weights],
    // The first of two equal ones is the sixth.
    ['top_k 6, temperature 2', { topK: 6, temperature: 2 }, [5, 0, 12, 0, 30, 3, 0, 7, 0, 20].map(Math.sqrt)],
  ]
  for (const target of opTargets) {
    // The emulated device takes long to start the threads of a row.
    const draws = target.device === 'cuda-emulated' ? 2_000 : 20_000
    for (const [name, options, kept] of cases) {
      const random = new Random(7)
      const counts = new Array<number>(weights.length).fill(0)
      for (let drawn = 0; drawn < draws; drawn += rowsAtOnce) {
        const rows = Array.from({ length: rowsAtOnce }, () => ({ ...plain, ...options, logits, uniform: uniformOf(random) }))
        const { token } = await runOp(sampleCall(rows), { ...target, threads: target.device === undefined ? 2 : 1 })
        for (const id of token!) counts[id]!++
      }
      const sum = kept.reduce((a, b) => a + b)
      const chiSquare = kept.reduce((squares, weight, id) => {
        const expected = (draws * weight) / sum
        if (weight === 0) t.equal(counts[id], 0, `${name}, ${target.instructionSet}: token ${id}`)
        return weight === 0 ? squares : squares + (counts[id]! - expected) ** 2 / expected
      }, 0)
      // Above 27.9 for one of a thousand seeds: χ² with 9 degrees of freedom, and less with fewer.
      t.ok(chiSquare < 27.9, `${name}, ${target.instructionSet}: ${chiSquare}`)
    }
  }
})

t.test('no rows', async (t) => {
  const call = sampleCall([{ ...plain, logits: normalValues(9, 5) }])
  const operands = Object.fromEntries(
    Object.entries(call.operands).map(([name, operand]) => [
      name,
      operand.values ? { ...operand, values: operand.values.slice(0, 0) } : operand,
    ]),
  )
  for (const target of opTargets)
    t.equal((await runOp({ ...call, operands, sequences: 0 }, target)).token!.length, 0, target.instructionSet)
})

t.test('calls that are refused', async (t) => {
  const row: Row = { ...plain, logits: new Float32Array(40), penalty: 1.1 }
  const { operands, ...call } = sampleCall([row])
  const { penalty, seen, ...rest } = operands
  const refused = (what: string, operands: OpCall['operands'], message: RegExp) =>
    checkRefused(t, what, { ...call, operands }, 'PROGRAM_INVALID', message)
  await refused('penalty alone', { ...rest, penalty: penalty! }, /penalty and seen together or neither/)
  await refused('seen alone', { ...rest, seen: seen! }, /penalty and seen together or neither/)
  for (const words of [1, 3])
    await refused(
      `${words} words`,
      { ...operands, seen: given(new Int32Array(words), ['S', words]) },
      /a bit of seen for each token/,
    )
  const { operands: large } = sampleCall([{ ...plain, logits: new Float32Array(500_001) }])
  await refused('a vocabulary of 500,001', large, /a vocabulary of at most 500000 but received 500001/)
})
