import t, { type Test } from 'tap'
import { type AttentionCase, attend, attendBackward, scaleOf } from './attention-reference.js'
import { checkGradients, checkOp, dot, sameBits, targetsOf, within } from './check-op.js'
import { type ComputeType, computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { closeDevices, given, type OpCall, type Operand, runOp, written } from './run-op.js'

t.teardown(closeDevices)

type Head = Pick<AttentionCase, 'heads' | 'kvHeads' | 'dim'>

/** A case whose queries, keys and values are of a type. */
interface TypedCase extends AttentionCase {
  type: ComputeType
}

function makeCase(type: ComputeType, seed: number, lengths: number[], head: Head, size = 1): TypedCase {
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  const values = (offset: number, heads: number) => type.normal(seed + offset, tokens * heads * head.dim, size)
  return { type, lengths, ...head, q: values(0, head.heads), k: values(1, head.kvHeads), v: values(2, head.kvHeads) }
}

const boundsOf = ({ lengths }: AttentionCase) =>
  Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))])

/** Queries, keys and values as views of one projection, as a model has them: rows are `spare` further apart than wide. */
function forwardCall(c: TypedCase, spare = 0): OpCall {
  const [queryColumns, keyColumns] = [c.heads * c.dim, c.kvHeads * c.dim]
  return {
    op: 'attention',
    tokens: c.q.length / queryColumns,
    operands: {
      q: c.type.given(Float32Array.from(c.q), ['T', queryColumns], { rowStride: queryColumns + spare }),
      k: c.type.given(Float32Array.from(c.k), ['T', keyColumns], { rowStride: keyColumns + spare }),
      v: c.type.given(Float32Array.from(c.v), ['T', keyColumns], { rowStride: keyColumns + spare }),
      cu_seqlens: given(boundsOf(c), [c.lengths.length + 1]),
      out: c.type.written(['T', queryColumns], { rowStride: queryColumns + spare }),
      lse: written(['T', c.heads]),
    },
    attributes: { head_dim: c.dim, scale: scaleOf(c) },
  }
}

function backwardCall(c: TypedCase, dOut: Float32Array, out: Float32Array, lse: Float32Array, spare = 0): OpCall {
  const { operands, ...call } = forwardCall(c, spare)
  const [q, k, v] = [operands.q!, operands.k!, operands.v!]
  const like = ({ rowStride }: Operand) => ({ rowStride: rowStride! })
  return {
    ...call,
    op: 'attention_backward',
    operands: {
      ...{ q, k, v, cu_seqlens: operands.cu_seqlens! },
      out: c.type.given(out, q.shape, like(q)),
      d_out: c.type.given(dOut, q.shape, like(q)),
      lse: given(lse, ['T', c.heads]),
      d_q: c.type.written(q.shape, like(q)),
      d_k: c.type.written(k.shape, like(k)),
      d_v: c.type.written(v.shape, like(v)),
      delta: written(['T', c.heads]),
    },
  }
}

/** Both passes; `u` is the unit roundoff of probabilities and score gradients before their products. */
async function checkCase(t: Test, name: string, c: TypedCase, spare: number, u = c.type.u): Promise<void> {
  const { stored, round } = c.type
  const { out, lse } = attend(c, u)
  await checkOp(t, name, forwardCall(c, spare), { out: stored(out), lse })
  // The backward pass is given what the forward pass rounded.
  const [roundedOut, roundedLse] = [round(out.values), Float32Array.from(lse.values)]
  const dOut = c.type.normal(99, c.q.length)
  await checkBackward(t, name, c, { dOut, out: roundedOut, lse: roundedLse }, spare, u)
}

type Given = Record<'dOut' | 'out' | 'lse', Float32Array>

async function checkBackward(t: Test, name: string, c: TypedCase, given: Given, spare: number, u: number): Promise<void> {
  const { dOut, out, lse } = given
  const { dQ, dK, dV } = attendBackward(c, dOut, out, lse, u)
  const [d_q, d_k, d_v] = [c.type.stored(dQ), c.type.stored(dK), c.type.stored(dV)]
  await checkOp(t, `${name}, backward`, backwardCall(c, dOut, out, lse, spare), { d_q, d_k, d_v })
}

for (const type of computeTypes) {
  t.test(`sequences around the sizes of blocks, together in a batch, ${type.dtype}`, async (t) => {
    // Blocks are 64 queries by 144 keys, or 70 by 128 where pairs of bfloat16 are multiplied.
    const lengths = [1, 63, 64, 65, 70, 71, 129, 145, 300]
    await checkCase(t, String(lengths), makeCase(type, 1, lengths, { heads: 4, kvHeads: 2, dim: 33 }), 11)
  })

  t.test(`one row, ${type.dtype}`, async (t) => {
    await checkCase(t, 'one token', makeCase(type, 2, [1], { heads: 1, kvHeads: 1, dim: 1 }), 0)
    await checkCase(t, 'sequences of one token', makeCase(type, 3, [1, 1, 1], { heads: 4, kvHeads: 2, dim: 8 }), 0)
  })

  t.test(`head ratios and head sizes, ${type.dtype}`, async (t) => {
    const heads: (Head & { spare: number })[] = [
      { heads: 1, kvHeads: 1, dim: 32, spare: 32 },
      { heads: 3, kvHeads: 3, dim: 5, spare: 1 },
      { heads: 4, kvHeads: 2, dim: 7, spare: 0 },
      { heads: 3, kvHeads: 3, dim: 80, spare: 0 },
      { heads: 4, kvHeads: 2, dim: 96, spare: 13 },
      { heads: 7, kvHeads: 1, dim: 128, spare: 0 },
      { heads: 14, kvHeads: 2, dim: 64, spare: 64 },
      // Too many to keep the sums of all heads of a group in a thread's working memory.
      { heads: 16, kvHeads: 1, dim: 300, spare: 0 },
      { heads: 2, kvHeads: 1, dim: 512, spare: 512 },
    ]
    for (const [index, { spare, ...head }] of heads.entries()) {
      const name = `${head.heads} heads of ${head.dim} on ${head.kvHeads}`
      await checkCase(t, name, makeCase(type, 10 + index, head.dim > 128 ? [66, 5] : [5, 73, 30], head), spare)
    }
  })

  t.test(`large scores, ${type.dtype}`, async (t) => {
    // Scores of several hundred: the softmax is nearly one-hot.
    await checkCase(t, 'N(0, 64)', makeCase(type, 20, [70, 150], { heads: 2, kvHeads: 1, dim: 16 }, 8), 0)
  })

  t.test(`a single long sequence, which the threads share, ${type.dtype}`, async (t) => {
    // One task for a sequence and key/value head would leave the other threads idle: the backward pass goes another way.
    await checkCase(t, '333', makeCase(type, 26, [333], { heads: 3, kvHeads: 1, dim: 24 }), 0)
  })

  t.test(`probabilities and score gradients that bfloat16 has: no number is left out, ${type.dtype}`, async (t) => {
    for (const dim of [7, 24]) {
      const c = makeCase(type, 27, [1, 70, 129, 300], { heads: 4, kvHeads: 2, dim })
      const integers = (values: ArrayLike<number>) => Float32Array.from(values, (value) => Math.round(value) % 3)
      const [q, k, v] = [integers(c.q), integers(c.k), integers(c.v)]
      // Powers of two: scores are multiples of ln 2. They are rounded to themselves, whatever the exponential is off by.
      const { out, lse } = attend({ ...c, q, k, v, scale: Math.LN2 })
      const forward = forwardCall({ ...c, q, k, v, scale: Math.LN2 }, 4)
      await checkOp(t, `heads of ${dim}`, forward, { out: type.stored(out), lse })
      // Where queries and keys have no channel in common, exp(−lse) is the probability and here a power of two; and score
      // gradients are small whole numbers times that.
      const apart = {
        ...c,
        v,
        scale: 1,
        q: q.map((value, i) => ((i % dim) % 2 ? value : 0)),
        k: k.map((value, i) => ((i % dim) % 2 ? 0 : value)),
      }
      const given = {
        dOut: integers(type.normal(28, q.length)),
        out: integers(type.normal(29, q.length)),
        lse: lse.values.map((_, i) => (i % 5) * Math.LN2),
      }
      await checkBackward(t, `heads of ${dim}`, apart, { ...given, lse: Float32Array.from(given.lse) }, 4, 0)
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const c = makeCase(computeTypes[0]!, 21, [3, 1, 2], { heads: 4, kvHeads: 2, dim: 3 })
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

for (const type of computeTypes) {
  t.test(`nothing crosses the bounds of a sequence, ${type.dtype}`, async (t) => {
    const c = makeCase(type, 23, [20, 150, 70], { heads: 4, kvHeads: 2, dim: 40 })
    const [queryColumns, keyColumns] = [160, 80]
    // Another second sequence, with infinities in it.
    const change = (values: ArrayLike<number>, columns: number) =>
      type.round(
        Float32Array.from(values, (value, i) =>
          i >= 20 * columns && i < 170 * columns ? (i % 97 === 0 ? Infinity : value * 3 + 1) : value,
        ),
      )
    const changed = { ...c, q: change(c.q, queryColumns), k: change(c.k, keyColumns), v: change(c.v, keyColumns) }
    const dOut = type.normal(24, c.q.length)
    for (const target of targetsOf(forwardCall(c)).map((target) => ({ ...target, threads: 2 }))) {
      const { instructionSet } = target
      const run = async (of: TypedCase, dOut: Float32Array) => {
        const { out, lse } = (await runOp(forwardCall(of), target)) as Record<'out' | 'lse', Float32Array>
        return { out, ...(await runOp(backwardCall(of, dOut, out, lse), target)) } as Record<
          'out' | 'd_q' | 'd_k' | 'd_v',
          Float32Array
        >
      }
      const [before, after] = [await run(c, dOut), await run(changed, change(dOut, queryColumns))]
      for (const sequence of [0, 2]) {
        // The sequence alone in a batch has the same bits as well: packing changes nothing.
        const part = (values: ArrayLike<number>, columns: number) => rowsOf(c, sequence, values, columns)
        const alone = await run(
          {
            ...c,
            lengths: [c.lengths[sequence]!],
            q: part(c.q, queryColumns),
            k: part(c.k, keyColumns),
            v: part(c.v, keyColumns),
          },
          part(dOut, queryColumns),
        )
        for (const [name, columns] of Object.entries({
          out: queryColumns,
          d_q: queryColumns,
          d_k: keyColumns,
          d_v: keyColumns,
        })) {
          const key = name as keyof typeof before
          t.ok(
            sameBits(part(after[key], columns), part(before[key], columns)),
            `${instructionSet}: ${name} of sequence ${sequence}`,
          )
          t.ok(sameBits(alone[key], part(before[key], columns)), `${instructionSet}: ${name} of sequence ${sequence} alone`)
        }
      }
      t.notOk(Number.isFinite(dot(after.out, after.out)), `${instructionSet}: the infinities do show in their own sequence`)
    }
  })

  t.test(`later keys and values change nothing, ${type.dtype}`, async (t) => {
    const c = makeCase(type, 25, [200], { heads: 2, kvHeads: 1, dim: 24 })
    const after = (values: ArrayLike<number>) =>
      type.round(Float32Array.from(values, (value, i) => (i >= 150 * 24 ? 1e9 * value : value)))
    for (const target of targetsOf(forwardCall(c))) {
      const { instructionSet } = target
      const before = await runOp(forwardCall(c), target)
      const changed = await runOp(forwardCall({ ...c, k: after(c.k), v: after(c.v) }), target)
      t.same(changed.lse!.slice(0, 150 * 2), before.lse!.slice(0, 150 * 2), `${instructionSet}: lse`)
      t.same(changed.out!.slice(0, 150 * 48), before.out!.slice(0, 150 * 48), `${instructionSet}: out`)
    }
  })

  t.test(`scores beyond the range of an ordinary softmax, ${type.dtype}`, async (t) => {
    // All scores of a row are about −1e32: their differences alone count. Other channels are 0.
    for (const dim of [1, 16]) {
      const firstOf = (values: number[]) => type.round(values.flatMap((value) => [value, ...new Array<number>(dim - 1).fill(0)]))
      const c: TypedCase = {
        ...{ type, lengths: [3], heads: 1, kvHeads: 1, dim },
        q: firstOf([-1e16, -1e16, -1e16]),
        k: firstOf([1e16, 1e16, 1e16]),
        v: firstOf([1, 2, 6]),
      }
      for (const target of targetsOf(forwardCall(c))) {
        const { out } = await runOp(forwardCall(c), target)
        const first = [0, 1, 2].map((row) => out![row * dim]!)
        within(t, first, [1, 1.5, 3], [1e-6, 1e-6, 1e-6], `${target.instructionSet}, heads of ${dim}`)
      }
    }
  })
}
