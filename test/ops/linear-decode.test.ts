import t, { type Test } from 'tap'
import { checkOp, checkRefused, sameBits, U } from './check-op.js'
import { type ComputeType, computeTypes } from './compute-types.js'
import { forward, type Shape } from './linear-reference.js'
import {
  closeDevices,
  cpuTargets,
  cudaTargets,
  given,
  notAligned,
  type OpCall,
  opTargets,
  refusalOf,
  runOp,
  written,
} from './run-op.js'

t.teardown(closeDevices)

// As for linear: a sum of n products in any order, and two more roundings for the bias.
const gamma = (n: number) => ((n + 2) * U) / (1 - (n + 2) * U)

// Tiles are up to 6 rows by 2 weights, or rows of a vector's lanes by one; tasks 128 KiB of weights. On a CUDA device up to 8 rows at a time.
const shapes: Shape[] = [
  { tokens: 1, inner: 1, outer: 1 },
  { tokens: 1, inner: 64, outer: 128 },
  { tokens: 2, inner: 97, outer: 3 },
  { tokens: 3, inner: 123, outer: 7 },
  { tokens: 6, inner: 50, outer: 97 },
  { tokens: 7, inner: 512, outer: 33 },
  { tokens: 8, inner: 1000, outer: 90 },
  { tokens: 17, inner: 264, outer: 65 },
  { tokens: 1, inner: 4099, outer: 21 },
  // More rows than fit into working memory together.
  { tokens: 9, inner: 200_000, outer: 3 },
]
const nameOf = ({ tokens, inner, outer }: Shape) => `${tokens} x ${inner} -> ${outer}`

interface Values {
  x: Float32Array
  weight: Float32Array
  bias?: Float32Array | undefined
}

function linearCall(type: ComputeType, { tokens, inner, outer }: Shape, { x, weight, bias }: Values, spare = 0): OpCall {
  return {
    op: 'linear_decode',
    tokens,
    operands: {
      y: type.written(['T', outer], { rowStride: outer + spare }),
      x: type.given(x, ['T', inner], { rowStride: inner + spare }),
      weight: type.given(weight, [outer, inner], { rowStride: inner + spare }),
      ...(bias && { bias: type.given(bias, [outer]) }),
    },
  }
}

function logitsCall(type: ComputeType, rows: Int32Array, { inner, outer }: Shape, { x, weight }: Values, spare = 0): OpCall {
  return {
    op: 'logits',
    tokens: x.length / inner,
    sequences: rows.length,
    operands: {
      logits: written(['S', outer], { rowStride: outer + spare }),
      hidden_rows: type.written(['S', inner], { rowStride: inner + spare }),
      hidden: type.given(x, ['T', inner], { rowStride: inner + spare }),
      weight: type.given(weight, [outer, inner], { rowStride: inner + spare }),
      rows: given(rows, ['S']),
    },
  }
}

function valuesOf(type: ComputeType, { tokens, inner, outer }: Shape): Values {
  return { x: type.normal(1, tokens * inner), weight: type.normal(2, outer * inner), bias: type.normal(3, outer, 10) }
}

/** Rows `rows` of values with so many columns. */
const rowsOf = (values: Float32Array, rows: Iterable<number>, columns: number) =>
  Float32Array.from([...rows].flatMap((row) => Array.from(values.subarray(row * columns, (row + 1) * columns))))

for (const type of computeTypes) {
  t.test(`linear_decode, with and without a bias, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { inner, outer } = shape
      const given = valuesOf(type, shape)
      const { values, sizes } = forward(shape, given.x, given.weight)
      const [biases, biasSizes] = [given.bias!, given.bias!.map(Math.abs)]
      for (const spare of [0, 5, 8]) {
        const name = `${nameOf(shape)}, ${spare} between rows`
        await checkOp(t, name, linearCall(type, shape, { ...given, bias: undefined }, spare), {
          y: type.stored({ values, bounds: sizes.map((size) => gamma(inner) * size) }),
        })
        await checkOp(t, `${name}, with a bias`, linearCall(type, shape, given, spare), {
          y: type.stored({
            values: values.map((value, i) => value + biases[i % outer]!),
            bounds: sizes.map((size, i) => gamma(inner) * (size + biasSizes[i % outer]!)),
          }),
        })
      }
    }
  })

  t.test(`logits of some rows, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { tokens, inner } = shape
      const given = valuesOf(type, shape)
      // Some twice, some not at all, in no order.
      const rows = Int32Array.from({ length: Math.ceil(tokens / 2) + 1 }, (_, s) => (tokens - 1 + 5 * s) % tokens)
      const { values, sizes } = forward({ ...shape, tokens: rows.length }, rowsOf(given.x, rows, inner), given.weight)
      for (const spare of [0, 5])
        await checkOp(t, `${nameOf(shape)}, ${spare} between rows`, logitsCall(type, rows, shape, given, spare), {
          logits: { values, bounds: sizes.map((size) => gamma(inner) * size) },
        })
    }
  })

  t.test(`a row has the same bits whatever rows are beside it, and however many, ${type.dtype}`, async (t) => {
    for (const [inner, outer] of [
      [330, 70],
      [1024, 40],
    ] as const) {
      const shape = { tokens: 17, inner, outer }
      const given = valuesOf(type, shape)
      await checkRows(t, `linear_decode, ${inner}`, shape.tokens, outer, 'y', (rows) =>
        linearCall(type, { ...shape, tokens: rows.length }, { ...given, x: rowsOf(given.x, rows, inner) }),
      )
      await checkRows(t, `logits, ${inner}`, shape.tokens, outer, 'logits', (rows) =>
        logitsCall(type, Int32Array.from(rows), shape, given),
      )
    }
  })

  t.test(`no rows, ${type.dtype}`, async (t) => {
    const shape = { tokens: 0, inner: 4, outer: 3 }
    const given = valuesOf(type, shape)
    for (const target of opTargets) {
      t.equal((await runOp(linearCall(type, shape, given), target)).y!.length, 0, target.instructionSet)
      t.equal((await runOp(logitsCall(type, Int32Array.of(), shape, given), target)).logits!.length, 0, target.instructionSet)
    }
  })

  t.test(`rows that are none, ${type.dtype}`, async (t) => {
    const shape = { tokens: 3, inner: 4, outer: 5 }
    for (const row of [3, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      const call = logitsCall(type, Int32Array.of(0, row, 2), shape, valuesOf(type, shape))
      await checkRefused(t, `row ${row}`, call, 'INPUT_INVALID', new RegExp(`rows in 0\\.\\.\\.2 but received ${row}`))
    }
  })
}

t.test('rows too long for working memory', async (t) => {
  const shape = { tokens: 1, inner: 1_572_865, outer: 1 }
  const [type] = computeTypes
  const given = valuesOf(type!, shape)
  const refused = { code: 'PROGRAM_INVALID', message: /at most 1572864 columns but received 1572865/ }
  // Of the CPU: a CUDA device has no such limit.
  for (const target of cpuTargets)
    for (const call of [linearCall(type!, shape, given), logitsCall(type!, Int32Array.of(0), shape, given)])
      t.match(await refusalOf(call, target), refused, `${call.op}, ${target.instructionSet}`)
})

t.test('on a CUDA device: the same bits wherever operands lie', async (t) => {
  for (const type of computeTypes)
    for (const shape of [shapes[6]!, shapes[7]!]) {
      const call = linearCall(type, shape, valuesOf(type, shape))
      for (const target of cudaTargets.slice(0, 1)) {
        const [aligned, not] = [await runOp(call, target), await runOp(call, notAligned(target))]
        t.ok(sameBits(aligned.y!, not.y!), `${nameOf(shape)}, ${type.dtype}`)
      }
    }
})

/** Every choice of rows gives each of them the bits that it has among all. */
async function checkRows(
  t: Test,
  name: string,
  count: number,
  columns: number,
  output: string,
  callOf: (rows: number[]) => OpCall,
): Promise<void> {
  const all = Array.from({ length: count }, (_, row) => row)
  const choices = [
    [5],
    [16, 2],
    [0, 1, 2],
    [9, 8, 7, 3, 5, 1],
    all.slice(3, 10),
    all.slice(1, 9),
    all.slice(0, 16),
    all.reverse(),
  ]
  for (const target of opTargets) {
    const run = async (rows: number[]) => (await runOp(callOf(rows), { ...target, threads: 2 }))[output]!
    const want = await run(Array.from({ length: count }, (_, row) => row))
    for (const rows of choices)
      t.ok(sameBits(await run(rows), rowsOf(want, rows, columns)), `${name}, ${target.instructionSet}: rows ${rows}`)
  }
}
