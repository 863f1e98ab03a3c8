import t from 'tap'
import { checkRefused, sameBits, targetsOf } from './check-op.js'
import { type ComputeType, computeTypes } from './compute-types.js'
import { normalValues } from './random-values.js'
import { accumulated, closeDevices, given, type OpCall, runOp, written } from './run-op.js'

t.teardown(closeDevices)

const [ROWS, COLUMNS, OUTER] = [37, 96, 80]

/** A call that makes every gradient, and the groups of operands that are there together or not at all. */
interface Case {
  call: OpCall
  gradients: string[][]
}

function casesOf(type: ComputeType): Case[] {
  const rows = (seed: number, columns: number) => type.given(type.normal(seed, ROWS * columns), ['T', columns])
  const rstd = (count: number) => given(normalValues(3, ROWS * count).map(Math.abs), count === 1 ? ['T'] : ['T', count])
  const sum = (...shape: number[]) =>
    accumulated(
      normalValues(
        4,
        shape.reduce((a, b) => a * b, 1),
      ),
      shape,
    )
  const call = (op: string, operands: OpCall['operands']): OpCall => ({ op, tokens: ROWS, operands })
  const norm = (op: string, size: number) =>
    call(op, {
      d_x: type.written(['T', COLUMNS]),
      d_weight: sum(size),
      d_out: rows(5, COLUMNS),
      x: rows(6, COLUMNS),
      rstd: rstd(COLUMNS / size),
      weight: type.given(type.normal(7, size), [size]),
    })
  const labels = Int32Array.from({ length: ROWS }, (_, t) => (t % 5 === 0 ? -100 : (t * 7) % OUTER))
  return [
    { call: norm('rms_norm_backward', COLUMNS), gradients: [['d_x'], ['d_weight']] },
    { call: norm('head_norm_backward', COLUMNS / 3), gradients: [['d_x'], ['d_weight']] },
    {
      call: call('linear_backward_weight', {
        d_weight: sum(OUTER, COLUMNS),
        d_bias: sum(OUTER),
        d_y: rows(8, OUTER),
        x: rows(9, COLUMNS),
      }),
      gradients: [['d_weight'], ['d_bias']],
    },
    {
      call: call('linear_cross_entropy', {
        loss: written([1]),
        token_loss: written(['T']),
        d_hidden: type.written(['T', COLUMNS]),
        d_weight: sum(OUTER, COLUMNS),
        logits: written([16, OUTER]),
        hidden_rows: type.written([16, COLUMNS]),
        d_hidden_rows: type.written([16, COLUMNS]),
        hidden: rows(10, COLUMNS),
        weight: type.given(type.normal(11, OUTER * COLUMNS), [OUTER, COLUMNS]),
        labels: given(labels, ['T']),
        loss_weights: given(new Float32Array(ROWS).fill(1 / ROWS), ['T']),
      }),
      gradients: [['d_hidden', 'd_hidden_rows'], ['d_weight']],
    },
  ]
}

function without(call: OpCall, names: readonly string[]): OpCall {
  const operands = Object.fromEntries(Object.entries(call.operands).filter(([name]) => !names.includes(name)))
  return { ...call, operands }
}

const workingMemory = new Set(['logits', 'hidden_rows', 'd_hidden_rows'])

for (const type of computeTypes)
  t.test(`the other gradients have the same bits without one that nobody needs, ${type.dtype}`, async (t) => {
    for (const { call, gradients } of casesOf(type))
      for (const target of targetsOf(call)) {
        const all = await runOp(call, target)
        for (const absent of gradients) {
          const some = await runOp(without(call, absent), target)
          const different = Object.keys(some).filter((name) => !workingMemory.has(name) && !sameBits(some[name]!, all[name]!))
          t.same(different, [], `${call.op} without ${absent}, ${target.instructionSet}`)
        }
      }
  })

t.test('an operation that would write nothing is refused', async (t) => {
  for (const { call, gradients } of casesOf(computeTypes[0]!)) {
    if (call.op === 'linear_cross_entropy') continue
    const [[one], [other]] = gradients as [[string], [string]]
    await checkRefused(
      t,
      call.op,
      without(call, [one, other]),
      'PROGRAM_INVALID',
      new RegExp(`expected ${one}, ${other} or both`),
    )
  }
})
