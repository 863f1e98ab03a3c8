import t, { type Test } from 'tap'
import { type AttentionCase, attend, scaleOf } from './attention-reference.js'
import { checkOp, checkRefused, sameBits, targetsOf } from './check-op.js'
import { type ComputeType, computeTypes } from './compute-types.js'
import { layOutPages, type PagedValues, shuffled } from './paged-cache.js'
import { accumulated, closeDevices, given, type OpCall, type Operand, runOp, SPARE_ROWS, written } from './run-op.js'

t.teardown(closeDevices)

type Head = Pick<AttentionCase, 'heads' | 'kvHeads' | 'dim'>

interface TypedCase extends AttentionCase {
  type: ComputeType
  queries: number[]
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)

/** Sequences of so many tokens, of which the last `queries` are the run's. */
function makeCase(type: ComputeType, seed: number, lengths: number[], queries: number[], head: Head, size = 1): TypedCase {
  const values = (offset: number, rows: number, heads: number) => type.normal(seed + offset, rows * heads * head.dim, size)
  const [q, k, v] = [values(0, sum(queries), head.heads), ...[1, 2].map((i) => values(i, sum(lengths), head.kvHeads))] as const
  return { type, lengths, queries, ...head, q, k: k!, v: v! }
}

const makeDecodeCase = (type: ComputeType, seed: number, lengths: number[], head: Head, size = 1) =>
  makeCase(
    type,
    seed,
    lengths,
    lengths.map(() => 1),
    head,
    size,
  )

/** The operands that both attentions have; the rows of the cache are `spare` further apart than wide. */
function attentionOperands(c: TypedCase, pages: PagedValues, sequences: 'S' | 'T', spare: number): Record<string, Operand> {
  const [queryColumns, keyColumns] = [c.heads * c.dim, c.kvHeads * c.dim]
  return {
    out: c.type.written(['T', queryColumns], { rowStride: queryColumns + spare }),
    q: c.type.given(Float32Array.from(c.q), ['T', queryColumns], { rowStride: queryColumns + spare }),
    k_cache: c.type.given(pages.k, [pages.rows, keyColumns], { rowStride: keyColumns + spare }),
    v_cache: c.type.given(pages.v, [pages.rows, keyColumns], { rowStride: keyColumns + 2 * spare }),
    page_table: given(pages.pageTable, [sequences, pages.pagesOfSequence], { rowStride: pages.pagesOfSequence + spare }),
    lengths: given(Int32Array.from(c.lengths), [sequences]),
  }
}

const attributesOf = (c: AttentionCase, { pageSize }: PagedValues) => ({
  head_dim: c.dim,
  scale: scaleOf(c),
  page_size: pageSize,
})

function prefillCall(c: TypedCase, pages: PagedValues, spare = 0): OpCall {
  const bounds = Int32Array.from([0, ...c.queries.map((_, s) => sum(c.queries.slice(0, s + 1)))])
  return {
    op: 'attention_prefill',
    tokens: sum(c.queries),
    sequences: c.lengths.length,
    operands: { ...attentionOperands(c, pages, 'S', spare), cu_seqlens: given(bounds, [bounds.length]) },
    attributes: attributesOf(c, pages),
  }
}

function decodeCall(c: TypedCase, pages: PagedValues, spare = 0): OpCall {
  const tokens = c.lengths.length
  const partial = [
    (tokens + SPARE_ROWS) * Math.ceil((pages.pagesOfSequence * pages.pageSize) / 512),
    c.heads * (c.dim + 2),
  ] as const
  return {
    op: 'attention_decode',
    tokens,
    operands: { ...attentionOperands(c, pages, 'T', spare), partial: written(partial, { rowStride: partial[1] + spare }) },
    attributes: attributesOf(c, pages),
  }
}

/** What a case gives in double, where keys come in pages of that size or larger ones, but on a CUDA device 32 at a time. */
const expectedOf = (c: TypedCase, pageSize: number) => ({
  out: c.type.stored(attend({ ...c, keysTogether: pageSize }, c.type.u).out),
})

const pageSizes = [1, 16, 64, 128]

const heads: (Head & { spare: number })[] = [
  { heads: 1, kvHeads: 1, dim: 1, spare: 0 },
  { heads: 1, kvHeads: 1, dim: 32, spare: 32 },
  { heads: 3, kvHeads: 3, dim: 5, spare: 1 },
  { heads: 4, kvHeads: 2, dim: 7, spare: 0 },
  { heads: 3, kvHeads: 3, dim: 80, spare: 0 },
  { heads: 4, kvHeads: 2, dim: 96, spare: 13 },
  { heads: 7, kvHeads: 1, dim: 128, spare: 0 },
  { heads: 14, kvHeads: 2, dim: 64, spare: 64 },
  // More than a block of queries has rows.
  { heads: 80, kvHeads: 1, dim: 4, spare: 0 },
  // Too many to keep the sums of all heads of a group in a thread's working memory.
  { heads: 16, kvHeads: 1, dim: 300, spare: 0 },
  { heads: 2, kvHeads: 1, dim: 512, spare: 512 },
]

for (const type of computeTypes) {
  t.test(`cache_append, ${type.dtype}`, async (t) => {
    for (const [tokens, width, spare] of [
      [1, 1, 0],
      [5, 123, 0],
      [40, 64, 8],
      [70, 6, 3],
    ] as const) {
      const rows = 2 * tokens + 3
      const slots = Int32Array.from(shuffled(rows, 3).slice(0, tokens))
      const cache = [type.normal(1, rows * width), type.normal(2, rows * width)]
      const added = [type.normal(3, tokens * width), type.normal(4, tokens * width)]
      const want = cache.map((values, i) => {
        const after = values.slice()
        for (const [token, slot] of slots.entries())
          after.set(added[i]!.subarray(token * width, (token + 1) * width), slot * width)
        return after
      })
      const strided = (extra: number) => ({ rowStride: width + extra, dtype: type.dtype })
      const operands = {
        k_cache: accumulated(cache[0]!, [rows, width], strided(spare)),
        v_cache: accumulated(cache[1]!, [rows, width], strided(2 * spare)),
        k: given(added[0]!, ['T', width], strided(3 * spare)),
        v: given(added[1]!, ['T', width], strided(4 * spare)),
        slots: given(slots, ['T']),
      }
      const call: OpCall = { op: 'cache_append', tokens, operands }
      await checkOp(t, `${tokens} x ${width}`, call, { k_cache: { values: want[0]! }, v_cache: { values: want[1]! } })
      for (const slot of [rows, -1]) {
        const wrong = { ...operands, slots: given(slots.with(tokens - 1, slot), ['T']) }
        const message = new RegExp(`slots in 0\\.\\.\\.${rows - 1} but received ${slot}`)
        await checkRefused(t, `slot ${slot}`, { ...call, operands: wrong }, 'INPUT_INVALID', message)
      }
    }
    const none = type.given(new Float32Array(0), ['T', 4])
    const cache = accumulated(type.normal(5, 8), [2, 4], { dtype: type.dtype })
    const operands = { k_cache: cache, v_cache: cache, k: none, v: none, slots: given(new Int32Array(0), ['T']) }
    await checkOp(
      t,
      'no tokens',
      { op: 'cache_append', tokens: 0, operands },
      { k_cache: { values: cache.values as Float32Array } },
    )
  })

  t.test(`attention_prefill: lengths and runs around the sizes of pages and blocks, ${type.dtype}`, async (t) => {
    const lengths = [1, 63, 64, 65, 200, 129, 70, 300]
    const queries = [1, 63, 64, 1, 71, 129, 5, 66]
    const c = makeCase(type, 1, lengths, queries, { heads: 4, kvHeads: 2, dim: 33 })
    const expected = [expectedOf(c, 1), expectedOf(c, 16)] as const
    for (const pageSize of pageSizes)
      await checkOp(
        t,
        `pages of ${pageSize}`,
        prefillCall(c, layOutPages(c, type, pageSize), 11),
        expected[pageSize === 1 ? 0 : 1],
      )
  })

  t.test(`attention_decode: lengths around the sizes of pages and splits, ${type.dtype}`, async (t) => {
    const c = makeDecodeCase(type, 2, [1, 63, 64, 65, 511, 512, 513, 1100], { heads: 4, kvHeads: 2, dim: 33 })
    const expected = [expectedOf(c, 1), expectedOf(c, 16)] as const
    // Of pages of 4, several scores of the next one are written with each vector.
    for (const pageSize of [...pageSizes, 4])
      await checkOp(t, `pages of ${pageSize}`, decodeCall(c, layOutPages(c, type, pageSize), 11), expected[pageSize < 16 ? 0 : 1])
  })

  t.test(`head ratios and head sizes, ${type.dtype}`, async (t) => {
    for (const [index, { spare, ...head }] of heads.entries()) {
      const name = `${head.heads} heads of ${head.dim} on ${head.kvHeads}`
      const [prefill, decode] = [
        makeCase(type, 10 + index, head.dim > 128 ? [66, 5] : [5, 73, 30], head.dim > 128 ? [6, 5] : [5, 70, 3], head),
        makeDecodeCase(type, 30 + index, [5, index % 3 === 0 ? 530 : 73, 30], head),
      ]
      await checkOp(t, `${name}, prefill`, prefillCall(prefill, layOutPages(prefill, type, 16), spare), expectedOf(prefill, 16))
      await checkOp(t, `${name}, decode`, decodeCall(decode, layOutPages(decode, type, 16), spare), expectedOf(decode, 16))
    }
  })

  t.test(`large scores, ${type.dtype}`, async (t) => {
    // Scores of several hundred: the softmax is nearly one-hot.
    const head = { heads: 2, kvHeads: 1, dim: 16 }
    const [prefill, decode] = [makeCase(type, 50, [70, 150], [70, 20], head, 8), makeDecodeCase(type, 51, [70, 1200], head, 8)]
    await checkOp(t, 'prefill', prefillCall(prefill, layOutPages(prefill, type, 16)), expectedOf(prefill, 16))
    await checkOp(t, 'decode', decodeCall(decode, layOutPages(decode, type, 16)), expectedOf(decode, 16))
  })

  t.test(`pages that sequences share, ${type.dtype}`, async (t) => {
    const [pageSize, shared] = [16, 4]
    const share = (c: TypedCase): TypedCase => {
      const columns = c.kvHeads * c.dim
      const [k, v] = [c.k, c.v].map((values) => {
        const copies = Float32Array.from(values)
        for (let s = 1, start = c.lengths[0]!; s < c.lengths.length; start += c.lengths[s++]!)
          copies.copyWithin(start * columns, 0, shared * pageSize * columns)
        return copies
      })
      return { ...c, k: k!, v: v! }
    }
    const head = { heads: 4, kvHeads: 2, dim: 24 }
    const [prefill, decode] = [
      share(makeCase(type, 60, [64, 90, 70], [64, 26, 3], head)),
      share(makeDecodeCase(type, 61, [80, 600, 65, 64], head)),
    ]
    await checkOp(t, 'prefill', prefillCall(prefill, layOutPages(prefill, type, pageSize, { shared })), expectedOf(prefill, 16))
    await checkOp(t, 'decode', decodeCall(decode, layOutPages(decode, type, pageSize, { shared })), expectedOf(decode, 16))
  })

  t.test(`attention_decode: a row has the same bits whatever rows are beside it, ${type.dtype}`, async (t) => {
    const lengths = [700, 3, 64, 1, 130, 513, 512, 20, 511, 17, 5, 90, 1000, 33, 65, 2, 8]
    const c = makeDecodeCase(type, 70, lengths, { heads: 18, kvHeads: 2, dim: 20 })
    const pages = layOutPages(c, type, 64)
    const columns = c.heads * c.dim
    const rowsOf = (values: ArrayLike<number>, rows: number[]) =>
      Float32Array.from(rows.flatMap((row) => Array.from(values).slice(row * columns, (row + 1) * columns)))
    const tableOf = (rows: number[]) =>
      Int32Array.from(
        rows.flatMap((row) => [...pages.pageTable.subarray(row * pages.pagesOfSequence)].slice(0, pages.pagesOfSequence)),
      )
    const callOf = (rows: number[]) =>
      decodeCall(
        { ...c, q: rowsOf(c.q, rows), lengths: rows.map((row) => lengths[row]!) },
        { ...pages, pageTable: tableOf(rows) },
      )
    const all = lengths.map((_, row) => row)
    const choices = [[0], [5, 12], [3, 0, 1], all.slice(4, 10), all.slice(3, 10), all.slice(1), all.toReversed()]
    for (const target of targetsOf(callOf(all))) {
      const run = async (rows: number[]) => (await runOp(callOf(rows), { ...target, threads: 2 })).out!
      const want = await run(all)
      for (const rows of choices) t.ok(sameBits(await run(rows), rowsOf(want, rows)), `${target.instructionSet}: rows ${rows}`)
    }
  })

  t.test(`attention_prefill: a token has the same bits however its sequence is cut, ${type.dtype}`, async (t) => {
    const [length, beside] = [150, 40]
    const c = makeCase(type, 80, [beside, length], [beside, length], { heads: 4, kvHeads: 2, dim: 20 })
    const [queryColumns, keyColumns] = [c.heads * c.dim, c.kvHeads * c.dim]
    /** Tokens [start, end) of the second sequence, whose later ones are not in the cache yet. */
    const runOf = (start: number, end: number): TypedCase => ({
      ...c,
      lengths: [end],
      queries: [end - start],
      q: Float32Array.from(c.q).subarray((beside + start) * queryColumns, (beside + end) * queryColumns),
      k: Float32Array.from(c.k).subarray(beside * keyColumns, (beside + end) * keyColumns),
      v: Float32Array.from(c.v).subarray(beside * keyColumns, (beside + end) * keyColumns),
    })
    const together = prefillCall(c, layOutPages(c, type, 16))
    for (const target of targetsOf(together)) {
      const run = async (call: OpCall) => (await runOp(call, { ...target, threads: 2 })).out!
      const want = (await run(together)).slice(beside * queryColumns)
      for (const size of [1, 7, 64, length]) {
        const parts: number[] = []
        // Single tokens at the ends of pages and blocks alone, where there are many.
        const starts =
          size > 1 ? Array.from({ length: Math.ceil(length / size) }, (_, i) => i * size) : [0, 1, 15, 16, 63, 64, 149]
        for (const start of starts) {
          const end = Math.min(start + size, length)
          const part = runOf(start, end)
          const got = await run(prefillCall(part, layOutPages(part, type, 16, { seed: start })))
          parts.push(...(sameBits(got, want.slice(start * queryColumns, end * queryColumns)) ? [] : [start]))
        }
        t.same(parts, [], `${target.instructionSet}: runs of ${size}`)
      }
    }
  })

  t.test(`scores beyond the range of an ordinary softmax, ${type.dtype}`, async (t) => {
    // All scores of a row are about −1e32: their differences alone count.
    const c: TypedCase = {
      ...{ type, lengths: [3], queries: [3], heads: 1, kvHeads: 1, dim: 1 },
      q: type.round([-1e16, -1e16, -1e16]),
      k: type.round([1e16, 1e16, 1e16]),
      v: type.round([1, 2, 6]),
    }
    const last = { ...c, queries: [1], q: Float32Array.of(c.q[2]!) }
    const bounds = [1e-6, 1e-6, 1e-6]
    await checkOp(t, 'prefill', prefillCall(c, layOutPages(c, type, 1)), { out: { values: [1, 1.5, 3], bounds } })
    await checkOp(t, 'decode', decodeCall(last, layOutPages(last, type, 1)), { out: { values: [3], bounds } })
  })

  t.test(`what would lead out of the cache is refused, ${type.dtype}`, (t) => checkRefusals(t, type))
}

async function checkRefusals(t: Test, type: ComputeType): Promise<void> {
  const head = { heads: 2, kvHeads: 1, dim: 4 }
  const prefill = makeCase(type, 90, [20, 9], [5, 9], head)
  const decode = makeDecodeCase(type, 91, [20, 9], head)
  const calls = [prefillCall(prefill, layOutPages(prefill, type, 4)), decodeCall(decode, layOutPages(decode, type, 4))]
  for (const call of calls) {
    const { pages, most } = {
      pages: (call.operands.k_cache!.shape[0] as number) / 4,
      most: call.operands.page_table!.shape[1] as number,
    }
    const integers = async (what: string, operand: string, at: number, value: number, message: string) => {
      const values = (call.operands[operand]!.values as Int32Array).with(at, value)
      const operands = { ...call.operands, [operand]: { ...call.operands[operand]!, values } }
      await checkRefused(t, `${call.op}: ${what} ${value}`, { ...call, operands }, 'INPUT_INVALID', new RegExp(message))
    }
    // The third page of the second sequence has one token.
    for (const page of [pages, -1, 2 ** 31 - 1])
      await integers('page', 'page_table', most + 2, page, `pages in 0\\.\\.\\.${pages - 1} for sequence 1 but received ${page}`)
    for (const length of [0, -5, 4 * most + 1, 2 ** 31 - 1])
      await integers('length', 'lengths', 1, length, `\\.\\.\\.${4 * most} for sequence 1 but received ${length}`)
    const attribute = (name: string, value: number, message: RegExp) =>
      checkRefused(
        t,
        `${call.op}: ${name} ${value}`,
        { ...call, attributes: { ...call.attributes, [name]: value } },
        'PROGRAM_INVALID',
        message,
      )
    for (const pageSize of [3, 0, -4, 256, 1.5, NaN, Infinity])
      await attribute('page_size', pageSize, /page_size of a power of two up to 128/)
    await attribute('page_size', 128, /a cache of whole pages/)
    for (const dim of [0, 513, 3]) await attribute('head_dim', dim, /head_dim/)
    await attribute('scale', 0, /a scale above 0/)
  }
  const [long, short] = [calls[0]!, calls[1]!]
  const lengths = (values: number[]) => ({ ...long.operands, lengths: given(Int32Array.from(values), ['S']) })
  await checkRefused(
    t,
    'fewer than the run has',
    { ...long, operands: lengths([4, 9]) },
    'INPUT_INVALID',
    /in 5\.\.\.\d+ for sequence 0/,
  )
  const bounds = { ...long.operands, cu_seqlens: given(Int32Array.of(0, 5, 9, 14), [4]) }
  await checkRefused(
    t,
    'three sequences',
    { ...long, operands: bounds },
    'INPUT_INVALID',
    /a length for each sequence but received 2/,
  )
  const { shape } = short.operands.partial!
  for (const [rows, columns] of [
    [(shape[0] as number) - 1, shape[1]],
    [shape[0], (shape[1] as number) + 1],
  ] as [number, number][]) {
    const operands = { ...short.operands, partial: written([rows, columns]) }
    await checkRefused(
      t,
      `partial of ${rows} x ${columns}`,
      { ...short, operands },
      'PROGRAM_INVALID',
      /rows of 12 columns for partial/,
    )
  }
}
