import t from 'tap'
import { Graph } from '../../lib/graph/graph.js'
import { contracts } from '../../lib/graph/ops/contracts.js'
import { expertLinear } from '../../lib/graph/ops/expert-linear.js'
import { linear } from '../../lib/graph/ops/linear.js'
import { route } from '../../lib/graph/ops/route.js'
import type { Tensor } from '../../lib/graph/tensor.js'
import { TOKENS } from '../../lib/native/addon-types.js'
import { PlanBuilder } from '../../lib/plan/plan.js'
import { Session } from '../../lib/plan/session.js'
import { checkOp, U, within } from './check-op.js'
import { computeTypes } from './compute-types.js'
import * as reference from './expert-reference.js'
import { normalValues } from './random-values.js'
import { closeDevices, deviceAt, given, type OpCall, opTargets } from './run-op.js'

t.teardown(closeDevices)

const shapes = [
  { tokens: 1, columns: 1, outputs: 1, count: 1, chosen: 1 },
  { tokens: 5, columns: 123, outputs: 37, count: 6, chosen: 2 },
  { tokens: 19, columns: 64, outputs: 130, count: 3, chosen: 3 },
]

for (const type of computeTypes) {
  const caseOf = (shape: reference.ExpertShape, experts: Int32Array) => {
    const { tokens, columns, outputs, count, chosen } = shape
    const x = type.normal(1, tokens * columns)
    const weight = type.normal(2, count * outputs * columns)
    const weights = normalValues(3, tokens * chosen).map(Math.abs)
    const call: OpCall = {
      op: 'expert_linear',
      tokens,
      operands: {
        y: type.written(['T', outputs], { rowStride: outputs + 5 }),
        x: type.given(x, ['T', columns], { rowStride: columns + 2 }),
        weight: type.given(weight, [count, outputs, columns]),
        experts: given(experts, ['T', chosen], { rowStride: chosen + 1 }),
        weights: given(weights, ['T', chosen]),
      },
    }
    const { values, sizes } = reference.expertLinear(x, weight, experts, weights, shape)
    return { call, expected: type.stored({ values, bounds: sizes.map((size) => (columns + chosen + 2) * U * size) }) }
  }

  t.test(`expert_linear, ${type.dtype}`, async (t) => {
    for (const shape of shapes) {
      const experts = Int32Array.from({ length: shape.tokens * shape.chosen }, (_, i) => (i * 7) % shape.count)
      const { call, expected } = caseOf(shape, experts)
      await checkOp(t, JSON.stringify(shape), call, { y: expected })
    }
  })

  t.test(`experts that do not exist add nothing, ${type.dtype}`, async (t) => {
    const wild = [-1, 3, 2 ** 31 - 1, -(2 ** 31), 0, 2]
    const experts = Int32Array.from({ length: 19 * 3 }, (_, i) => wild[i % wild.length]!)
    const { call, expected } = caseOf(shapes[2]!, experts)
    await checkOp(t, 'integers that nobody has checked', call, { y: expected })
  })
}

t.test('a router and its experts: integers that an operation writes and another reads', async (t) => {
  const [tokens, width, count, chosen] = [7, 16, 5, 2]
  const graph = new Graph()
  const x = graph.input('x', [TOKENS, width])
  const router = graph.parameter('router', [count, width])
  const weight = graph.parameter('experts', [count, width, width])
  const { experts, weights } = route(graph, {
    logits: linear(graph, { x, weight: router, name: 'logits' }),
    chosen,
    name: 'route',
  })
  const y = expertLinear(graph, { x, weight, experts, weights, name: 'y' })
  graph.markOutput(y)
  const bounds = { maxTokens: tokens, maxSequences: 1 }
  const place = ({ name }: Tensor) => ({ storage: name as 'router' | 'experts', offset: 0 })
  const sizes = { router: 4 * count * width, experts: 4 * count * width * width }
  const values = {
    x: normalValues(1, tokens * width),
    router: normalValues(2, count * width),
    experts: normalValues(3, count * width * width),
  }
  const logits = Float64Array.from({ length: tokens * count }, (_, i) => {
    let sum = 0
    for (let c = 0; c < width; c++) sum += values.x[Math.floor(i / count) * width + c]! * values.router[(i % count) * width + c]!
    return sum
  })
  const routed = reference.route(logits, tokens, count, chosen)
  const shape = { tokens, columns: width, outputs: width, count, chosen }
  const want = reference.expertLinear(values.x, values.experts, routed.experts, routed.weights, shape)
  for (const target of opTargets) {
    const device = await deviceAt(target)
    const planned = { device: device.name, threads: device.info.threads }
    const plan = new PlanBuilder<'router' | 'experts', 'run'>(sizes, planned).add('run', graph, { bounds, place }).build()
    const session = await Session.open(plan, device)
    for (const name of ['router', 'experts'] as const) await session.arenas[name].write(0, values[name])
    const { y: got } = await session.run('run', { inputs: { x: values.x } })
    within(
      t,
      got!,
      want.values,
      want.sizes.map((size) => 200 * U * size),
      target.instructionSet,
    )
  }
})

t.test('integers that the host must know cannot be written by an operation', async (t) => {
  t.ok(contracts.route.operands.experts.onDevice && contracts.expert_linear.operands.experts.onDevice)
  t.notOk('onDevice' in contracts.embedding.operands.ids)
  const graph = new Graph()
  const { experts } = route(graph, { logits: graph.input('logits', [TOKENS, 4]), chosen: 1, name: 'route' })
  const ids = graph.activation('ids', [TOKENS], 'i32')
  t.same(experts.dtype, ids.dtype)
  const device = await deviceAt(opTargets[0]!)
  const rows = (offset: number, shape: number[], dtype: 'f32' | 'i32') => ({ arena: 0, offset, dtype, shape })
  const program = {
    ...{ maxTokens: 2, maxSequences: 1, inputs: {}, outputs: {} },
    ops: [
      {
        op: 'route',
        operands: {
          experts: rows(0, [TOKENS, 1], 'i32'),
          weights: rows(64, [TOKENS, 1], 'f32'),
          logits: rows(128, [TOKENS, 4], 'f32'),
        },
        attributes: {},
      },
      {
        op: 'embedding',
        operands: { out: rows(256, [TOKENS, 1], 'f32'), table: rows(320, [4, 1], 'f32'), ids: rows(0, [TOKENS], 'i32') },
        attributes: {},
      },
    ],
  }
  t.throws(() => device.compile(program, [device.allocate(1024)]), {
    code: 'PROGRAM_INVALID',
    message:
      /expected that no operation writes over ids of op 1 \(embedding\), which is checked before a run, but experts of op 0 \(route\) writes/,
  })
})
