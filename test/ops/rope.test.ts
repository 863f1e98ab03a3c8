import t from 'tap'
import { checkGradients, checkOp, dot, U, within } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { rotaryTable, rotate } from './rope-reference.js'
import { closeDevices, given, type OpCall, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const shapes = [
  { tokens: 1, heads: 1, half: 1 },
  { tokens: 1, heads: 1, half: 32 },
  { tokens: 5, heads: 3, half: 21 },
  { tokens: 40, heads: 14, half: 64 },
]

function anglesOf(tokens: number, half: number): { cos: Float32Array; sin: Float32Array } {
  const angles = normalValues(1, tokens * half, 3)
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) }
}

t.test('rotary_table', async (t) => {
  for (const { tokens, half } of shapes) {
    // Positions up to a context of a million, where an angle in float32 would be off by a whole turn.
    const positions = Int32Array.from({ length: tokens }, (_, t) => (t === 0 ? 0 : Math.round(1_000_000 / t)))
    const inverseFrequency = Float32Array.from({ length: half }, (_, p) => 10_000 ** (-p / half))
    const { angles, cos, sin } = rotaryTable(positions, inverseFrequency)
    // One rounding to float32; the angle in double is off by 1e-16 of itself.
    const bounds = angles.map((angle) => U + angle * 2 ** -52)
    for (const spare of [0, 3]) {
      const operands = {
        positions: given(positions, ['T']),
        inverse_frequency: given(inverseFrequency, [half]),
        cos: written(['T', half], { rowStride: half + spare }),
        sin: written(['T', half], { rowStride: half + spare }),
      }
      const call: OpCall = { op: 'rotary_table', tokens, operands }
      await checkOp(t, `${tokens} x ${half}, ${spare} between rows`, call, {
        cos: { values: cos, bounds },
        sin: { values: sin, bounds },
      })
    }
  }
})

for (const type of computeTypes) {
  t.test(`rope, in both directions and in place, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const { tokens, heads, half } = shape
      const columns = heads * 2 * half
      const x = type.normal(2, tokens * columns)
      const { cos, sin } = anglesOf(tokens, half)
      for (const direction of [1, -1]) {
        const want = rotate(x, cos, sin, shape, direction)
        // Two products and a sum.
        const expected = { out: type.stored({ values: want.out, bounds: want.sizes.map((size) => 3 * U * size) }) }
        for (const spare of [0, 9]) {
          const options = { rowStride: columns + spare }
          const operands = {
            x: type.given(x, ['T', columns], options),
            cos: given(cos, ['T', half]),
            sin: given(sin, ['T', half]),
            out: type.written(['T', columns], options),
          }
          const call: OpCall = { op: 'rope', tokens, operands, attributes: { direction } }
          const name = `${tokens} x ${heads} x ${2 * half}, direction ${direction}, ${spare} between rows`
          await checkOp(t, name, call, expected)
          const inPlace = { ...operands, out: type.written(['T', columns], { ...options, over: 'x' }) }
          await checkOp(t, `${name}, in place`, { ...call, operands: inPlace }, expected)
        }
      }
    }
  })

  t.test(`direction −1 undoes direction 1, ${type.dtype}`, async (t) => {
    const { tokens, heads, half } = shapes.at(-1)!
    const columns = heads * 2 * half
    const x = type.normal(3, tokens * columns)
    const { cos, sin } = anglesOf(tokens, half)
    for (const target of opTargets) {
      const { instructionSet } = target
      const turn = async (values: Float32Array, direction: number) => {
        const operands = {
          x: type.given(values, ['T', columns]),
          cos: given(cos, ['T', half]),
          sin: given(sin, ['T', half]),
          out: type.written(['T', columns]),
        }
        return (await runOp({ op: 'rope', tokens, operands, attributes: { direction } }, { ...target, threads: 2 })).out!
      }
      const back = await turn(await turn(x, 1), -1)
      // Two rotations of three roundings each, of a pair whose length stays what it is; cos² + sin² is 1 to two roundings.
      // The first is stored, each half off by the roundoff of itself, and rotated again; so is the second.
      const bounds = x.map(
        (_, i) => (10 * U + 2.01 * type.u) * Math.hypot(x[i]!, x[i % (2 * half) < half ? i + half : i - half]!),
      )
      within(t, back, x, bounds, instructionSet)
    }
  })
}

t.test('the gradient is the inverse rotation', async (t) => {
  const shape = { tokens: 2, heads: 2, half: 3 }
  const x = Float64Array.from(normalValues(4, 24))
  const dOut = normalValues(5, 24)
  const { cos, sin } = anglesOf(2, 3)
  const dX = rotate(dOut, cos, sin, shape, -1).out
  checkGradients(t, 'rope', { x }, ({ x }) => dot(rotate(x!, cos, sin, shape, 1).out, dOut), { x: dX })
})
