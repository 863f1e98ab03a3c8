import t, { type Test } from 'tap'
import { type AttentionCase, attend, attendBackward, scaleOf } from './attention-reference.js'
import { checkGradients, checkOp, dot, within } from './check-op.js'
import { normalValues } from './random-values.js'
import { closeDevices, given, instructionSets, type OpCall, type Operand, runOp, written } from './run-op.js'

t.teardown(closeDevices)

type Head = Pick<AttentionCase, 'heads' | 'kvHeads' | 'dim'>

function makeCase(seed: number, lengths: number[], head: Head, scale = 1): AttentionCase {
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  const values = (offset: number, heads: number) => normalValues(seed + offset, tokens * heads * head.dim, scale)
  return { lengths, ...head, q: values(0, head.heads), k: values(1, head.kvHeads), v: values(2, head.kvHeads) }
}

const boundsOf = ({ lengths }: AttentionCase) =>
  Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))])

/** Queries, keys and values as views of one projection, as a model has them: rows are `spare` further apart than wide. */
function forwardCall(c: AttentionCase, spare = 0): OpCall {
  const [queryColumns, keyColumns] = [c.heads * c.dim, c.kvHeads * c.dim]
  return {
    op: 'attention',
    tokens: c.q.length / queryColumns,
    operands: {
      q: given(Float32Array.from(c.q), ['T', queryColumns], { rowStride: queryColumns + spare }),
      k: given(Float32Array.from(c.k), ['T', keyColumns], { rowStride: keyColumns + spare }),
      v: given(Float32Array.from(c.v), ['T', keyColumns], { rowStride: keyColumns + spare }),
      cu_seqlens: given(boundsOf(c), [c.lengths.length + 1]),
      out: written(['T', queryColumns], { rowStride: queryColumns + spare }),
      lse: written(['T', c.heads]),
    },
    attributes: { head_dim: c.dim, scale: scaleOf(c) },
  }
}

function backwardCall(c: AttentionCase, dOut: Float32Array, out: Float32Array, lse: Float32Array, spare = 0): OpCall {
  const { operands, ...call } = forwardCall(c, spare)
  const [q, k, v] = [operands.q!, operands.k!, operands.v!]
  const like = ({ rowStride }: Operand) => ({ rowStride: rowStride! })
  return {
    ...call,
    op: 'attention_backward',
    operands: {
      ...{ q, k, v, cu_seqlens: operands.cu_seqlens! },
      out: given(out, q.shape, like(q)),
      d_out: given(dOut, q.shape, like(q)),
      lse: given(lse, ['T', c.heads]),
      d_q: written(q.shape, like(q)),
      d_k: written(k.shape, like(k)),
      d_v: written(v.shape, like(v)),
      delta: written(['T', c.heads]),
    },
  }
}

async function checkCase(t: Test, name: string, c: AttentionCase, spare: number): Promise<void> {
  const { out, lse } = attend(c)
  await checkOp(t, name, forwardCall(c, spare), { out, lse })
  // The backward pass is given what the forward pass rounded to float32.
  const [roundedOut, roundedLse] = [Float32Array.from(out.values), Float32Array.from(lse.values)]
  const dOut = normalValues(99, c.q.length)
  const { dQ, dK, dV } = attendBackward(c, dOut, roundedOut, roundedLse)
  await checkOp(t, `${name}, backward`, backwardCall(c, dOut, roundedOut, roundedLse, spare), { d_q: dQ, d_k: dK, d_v: dV })
}

t.test('sequences around the sizes of blocks, together in a batch', async (t) => {
  // Blocks are 64 queries by 144 keys.
  const c = makeCase(1, [1, 63, 64, 65, 145, 300], { heads: 4, kvHeads: 2, dim: 33 })
  await checkCase(t, '1, 63, 64, 65, 145, 300', c, 11)
})

t.test('one row', async (t) => {
  await checkCase(t, 'one token', makeCase(2, [1], { heads: 1, kvHeads: 1, dim: 1 }), 0)
  await checkCase(t, 'sequences of one token', makeCase(3, [1, 1, 1], { heads: 4, kvHeads: 2, dim: 8 }), 0)
})

t.test('head ratios and head sizes', async (t) => {
  const heads: Head[] = [
    { heads: 1, kvHeads: 1, dim: 32 },
    { heads: 3, kvHeads: 3, dim: 80 },
    { heads: 4, kvHeads: 2, dim: 96 },
    { heads: 7, kvHeads: 1, dim: 128 },
    { heads: 14, kvHeads: 2, dim: 64 },
    // Too many to keep the sums of all heads of a group in a thread's working memory.
    { heads: 16, kvHeads: 1, dim: 300 },
    { heads: 2, kvHeads: 1, dim: 512 },
  ]
  for (const [index, head] of heads.entries()) {
    const name = `${head.heads} heads of ${head.dim} on ${head.kvHeads}`
    await checkCase(t, name, makeCase(10 + index, head.dim > 128 ? [66, 5] : [5, 70, 30], head), index % 2 ? 0 : head.dim)
  }
})

t.test('large scores', async (t) => {
  // Scores of several hundred: the softmax is nearly one-hot.
  await checkCase(t, 'N(0, 64)', makeCase(20, [70, 150], { heads: 2, kvHeads: 1, dim: 16 }, 8), 0)
})

t.test('the gradients are those of the forward formula', async (t) => {
  const c = makeCase(21, [3, 1, 2], { heads: 4, kvHeads: 2, dim: 3 })
  const inputs = { q: Float64Array.from(c.q), k: Float64Array.from(c.k), v: Float64Array.from(c.v) }
  const dOut = normalValues(22, c.q.length)
  const { out, lse } = attend({ ...c, ...inputs })
  const { dQ, dK, dV } = attendBackward({ ...c, ...inputs }, dOut, out.values, lse.values)
  const loss = ({ q, k, v }: Record<string, Float64Array>) => dot(attend({ ...c, q: q!, k: k!, v: v! }).out.values, dOut)
  checkGradients(t, 'attention', inputs, loss, { q: dQ.values, k: dK.values, v: dV.values })
})

/** The rows of one sequence, of values with so many columns. */
const rowsOf = (c: AttentionCase, sequence: number, values: ArrayLike<number>, columns: number) =>
  Float32Array.from(values).slice(boundsOf(c)[sequence]! * columns, boundsOf(c)[sequence + 1]! * columns)

t.test('nothing crosses the bounds of a sequence', async (t) => {
  const c = makeCase(23, [20, 150, 70], { heads: 4, kvHeads: 2, dim: 40 })
  const [queryColumns, keyColumns] = [160, 80]
  // Another second sequence, with infinities in it.
  const change = (values: ArrayLike<number>, columns: number) =>
    Float32Array.from(values, (value, i) =>
      i >= 20 * columns && i < 170 * columns ? (i % 97 === 0 ? Infinity : value * 3 + 1) : value,
    )
  const changed = { ...c, q: change(c.q, queryColumns), k: change(c.k, keyColumns), v: change(c.v, keyColumns) }
  const dOut = normalValues(24, c.q.length)
  for (const instructionSet of instructionSets) {
    const place = { instructionSet, threads: 2 }
    const run = async (of: AttentionCase, dOut: Float32Array) => {
      const { out, lse } = (await runOp(forwardCall(of), place)) as Record<'out' | 'lse', Float32Array>
      return { out, ...(await runOp(backwardCall(of, dOut, out, lse), place)) } as Record<
        'out' | 'd_q' | 'd_k' | 'd_v',
        Float32Array
      >
    }
    const [before, after] = [await run(c, dOut), await run(changed, change(dOut, queryColumns))]
    for (const sequence of [0, 2]) {
      // The sequence alone in a batch has the same bits as well: packing changes nothing.
      const part = (values: ArrayLike<number>, columns: number) => rowsOf(c, sequence, values, columns)
      const alone = await run(
        { ...c, lengths: [c.lengths[sequence]!], q: part(c.q, queryColumns), k: part(c.k, keyColumns), v: part(c.v, keyColumns) },
        part(dOut, queryColumns),
      )
      for (const [name, columns] of Object.entries({ out: queryColumns, d_q: queryColumns, d_k: keyColumns, d_v: keyColumns })) {
        const key = name as keyof typeof before
        t.same(part(after[key], columns), part(before[key], columns), `${instructionSet}: ${name} of sequence ${sequence}`)
        t.same(alone[key], part(before[key], columns), `${instructionSet}: ${name} of sequence ${sequence} alone`)
      }
    }
    t.notOk(Number.isFinite(dot(after.out, after.out)), `${instructionSet}: the infinities do show in their own sequence`)
  }
})

t.test('later keys and values change nothing', async (t) => {
  const c = makeCase(25, [200], { heads: 2, kvHeads: 1, dim: 24 })
  const after = (values: ArrayLike<number>) => Float32Array.from(values, (value, i) => (i >= 150 * 24 ? 1e9 * value : value))
  for (const instructionSet of instructionSets) {
    const before = await runOp(forwardCall(c), { instructionSet, threads: 1 })
    const changed = await runOp(forwardCall({ ...c, k: after(c.k), v: after(c.v) }), { instructionSet, threads: 1 })
    t.same(changed.lse!.slice(0, 150 * 2), before.lse!.slice(0, 150 * 2), `${instructionSet}: lse`)
    t.same(changed.out!.slice(0, 150 * 48), before.out!.slice(0, 150 * 48), `${instructionSet}: out`)
  }
})

t.test('scores beyond the range of an ordinary softmax', async (t) => {
  // All scores of a row are about −1e32: their differences alone count.
  const c: AttentionCase = {
    ...{ lengths: [3], heads: 1, kvHeads: 1, dim: 1 },
    q: Float32Array.of(-1e16, -1e16, -1e16),
    k: Float32Array.of(1e16, 1e16, 1e16),
    v: Float32Array.of(1, 2, 6),
  }
  for (const instructionSet of instructionSets) {
    const { out } = await runOp(forwardCall(c), { instructionSet, threads: 1 })
    within(t, out!, [1, 1.5, 3], [1e-6, 1e-6, 1e-6], instructionSet)
  }
})
