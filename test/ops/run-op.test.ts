import t from 'tap'
import { roundToBf16 } from './bf16.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, refusalOf, runOp, written } from './run-op.js'

t.teardown(closeDevices)

// The tests of operations rest on this: what an operation does beside its work is noticed.
const target = { instructionSet: instructionSets[0]!, threads: 1 }
const x = normalValues(1, 12)

t.test('outputs by name, from the rows of the run alone', async (t) => {
  const operands = { x: given(x, ['T', 4], { rowStride: 6 }), out: written(['T', 4], { rowStride: 5 }) }
  t.same(await runOp({ op: 'copy', tokens: 3, operands }, target), { out: x })
})

t.test('rows of sequences, however many tokens there are', async (t) => {
  const operands = { x: given(x, ['S', 4]), out: written(['S', 4]) }
  t.same(await runOp({ op: 'copy', tokens: 7, sequences: 3, operands }, target), { out: x })
})

t.test('calls that are refused, and some that are not', async (t) => {
  const operands = { x: given(x, ['T', 4]), out: written(['T', 4]) }
  const call = { op: 'copy', tokens: 3, operands }
  t.match(await refusalOf({ ...call, op: 'coopy' }, target), { code: 'PROGRAM_INVALID' })
  const ids = { ids: given(Int32Array.of(0, 3, 1), ['T']), table: given(x, [3, 4]), out: written(['T', 4]) }
  t.match(await refusalOf({ op: 'embedding', tokens: 3, operands: ids }, target), { code: 'INPUT_INVALID' })
  await t.rejects(refusalOf(call, target), /copy on portable is not refused/)
})

t.test('bfloat16: two bytes a number, wherever rows start', async (t) => {
  const values = roundToBf16(x)
  for (const [from, to] of [
    [4, 4],
    [5, 7],
  ] as const) {
    const operands = {
      x: given(values, ['T', 4], { rowStride: from, dtype: 'bf16' }),
      out: written(['T', 4], { rowStride: to, dtype: 'bf16' }),
    }
    t.same(await runOp({ op: 'copy', tokens: 3, operands }, target), { out: values })
  }
  const operands = { out: written([3], { dtype: 'bf16' }), x: given(x.slice(0, 3), [3]) }
  t.same(await runOp({ op: 'cast', operands }, target), { out: values.slice(0, 3) })
  const lost = { ...operands, out: accumulated(Float32Array.of(1, 0.1, 2), [3], { dtype: 'bf16' }) }
  await t.rejects(runOp({ op: 'cast', operands: lost }, target), /out has 0\.1.* at 1, which bfloat16 has not/)
  const readOnly = { ...operands, out: given(new Float32Array(3), [3], { dtype: 'bf16' }) }
  await t.rejects(runOp({ op: 'cast', operands: readOnly }, target), /cast on portable changed byte .* of out@70\+3x2/)
})

t.test('what is not written stays NaN', async (t) => {
  const operands = { out: written([8]), rest: written([4]) }
  await t.rejects(runOp({ op: 'zero', operands }, target), /no operand "rest"/)
  const half = { logits: written([8, 3]), hidden_rows: written([8, 2]), token_loss: written(['T']), loss: written([1]) }
  const inputs = {
    hidden: given(normalValues(2, 4), ['T', 2]),
    weight: given(normalValues(3, 6), [3, 2]),
    labels: given(Int32Array.of(-100, 2), ['T']),
    loss_weights: given(Float32Array.of(0, 1), ['T']),
  }
  const { logits } = await runOp({ op: 'linear_cross_entropy', tokens: 2, operands: { ...half, ...inputs } }, target)
  t.same(
    Array.from(logits!, Number.isNaN),
    Array.from({ length: 24 }, (_, i) => i >= 3),
    'one row of eight is used',
  )
})

t.test('a changed operand, and a changed byte beside an operand', async (t) => {
  const readOnly = {
    x: given(x, ['T', 4]),
    out: { ...written(['T', 4]), access: 'read' as const, values: x.map((value) => -value) },
  }
  await t.rejects(
    runOp({ op: 'copy', tokens: 3, operands: readOnly }, target),
    /copy on portable changed byte .* of x@68\+3x16 out@/,
  )
  // An operand that has twelve numbers when its place is laid out, and thirteen when the program is described.
  const shapes = [[12], [13]]
  const growing = Object.defineProperty(accumulated(x, [12]), 'shape', { get: () => shapes.shift() })
  await t.rejects(runOp({ op: 'zero', operands: { out: growing } }, target), /zero on portable changed byte 116 of out@68\+12x4/)
})
