import t from 'tap'
import { checkGradients, checkOp, dot, U, within } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { closeDevices, given, type OpCall, opTargets, runOp, written } from './run-op.js'
import { sigmoid, swiglu, swigluBackward } from './swiglu-reference.js'

t.teardown(closeDevices)

// The exponential is good to 2e-7 (cpu/simd.h), 3.4 roundings; 1 + e, the division and two products follow. Beyond 88.3 it
// stays at 2.2e38, so that the sigmoid of −10,000 is 4.5e-39 for 0; below 1.2e-38 numbers have fewer digits.
const forwardBound = (g: number, up: number, out: number) =>
  8 * U * Math.abs(out) + 1.2e-38 * (1 + Math.abs(g)) * (1 + Math.abs(up))
// 1 − σ loses what σ is off by, which the gate multiplies.
const gateBound = (g: number, up: number, d: number) =>
  16 * U * Math.abs(d * up) * sigmoid(g) * (1 + Math.abs(g)) + 1.2e-38 * (1 + g * g) * (1 + Math.abs(up * d))

const shapes = [
  [1, 1],
  [1, 64],
  [5, 123],
  [70, 300],
] as const

for (const type of computeTypes) {
  t.test(`swiglu, ${type.dtype}`, async (t) => {
    for (const [rows, columns] of shapes) {
      const gate = type.normal(1, rows * columns, 3)
      const up = type.normal(2, rows * columns)
      const values = swiglu(gate, up)
      const bounds = values.map((value, i) => forwardBound(gate[i]!, up[i]!, value))
      // gate and up as the halves of one projection are views
      for (const spare of [0, columns, 3]) {
        const options = { rowStride: columns + spare }
        const operands = {
          gate: type.given(gate, ['T', columns], options),
          up: type.given(up, ['T', columns], options),
          out: type.written(['T', columns], options),
        }
        const call: OpCall = { op: 'swiglu', tokens: rows, operands }
        await checkOp(t, `${rows} x ${columns}, ${spare} between rows`, call, { out: type.stored({ values, bounds }) })
      }
    }
  })

  t.test(`swiglu_backward, also over its operands, ${type.dtype}`, async (t) => {
    for (const [rows, columns] of shapes) {
      const gate = type.normal(3, rows * columns, 3)
      const up = type.normal(4, rows * columns)
      const dOut = type.normal(5, rows * columns)
      const { dUp, dGate } = swigluBackward(dOut, gate, up)
      const expected = {
        d_gate: type.stored({ values: dGate, bounds: dGate.map((_, i) => gateBound(gate[i]!, up[i]!, dOut[i]!)) }),
        d_up: type.stored({ values: dUp, bounds: dUp.map((value, i) => forwardBound(gate[i]!, dOut[i]!, value)) }),
      }
      for (const spare of [0, columns, 3]) {
        const options = { rowStride: columns + spare }
        const operands = {
          gate: type.given(gate, ['T', columns], options),
          up: type.given(up, ['T', columns], options),
          d_out: type.given(dOut, ['T', columns]),
          d_gate: type.written(['T', columns], options),
          d_up: type.written(['T', columns], options),
        }
        const call: OpCall = { op: 'swiglu_backward', tokens: rows, operands }
        await checkOp(t, `${rows} x ${columns}, ${spare} between rows`, call, expected)
        const inPlace = {
          ...operands,
          d_gate: type.written(['T', columns], { ...options, over: 'gate' }),
          d_up: type.written(['T', columns], { ...options, over: 'up' }),
        }
        await checkOp(t, `${rows} x ${columns} in place, ${spare} between rows`, { ...call, operands: inPlace }, expected)
      }
    }
  })
}

t.test('the gradients are those of the forward formula', async (t) => {
  const inputs = { gate: Float64Array.from(normalValues(6, 20, 2)), up: Float64Array.from(normalValues(7, 20)) }
  const dOut = normalValues(8, 20)
  const { dUp, dGate } = swigluBackward(dOut, inputs.gate, inputs.up)
  checkGradients(t, 'swiglu', inputs, ({ gate, up }) => dot(swiglu(gate!, up!), dOut), { gate: dGate, up: dUp })
})

for (const type of computeTypes)
  t.test(`extreme gates, ${type.dtype}`, async (t) => {
    const extremes = type.round([-1e4, -200, -88.4, -88, -87.3, -20, -1e-30, -0, 0, 1e-30, 20, 87.3, 88, 88.4, 200, 1e4])
    // In whole vectors and in the rest of a row.
    for (const columns of [1, extremes.length, 3 * extremes.length + 1]) {
      const gate = Float32Array.from({ length: columns * extremes.length }, (_, i) => extremes[(i * 7) % extremes.length]!)
      const up = new Float32Array(gate.length).fill(1.5)
      const operands = { gate: type.given(gate, ['T', columns]), up: type.given(up, ['T', columns]) }
      const values = swiglu(gate, up)
      const out = type.stored({ values, bounds: values.map((value, i) => forwardBound(gate[i]!, 1.5, value)) })
      const forward: OpCall = {
        op: 'swiglu',
        tokens: extremes.length,
        operands: { ...operands, out: type.written(['T', columns]) },
      }
      await checkOp(t, `${columns} columns`, forward, { out })
      const backward: OpCall = {
        op: 'swiglu_backward',
        tokens: extremes.length,
        operands: {
          ...operands,
          d_out: type.given(up, ['T', columns]),
          d_gate: type.written(['T', columns]),
          d_up: type.written(['T', columns]),
        },
      }
      const { dGate } = swigluBackward(up, gate, up)
      const d_gate = type.stored({ values: dGate, bounds: dGate.map((_, i) => gateBound(gate[i]!, 1.5, 1.5)) })
      await checkOp(t, `${columns} columns`, backward, { d_gate, d_up: out })
    }
  })

t.test('the exponential over its whole range', async (t) => {
  // silu(x) / x = 1 / (1 + e^−x): from −87 to 0 its relative error is that of the exponential.
  const gate = Float32Array.from({ length: 100_000 }, (_, i) => -87.2 + (i / 100_000) * 175)
  const up = gate.map((g) => 1 / g)
  const operands = { gate: given(gate, [1, gate.length]), up: given(up, [1, gate.length]), out: written([1, gate.length]) }
  for (const target of opTargets) {
    const { instructionSet } = target
    const { out } = await runOp({ op: 'swiglu', operands }, { ...target, threads: 1 })
    const want = swiglu(gate, up)
    within(
      t,
      out!,
      want,
      want.map((value, i) => forwardBound(gate[i]!, up[i]!, value)),
      instructionSet,
    )
  }
})

for (const type of computeTypes)
  t.test(`NaN and infinity, ${type.dtype}`, async (t) => {
    for (const columns of [3, 19]) {
      const gate = new Float32Array(columns).fill(1)
      gate.set([NaN, Infinity])
      gate[columns - 1] = NaN
      const up = new Float32Array(columns).fill(1)
      const operands = {
        gate: type.given(gate, [1, columns]),
        up: type.given(up, [1, columns]),
        out: type.written([1, columns]),
      }
      for (const target of opTargets) {
        const { instructionSet } = target
        const { out } = await runOp({ op: 'swiglu', operands }, { ...target, threads: 1 })
        t.same([out![0], out![1], out![columns - 1]], [NaN, Infinity, NaN], `${instructionSet}, ${columns} columns`)
      }
    }
  })
