import t from 'tap'
import { checkOp } from './check-op.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const shapes = [
  [1, 1],
  [1, 64],
  [5, 123],
  [70, 257],
] as const

t.test('add', async (t) => {
  for (const [rows, cols] of shapes) {
    const a = normalValues(1, rows * cols)
    const b = normalValues(2, rows * cols)
    const sum = a.map((value, i) => value + b[i]!) // rounded once, as float32 addition is
    const dense = { a: given(a, ['T', cols]), b: given(b, ['T', cols]), out: written(['T', cols]) }
    await checkOp(t, `${rows} x ${cols}`, { op: 'add', tokens: rows, operands: dense }, { out: { values: sum } })
    const views = {
      a: given(a, ['T', cols], { rowStride: cols + 5 }),
      b: given(b, ['T', cols], { rowStride: 2 * cols }),
      out: written(['T', cols], { rowStride: cols + 1 }),
    }
    await checkOp(t, `${rows} x ${cols}, views`, { op: 'add', tokens: rows, operands: views }, { out: { values: sum } })
    for (const over of ['a', 'b']) {
      const operands = { ...dense, out: written(['T', cols], { over }) }
      await checkOp(t, `${rows} x ${cols}, out is ${over}`, { op: 'add', tokens: rows, operands }, { out: { values: sum } })
    }
  }
})

t.test('copy', async (t) => {
  for (const [rows, cols] of shapes) {
    const x = normalValues(3, rows * cols)
    x.set([NaN, Infinity, -0].slice(0, x.length))
    const operands = { x: given(x, ['T', cols], { rowStride: cols + 3 }), out: written(['T', cols], { rowStride: cols + 8 }) }
    await checkOp(t, `${rows} x ${cols}`, { op: 'copy', tokens: rows, operands }, { out: { values: x } })
  }
})

t.test('zero', async (t) => {
  // 2^18 numbers are one task
  for (const count of [1, 64, 615, (1 << 18) + 5]) {
    const operands = { out: accumulated(normalValues(4, count), [count]) }
    await checkOp(t, `${count}`, { op: 'zero', operands }, { out: { values: new Float32Array(count) } })
  }
})

t.test('no tokens: nothing is written', async (t) => {
  for (const instructionSet of instructionSets) {
    const operands = { x: given(new Float32Array(0), ['T', 7]), out: written(['T', 7]) }
    t.same(await runOp({ op: 'copy', tokens: 0, operands }, { instructionSet, threads: 2 }), { out: new Float32Array(0) })
  }
})
