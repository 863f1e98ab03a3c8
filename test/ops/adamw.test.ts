import t from 'tap'
import { adamw, clipScale, type Settings, type State } from './adamw-reference.js'
import { roundToBf16 } from './bf16.js'
import { checkOp, type Expected, sameBits, U, within } from './check-op.js'
import { computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, instructionSets, type OpCall, opTargets, runOp, written } from './run-op.js'

t.teardown(closeDevices)

/** `rounded`: what is in the parameters' copy in bfloat16 before the step, if there is one. */
function callOf(
  state: State,
  gradients: Float32Array,
  clip: number,
  attributes: Settings & { step: number },
  rounded?: Float32Array,
): OpCall {
  const n = gradients.length
  return {
    op: 'adamw',
    operands: {
      parameters: accumulated(Float32Array.from(state.parameters), [n]),
      first_moment: accumulated(Float32Array.from(state.first_moment), [n]),
      second_moment: accumulated(Float32Array.from(state.second_moment), [n]),
      gradients: given(gradients, [n]),
      clip_scale: given(Float32Array.of(clip), [1]),
      ...(rounded && { rounded: accumulated(rounded, [n], { dtype: 'bf16' }) }),
    },
    attributes: { ...attributes },
  }
}

const settings: Settings = { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 }

t.test('adamw, step after step', async (t) => {
  // 2^18 numbers are one task
  for (const n of [1, 64, 615, (1 << 18) + 9]) {
    let state: State = { parameters: normalValues(1, n), first_moment: new Float32Array(n), second_moment: new Float32Array(n) }
    for (const step of n > 1000 ? [1] : [1, 2, 3, 4, 5]) {
      const gradients = normalValues(10 + step, n, 0.01)
      const clip = step % 2 ? 1 : 0.25
      const expected = adamw(state, gradients, clip, step, settings)
      const call = callOf(state, gradients, clip, { ...settings, step })
      await checkOp(t, `${n} numbers, step ${step}`, call, { ...expected })
      state = (await runOp(call, { instructionSet: instructionSets[0]!, threads: 1 })) as unknown as State
    }
  }
})

t.test('adamw with a copy of the parameters in bfloat16', async (t) => {
  const bf16 = computeTypes[1]!
  for (const n of [1, 64, 615, (1 << 18) + 9]) {
    const state = { parameters: normalValues(11, n), first_moment: normalValues(12, n, 0.01), second_moment: new Float32Array(n) }
    const gradients = normalValues(13, n, 0.01)
    const expected = adamw(state, gradients, 1, 2, settings)
    const call = callOf(state, gradients, 1, { ...settings, step: 2 }, new Float32Array(n).fill(NaN))
    const rounded = bf16.stored(expected.parameters as Required<Expected>)
    await checkOp(t, `${n} numbers`, call, { ...expected, rounded })
    const { rounded: _, ...without } = call.operands
    for (const target of opTargets.map((each) => ({ ...each, threads: 2 }))) {
      const { instructionSet } = target
      const { rounded, ...rest } = await runOp(call, target)
      const plain = await runOp({ ...call, operands: without }, target)
      const name = `${n} numbers, ${instructionSet}`
      t.ok(sameBits(rounded!, roundToBf16(rest.parameters!)), `${name}: the parameters to the nearest`)
      for (const [operand, values] of Object.entries(rest))
        t.ok(sameBits(values, plain[operand]!), `${name}: ${operand} as without the copy`)
    }
  }
})

t.test('ten steps are what ten steps in double are', async (t) => {
  const n = 200
  const start = { parameters: normalValues(2, n), first_moment: new Float32Array(n), second_moment: new Float32Array(n) }
  for (const target of opTargets) {
    const { instructionSet } = target
    let single: State = start
    let double: State = start
    // All gradients of a number point the same way, so that no moment is a difference of large numbers.
    const bounds = new Float64Array(n)
    for (let step = 1; step <= 10; step++) {
      const gradients = normalValues(3, n, 0.01).map((g) => g * (1 + step / 10))
      single = (await runOp(callOf(single, gradients, 1, { ...settings, step }), {
        ...target,
        threads: 2,
      })) as unknown as State
      const want = adamw(double, gradients, 1, step, settings)
      double = {
        parameters: want.parameters.values,
        first_moment: want.first_moment.values,
        second_moment: want.second_moment.values,
      }
      // Moments have lost six roundings in each step before: the change of this one is off by so many more.
      for (let i = 0; i < n; i++) bounds[i]! += want.parameters.bounds![i]! + 9 * step * U * settings.learning_rate
    }
    within(t, single.parameters, double.parameters, bounds, instructionSet)
  }
})

t.test('without weight decay and gradient nothing moves', async (t) => {
  const n = 21
  const parameters = normalValues(4, n)
  const zeros = new Float32Array(n)
  const call = callOf({ parameters, first_moment: zeros, second_moment: zeros }, zeros, 1, {
    ...settings,
    weight_decay: 0,
    step: 1,
  })
  await checkOp(t, 'zeros', call, {
    parameters: { values: parameters },
    first_moment: { values: zeros },
    second_moment: { values: zeros },
  })
})

t.test('a clip scale that is NaN writes nothing, whatever the gradients are', async (t) => {
  const n = 37
  const state = {
    parameters: normalValues(5, n),
    first_moment: normalValues(6, n),
    second_moment: normalValues(7, n).map(Math.abs),
  }
  const gradients = new Float32Array(n).fill(NaN)
  const rounded = roundToBf16(normalValues(14, n))
  await checkOp(t, 'no clip scale', callOf(state, gradients, NaN, { ...settings, step: 3 }, rounded), {
    parameters: { values: state.parameters },
    first_moment: { values: state.first_moment },
    second_moment: { values: state.second_moment },
    rounded: { values: rounded },
  })
})

t.test('a clip scale of 0 is a factor like any other: moments decay', async (t) => {
  const n = 37
  const state = {
    parameters: normalValues(5, n),
    first_moment: normalValues(6, n),
    second_moment: normalValues(7, n).map(Math.abs),
  }
  const gradients = normalValues(8, n)
  await checkOp(t, 'clip 0', callOf(state, gradients, 0, { ...settings, step: 3 }), {
    ...adamw(state, gradients, 0, 3, settings),
  })
  // A norm of 3e38 clipped to 1e-10: less than the smallest float32.
  const operands = { gradients: given(new Float32Array(1).fill(3e38), [1]), norm: written([1]), clip_scale: written([1]) }
  for (const target of opTargets) {
    const out = await runOp({ op: 'grad_norm', operands, attributes: { max_norm: 1e-10 } }, { ...target, threads: 1 })
    t.same([out.norm![0], out.clip_scale![0]], [Math.fround(3e38), 0])
  }
})

t.test('grad_norm', async (t) => {
  for (const n of [1, 64, 255, 615, 100_003]) {
    const gradients = normalValues(8, n)
    const norm = Math.sqrt(gradients.reduce((sum, g) => sum + g * g, 0))
    for (const max_norm of [0, norm / 3, norm * 3]) {
      const operands = { gradients: given(gradients, [n]), norm: written([1]), clip_scale: written([1]) }
      const scale = clipScale(norm, max_norm)
      // Sums are in double: what is left is the rounding to float32.
      await checkOp(
        t,
        `${n}, at most ${max_norm}`,
        { op: 'grad_norm', operands, attributes: { max_norm } },
        {
          norm: { values: [norm], bounds: [1.01 * U * norm] },
          clip_scale: { values: [scale], bounds: [1.01 * U] },
        },
      )
    }
  }
})

t.test('grad_norm of what float32 cannot square', async (t) => {
  for (const size of [1e30, 1e-30]) {
    const gradients = new Float32Array(100).fill(size)
    const operands = { gradients: given(gradients, [100]), norm: written([1]), clip_scale: written([1]) }
    const norm = 10 * gradients[0]!
    await checkOp(
      t,
      String(size),
      { op: 'grad_norm', operands, attributes: { max_norm: 1 } },
      {
        norm: { values: [norm], bounds: [2 * U * norm] },
        clip_scale: { values: [Math.min(1, 1 / (norm + 1e-6))], bounds: [2 * U * Math.min(1, 1 / norm)] },
      },
    )
  }
})

t.test('a NaN or an infinity anywhere gives no clip scale', async (t) => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const at of [0, 15, 998]) {
      const gradients = normalValues(9, 999)
      gradients[at] = bad
      const operands = { gradients: given(gradients, [999]), norm: written([1]), clip_scale: written([1]) }
      for (const max_norm of [0, 1])
        for (const target of opTargets) {
          const out = await runOp({ op: 'grad_norm', operands, attributes: { max_norm } }, { ...target, threads: 2 })
          t.notOk(Number.isFinite(out.norm![0]), `${bad} at ${at}: the norm is not finite`)
          t.ok(Number.isNaN(out.clip_scale![0]), `${bad} at ${at}: nor is there a clip scale`)
        }
    }
  }
})

t.test('a norm above the largest float32 gives no clip scale', async (t) => {
  const operands = { gradients: given(new Float32Array(4).fill(3e38), [4]), norm: written([1]), clip_scale: written([1]) }
  for (const max_norm of [0, 1])
    for (const target of opTargets) {
      const out = await runOp({ op: 'grad_norm', operands, attributes: { max_norm } }, { ...target, threads: 1 })
      t.same([out.norm![0], out.clip_scale![0]], [Infinity, NaN], 'what is reported as not finite changes no weight')
    }
})
