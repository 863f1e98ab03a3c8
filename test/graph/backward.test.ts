import t from 'tap'
import { appendBackward } from '../../lib/graph/backward.js'
import { Graph } from '../../lib/graph/graph.js'
import { tensorBytes } from '../../lib/graph/memory-plan.js'
import { add } from '../../lib/graph/ops/elementwise.js'
import { embedding } from '../../lib/graph/ops/embedding.js'
import { linear } from '../../lib/graph/ops/linear.js'
import { linearCrossEntropy } from '../../lib/graph/ops/linear-cross-entropy.js'
import { rmsNorm } from '../../lib/graph/ops/rms-norm.js'
import { rope } from '../../lib/graph/ops/rope.js'
import { swiglu } from '../../lib/graph/ops/swiglu.js'
import type { Tensor } from '../../lib/graph/tensor.js'
import { TOKENS } from '../../lib/native/addon-types.js'
import { openDevice } from '../../lib/native/device.js'
import { PlanBuilder } from '../../lib/plan/plan.js'
import { Session } from '../../lib/plan/session.js'
import { normalValues } from '../ops/random-values.js'

const device = await openDevice('cpu', { threads: 2 })
t.teardown(() => device.close())

const [VOCABULARY, WIDTH, TOKEN_COUNT] = [13, 8, 6]
const bounds = { maxTokens: TOKEN_COUNT, maxSequences: 1 }

/** What stands between the embedding and the loss: hidden states [T, WIDTH] from x [T, WIDTH]. */
type Body = (graph: Graph, x: Tensor, tables: { cos: Tensor; sin: Tensor }) => Tensor

/** A run of a graph around `body`: the loss and the gradients of all parameters. `values` gives the parameters of the body. */
async function run(body: Body, values: Record<string, Float32Array>): Promise<Record<string, Float32Array>> {
  const graph = new Graph()
  const tables = { cos: graph.input('cos', [TOKENS, WIDTH / 2]), sin: graph.input('sin', [TOKENS, WIDTH / 2]) }
  const x = embedding(graph, {
    table: graph.parameter('table', [VOCABULARY, WIDTH]),
    ids: graph.input('ids', [TOKENS], 'i32'),
    name: 'x',
  })
  linearCrossEntropy(graph, {
    hidden: body(graph, x, tables),
    weight: graph.parameter('head', [VOCABULARY, WIDTH]),
    labels: graph.input('labels', [TOKENS], 'i32'),
    lossWeights: graph.input('weights', [TOKENS]),
    maxTokens: TOKEN_COUNT,
    train: true,
  })
  appendBackward(graph)

  // Every parameter and every gradient has a storage of its own.
  const lasting = [...graph.parameters.values(), ...graph.gradients.values()]
  const sizes = Object.fromEntries(lasting.map((tensor) => [tensor.name, tensorBytes(tensor, bounds)]))
  const place = ({ name }: Tensor) => ({ storage: name, offset: 0 })
  const plan = new PlanBuilder<string, 'step'>(sizes, { threads: 1 }).add('step', graph, { bounds, place }).build()
  const session = await Session.open(plan, device)
  const all: Record<string, Float32Array> = {
    table: normalValues(1, VOCABULARY * WIDTH),
    head: normalValues(2, VOCABULARY * WIDTH),
    norm: normalValues(3, WIDTH),
    ...values,
  }
  for (const name of graph.parameters.keys()) await session.arenas[name]!.write(0, all[name]!)
  const angles = normalValues(4, (TOKEN_COUNT * WIDTH) / 2)
  const outputs = await session.run('step', {
    inputs: {
      ids: Int32Array.of(0, 1, 2, 3, 2, 12),
      labels: Int32Array.of(1, 2, -100, 4, 5, 12),
      weights: new Float32Array(TOKEN_COUNT).fill(0.25),
      cos: angles.map(Math.cos),
      sin: angles.map(Math.sin),
    },
  })
  const results: Record<string, Float32Array> = { loss: outputs.loss! }
  for (const [parameter, gradient] of graph.gradients)
    results[parameter.name] = new Float32Array(
      (await session.arenas[gradient.name]!.read(0, tensorBytes(gradient, bounds))).buffer,
    )
  return results
}

type Use = (graph: Graph, a: Tensor, b: Tensor, tables: { cos: Tensor; sin: Tensor }) => Tensor

const norm = (graph: Graph) => graph.parameter('norm', [WIDTH])
const uses: Record<string, Use> = {
  'each view once': (graph, gate, up) => swiglu(graph, { gate, up, name: 'gated' }),
  'a view twice': (graph, a, b, tables) =>
    add(graph, { a: rope(graph, { x: a, ...tables, name: 'r' }), b: swiglu(graph, { gate: a, up: b, name: 's' }), name: 'h' }),
  'a view three times': (graph, a, b, tables) => {
    const turned = add(graph, {
      a: rope(graph, { x: a, ...tables, name: 'r' }),
      b: rope(graph, { x: a, ...tables, name: 'q' }),
      name: 'rq',
    })
    return add(graph, { a: turned, b: swiglu(graph, { gate: a, up: b, name: 's' }), name: 'h' })
  },
  'a sum of views': (graph, a, b) => add(graph, { a, b, name: 'h' }),
  'a view and its rotation': (graph, a, b, tables) =>
    add(graph, { a: add(graph, { a, b: rope(graph, { x: a, ...tables, name: 'r' }), name: 'ar' }), b, name: 'h' }),
  'a rotation first': (graph, a, b, tables) => {
    const turned = rope(graph, { x: a, ...tables, name: 'r' })
    return add(graph, { a: add(graph, { a: turned, b, name: 'rb' }), b: a, name: 'h' })
  },
  'a norm of a view': (graph, a, b) =>
    add(graph, { a: rmsNorm(graph, { x: a, weight: norm(graph), eps: 1e-6, name: 'n' }).out, b, name: 'h' }),
  'a view and its norm': (graph, a, b) => {
    const { out } = rmsNorm(graph, { x: a, weight: norm(graph), eps: 1e-6, name: 'n' })
    return add(graph, { a: out, b: swiglu(graph, { gate: a, up: b, name: 's' }), name: 'h' })
  },
  'a norm of a sum of views': (graph, a, b) => {
    const { out, sum } = rmsNorm(graph, { x: a, residual: b, weight: norm(graph), eps: 1e-6, name: 'n' })
    return add(graph, { a: out, b: sum, name: 'h' })
  },
  'a view as its own residual': (graph, a, b) =>
    add(graph, { a: rmsNorm(graph, { x: a, residual: a, weight: norm(graph), eps: 1e-6, name: 'n' }).out, b, name: 'h' }),
}

t.test('views of one projection get the gradients of two projections', async (t) => {
  const [first, second] = [normalValues(5, WIDTH * WIDTH), normalValues(6, WIDTH * WIDTH)]
  for (const [what, use] of Object.entries(uses)) {
    const apart = await run(
      (graph, x, tables) => {
        const [a, b] = ['first', 'second'].map((name) =>
          linear(graph, { x, weight: graph.parameter(name, [WIDTH, WIDTH]), name }),
        )
        return use(graph, a!, b!, tables)
      },
      { first, second },
    )
    const together = await run(
      (graph, x, tables) => {
        const both = linear(graph, { x, weight: graph.parameter('both', [2 * WIDTH, WIDTH]), name: 'both' })
        return use(graph, both.columns(0, WIDTH, 'a'), both.columns(WIDTH, WIDTH, 'b'), tables)
      },
      { both: Float32Array.of(...first, ...second) },
    )
    t.same(together.loss, apart.loss, `${what}: the loss`)
    // The two graphs may add up in another order: a few roundings of gradients of the size of one.
    for (const [name, gradient] of Object.entries({ ...apart, both: Float32Array.of(...apart.first!, ...apart.second!) })) {
      if (name === 'first' || name === 'second') continue
      const difference = gradient.map((value, i) => Math.abs(value - together[name]![i]!)).reduce((a, b) => Math.max(a, b))
      const size = gradient.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      t.ok(difference <= 40 * 2 ** -24 * size, `${what}: gradient of ${name}: ${difference} of ${size}`)
    }
  }
})

t.test('a gradient that would be lost is an error', async (t) => {
  const projection = (graph: Graph, x: Tensor) =>
    linear(graph, { x, weight: graph.parameter('both', [2 * WIDTH, WIDTH]), name: 'both' })
  const refuses = (what: string, message: RegExp, body: Body) =>
    t.rejects(run(body, {}), { code: 'PROGRAM_INVALID', message }, what)
  await refuses('half of a projection', /views of both to cover it once/, (graph, x, tables) =>
    rope(graph, { x: projection(graph, x).columns(0, WIDTH, 'a'), ...tables, name: 'h' }),
  )
  await refuses('overlapping views', /views of both to cover it once/, (graph, x) => {
    const both = projection(graph, x)
    return swiglu(graph, { gate: both.columns(0, WIDTH, 'a'), up: both.columns(1, WIDTH, 'b'), name: 'h' })
  })
  await refuses('a projection and a view of it', /both/, (graph, x, tables) => {
    const both = projection(graph, x)
    const back = linear(graph, { x: both, weight: graph.parameter('back', [WIDTH, 2 * WIDTH]), name: 'back' })
    const halves = swiglu(graph, { gate: both.columns(0, WIDTH, 'a'), up: both.columns(WIDTH, WIDTH, 'b'), name: 's' })
    return add(graph, { a: rope(graph, { x: back, ...tables, name: 'r' }), b: halves, name: 'h' })
  })
  await refuses('a tensor that nothing uses', /no gradient reaches y of linear \(loose\)/, (graph, x) => {
    linear(graph, { x, weight: graph.parameter('loose', [WIDTH, WIDTH]), name: 'loose' })
    return x
  })
})
