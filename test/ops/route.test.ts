import t from 'tap'
import { checkOp, checkRefused, U } from './check-op.js'
import { route } from './expert-reference.js'
import { normalValues } from './random-values.js'
import { closeDevices, given, type OpCall, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const callOf = (logits: Float32Array, tokens: number, count: number, chosen: number): OpCall => ({
  op: 'route',
  tokens,
  operands: {
    experts: written(['T', chosen], { rowStride: chosen + 1, dtype: 'i32' }),
    weights: written(['T', chosen]),
    logits: given(logits, ['T', count], { rowStride: count + 3 }),
  },
})

t.test('route', async (t) => {
  for (const [tokens, count, chosen] of [
    [1, 1, 1],
    [5, 128, 8],
    [70, 33, 33],
  ] as const) {
    const logits = normalValues(tokens, tokens * count, 3)
    // Equal logits: the first expert comes first.
    for (let i = 0; i + 7 < logits.length; i += 9) logits[i + 7] = logits[i]!
    const { experts, weights } = route(logits, tokens, count, chosen)
    await checkOp(t, `${tokens} x ${count}, ${chosen} chosen`, callOf(logits, tokens, count, chosen), {
      experts: { values: experts },
      weights: { values: weights, bounds: weights.map((weight) => (chosen + 16) * U * weight + 1e-37) },
    })
  }
})

t.test('experts are different ones of those that are there, whatever the logits', async (t) => {
  const odd = [NaN, Infinity, -Infinity, 0, -0, 1e38]
  const logits = Float32Array.from({ length: 6 * 8 }, (_, i) => odd[(i * 5 + Math.floor(i / 8)) % odd.length]!)
  logits.fill(NaN, 0, 8)
  for (const target of opTargets) {
    const { experts } = await runOp(callOf(logits, 6, 8, 4), target)
    for (let token = 0; token < 6; token++) {
      const own = [...experts!.subarray(4 * token, 4 * token + 4)]
      t.ok(new Set(own).size === 4 && own.every((expert) => expert >= 0 && expert < 8), `${target.instructionSet}: ${own}`)
    }
  }
})

t.test('more experts than there are', (t) =>
  checkRefused(t, '3 of 2', callOf(new Float32Array(2), 1, 2, 3), 'PROGRAM_INVALID', /expected at most 2 experts of a token/),
)
