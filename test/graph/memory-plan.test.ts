import t from 'tap'
import { parseModelConfig } from '../../lib/config/model-config.js'
import { appendBackward } from '../../lib/graph/backward.js'
import { Graph } from '../../lib/graph/graph.js'
import { planMemory, tensorBytes } from '../../lib/graph/memory-plan.js'
import { add } from '../../lib/graph/ops/elementwise.js'
import { rope } from '../../lib/graph/ops/rope.js'
import { appendDecoder } from '../../lib/model/decoder.js'
import { declareParameters } from '../../lib/model/decoder-parameters.js'
import { TOKENS } from '../../lib/native/addon-types.js'
import { recomputeLayers } from '../../lib/plan/passes/recompute.js'
import { interpret } from './memory-interpreter.js'
import { microConfigs } from './micro-configs.js'
import { read, write } from './operand-rules.js'
import { randomGraph } from './random-graph.js'

const bounds = { maxTokens: 3, maxSequences: 1 }

t.test('random graphs find in memory what they wrote', async (t) => {
  let shared = 0
  for (let seed = 0; seed < 2000; seed++) {
    const graph = randomGraph(seed, 4 + (seed % 30))
    const plan = planMemory(graph, bounds)
    const wrong = interpret(graph, plan)
    if (wrong) return t.fail(`seed ${seed}: ${wrong}`)
    const storages = new Set(graph.nodes.flatMap(({ operands }) => Object.values(operands).map(({ storage }) => storage)))
    shared += [...storages].reduce((sum, tensor) => sum + tensorBytes(tensor, bounds), 0) / plan.bytes
  }
  t.ok(shared / 2000 > 1, `memory is used ${(shared / 2000).toFixed(2)} times`)
})

t.test('training steps of every family do, whatever is recomputed', async (t) => {
  for (const [family, configJson] of Object.entries(microConfigs))
    for (const layers of [[], [0], [0, 1], [0, 1, 2]]) {
      const config = parseModelConfig(configJson, family)
      const graph = new Graph()
      appendDecoder(graph, { config, parameters: declareParameters(config), maxTokens: bounds.maxTokens, train: true })
      appendBackward(graph)
      recomputeLayers(graph, new Set(layers))
      t.equal(interpret(graph, planMemory(graph, bounds)), undefined, `${family}, layers ${layers} recomputed`)
    }
})

t.test('the same graph gives the same plan', async (t) => {
  for (let seed = 0; seed < 50; seed++) {
    const places = () => {
      const graph = randomGraph(seed, 25)
      const plan = planMemory(graph, bounds)
      return [plan.bytes, ...graph.nodes.flatMap(({ operands }) => Object.values(operands).map((tensor) => plan.place(tensor)))]
    }
    t.same(places(), places(), `seed ${seed}`)
  }
})

t.test('tensors start at cache lines, and the arena ends where the last one does', async (t) => {
  const graph = new Graph()
  const source = { name: 'source', operands: { out: write('T C') } }
  const sink = { name: 'sink', operands: { x: read('T C'), y: read('T C') } }
  const [x, y] = [graph.activation('x', [TOKENS, 5]), graph.activation('y', [TOKENS, 7])]
  graph.append(source, { out: x })
  graph.append(source, { out: y })
  graph.append(sink, { x, y: x })
  graph.append(sink, { x: y, y })
  const plan = planMemory(graph, bounds)
  // 3 x 7 and 3 x 5 numbers, in cache lines of 64 bytes
  t.same([plan.place(y), plan.place(x), plan.bytes], [{ offset: 0, rowStride: 7 }, { offset: 128, rowStride: 5 }, 192])
})

/** A graph of x [T, 4], its rotation table, and what `body` makes of them. */
function chain(body: (graph: Graph, x: ReturnType<Graph['activation']>, tables: Parameters<typeof rope>[1]) => void): Graph {
  const graph = new Graph()
  const x = graph.activation('x', [TOKENS, 4])
  graph.append({ name: 'source', operands: { out: write('T C') } }, { out: x })
  body(graph, x, { x, cos: graph.input('cos', [TOKENS, 1]), sin: graph.input('sin', [TOKENS, 1]), name: 'turned' })
  return graph
}

t.test('an operation works in place when it is the last to read its operand', async (t) => {
  const inPlace = chain((graph, x, tables) => {
    const turned = rope(graph, { ...tables, x: x.columns(0, 2, 'left') })
    add(graph, { a: turned, b: x.columns(2, 2, 'right'), name: 'sum' })
  })
  // x, of 3 x 4 numbers, holds everything that follows.
  t.equal(planMemory(inPlace, bounds).bytes, 64)
  const readLater = chain((graph, x, tables) => {
    const turned = rope(graph, { ...tables, x })
    add(graph, { a: turned, b: x, name: 'sum' })
  })
  t.equal(planMemory(readLater, bounds).bytes, 128)
})

t.test('outputs stay until the end', async (t) => {
  const graph = chain((graph, x) => {
    const out = graph.output('out', [TOKENS, 4])
    graph.append({ name: 'copy', operands: { out: write('T C'), x: read('T C') }, inPlace: [['out', 'x']] }, { out, x })
    for (let i = 0; i < 3; i++)
      graph.append({ name: 'source', operands: { out: write('T C') } }, { out: graph.activation(`y${i}`, [TOKENS, 4]) })
  })
  const plan = planMemory(graph, bounds)
  t.equal(interpret(graph, plan), undefined)
  t.equal(plan.bytes, 128, 'an output is no part of an activation, and the others share a place')
})
