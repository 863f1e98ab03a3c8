import t from 'tap'
import { roundToBf16 } from './bf16.js'
import { checkOp } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const shapes = [
  [1, 1],
  [1, 64],
  [5, 123],
  [70, 257],
] as const

for (const type of computeTypes) {
  t.test(`add, ${type.dtype}`, async (t) => {
    for (const [rows, cols] of shapes) {
      const a = type.normal(1, rows * cols)
      const b = type.normal(2, rows * cols)
      const out = { values: type.round(a.map((value, i) => value + b[i]!)) } // as float32 addition rounds, and storing again
      const dense = { a: type.given(a, ['T', cols]), b: type.given(b, ['T', cols]), out: type.written(['T', cols]) }
      await checkOp(t, `${rows} x ${cols}`, { op: 'add', tokens: rows, operands: dense }, { out })
      const views = {
        a: type.given(a, ['T', cols], { rowStride: cols + 5 }),
        b: type.given(b, ['T', cols], { rowStride: 2 * cols }),
        out: type.written(['T', cols], { rowStride: cols + 1 }),
      }
      await checkOp(t, `${rows} x ${cols}, views`, { op: 'add', tokens: rows, operands: views }, { out })
      for (const over of ['a', 'b']) {
        const operands = { ...dense, out: type.written(['T', cols], { over }) }
        await checkOp(t, `${rows} x ${cols}, out is ${over}`, { op: 'add', tokens: rows, operands }, { out })
      }
    }
  })

  t.test(`copy, ${type.dtype}`, async (t) => {
    for (const [rows, cols] of shapes) {
      const x = type.normal(3, rows * cols)
      x.set([NaN, Infinity, -0, 2 ** -130].slice(0, x.length))
      const operands = {
        x: type.given(x, ['T', cols], { rowStride: cols + 3 }),
        out: type.written(['T', cols], { rowStride: cols + 8 }),
      }
      await checkOp(t, `${rows} x ${cols}`, { op: 'copy', tokens: rows, operands }, { out: { values: x } })
    }
  })

  t.test(`no tokens: nothing is written, ${type.dtype}`, async (t) => {
    for (const target of opTargets) {
      const operands = { x: type.given(new Float32Array(0), ['T', 7]), out: type.written(['T', 7]) }
      t.same(await runOp({ op: 'copy', tokens: 0, operands }, { ...target, threads: 2 }), { out: new Float32Array(0) })
    }
  })
}

t.test('zero', async (t) => {
  // 2^18 numbers are one task
  for (const count of [1, 64, 615, (1 << 18) + 5]) {
    const operands = { out: accumulated(normalValues(4, count), [count]) }
    await checkOp(t, `${count}`, { op: 'zero', operands }, { out: { values: new Float32Array(count) } })
  }
})

const castCall = (x: Float32Array) => ({
  op: 'cast',
  operands: { x: given(x, [x.length]), out: written([x.length], { dtype: 'bf16' }) },
})

t.test('cast', async (t) => {
  // 2^18 numbers are one task
  for (const count of [1, 64, 615, (1 << 18) + 5]) {
    const x = normalValues(5, count)
    await checkOp(t, `${count}`, castCall(x), { out: { values: roundToBf16(x) } })
  }
})

t.test('cast: ties to even, and what is no ordinary number', async (t) => {
  const gap = 2 ** -7 // between the numbers from 1 to 2
  const largest = (2 - gap) * 2 ** 127
  const pairs = [
    [1 + gap / 2, 1],
    [1 + gap / 2 + 2 ** -23, 1 + gap],
    [1 + (3 * gap) / 2, 1 + 2 * gap],
    [1 + (3 * gap) / 2 - 2 ** -23, 1 + gap],
    [2 - gap / 2, 2],
    [2 ** -126, 2 ** -126],
    [largest, largest],
    [largest + (gap / 2 - 2 ** -23) * 2 ** 127, largest],
    [largest + (gap / 2) * 2 ** 127, Infinity],
    [3.4028234e38, Infinity],
    [Infinity, Infinity],
    [0, 0],
  ]
  const x = Float32Array.from([...pairs, ...pairs].flatMap(([from], i) => (i < pairs.length ? from! : -from!)))
  const want = Float32Array.from([...pairs, ...pairs].flatMap(([, to], i) => (i < pairs.length ? to! : -to!)))
  // In whole vectors and in the rest of one.
  for (const count of [3, want.length]) {
    await checkOp(t, `${count} numbers`, castCall(x.slice(-count)), { out: { values: want.slice(-count) } })
    for (const target of opTargets) {
      const { instructionSet } = target
      // The lowest and the highest bits of what says that it is no number.
      const nans = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fc00000).buffer)
      const { out } = await runOp(castCall(nans.slice(-count)), { ...target, threads: 1 })
      t.ok(out!.every(Number.isNaN), `${instructionSet}: NaN stays NaN`)
    }
  }
})

t.test('cast: a subnormal number is rounded as others are, or becomes 0', async (t) => {
  const tiny = [2 ** -149, 2 ** -140, 2 ** -134, 1.5 * 2 ** -133, 2 ** -127, 2 ** -126 - 2 ** -149]
  const x = Float32Array.from([...tiny, ...tiny.map((value) => -value)])
  const rounded = roundToBf16(x)
  for (const target of opTargets) {
    const { instructionSet } = target
    const { out } = await runOp(castCall(x), { ...target, threads: 1 })
    const holds = (value: number, i: number) => Object.is(value, rounded[i]) || Object.is(value, Math.sign(x[i]!) * 0)
    t.ok(out!.every(holds), `${instructionSet}: ${out} for ${x}`)
  }
})
