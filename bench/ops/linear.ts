// Matrix products against the machine's own multiply-add rate, each checked against double before it is timed.
//
//   npm run bench            prints a table
//   npm run bench -- --json  prints one object a line
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { Graph } from '../../lib/graph/graph.js'
import { planMemory } from '../../lib/graph/memory-plan.js'
import type { OpDefinition } from '../../lib/graph/op.js'
import { linearBackwardInputOp, linearBackwardWeightOp, linearOp } from '../../lib/graph/ops/linear.js'
import { describeProgram } from '../../lib/graph/program.js'
import { type Device, openDevice } from '../../lib/native/device.js'

interface Shape {
  tokens: number
  inputs: number
  outputs: number
}

/** Projections of a model of 0.8 million parameters (the embedded default) and of Qwen2.5-0.5B, with its vocabulary. */
const shapes: Shape[] = [
  { tokens: 1024, inputs: 128, outputs: 256 },
  { tokens: 1024, inputs: 128, outputs: 768 },
  { tokens: 1024, inputs: 384, outputs: 128 },
  { tokens: 512, inputs: 896, outputs: 896 },
  { tokens: 2048, inputs: 896, outputs: 4864 },
  { tokens: 2048, inputs: 4864, outputs: 896 },
  { tokens: 512, inputs: 896, outputs: 151936 },
]

const directions = [
  { name: 'forward', op: linearOp, operands: { y: 'y', x: 'x', weight: 'w' } },
  { name: 'd_x', op: linearBackwardInputOp, operands: { d_x: 'x', d_y: 'y', weight: 'w' } },
  { name: 'd_weight', op: linearBackwardWeightOp, operands: { d_weight: 'w', d_y: 'y', x: 'x' } },
] as const satisfies readonly { name: string; op: OpDefinition; operands: Record<string, 'x' | 'y' | 'w'> }[]
type Direction = (typeof directions)[number]

const RUNS = 7
const CHECKED = 200

function randomValues(length: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  })
}

async function measure(device: Device, shape: Shape, direction: Direction) {
  const { tokens, inputs, outputs } = shape
  const sizes = { x: [tokens, inputs], y: [tokens, outputs], w: [outputs, inputs] } as const
  const graph = new Graph()
  const tensors = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, graph.activation(name, [...size])]))
  graph.append(
    direction.op,
    Object.fromEntries(Object.entries(direction.operands).map(([operand, name]) => [operand, tensors[name]])),
  )
  const memory = planMemory(graph, { maxTokens: 0, maxSequences: 0 })
  const arena = device.allocate(memory.bytes)
  const program = device.compile(describeProgram(graph, { memory, activationArena: 0, place: () => ({ arena: 0, offset: 0 }) }), [
    arena,
  ])
  const values = Object.fromEntries(
    Object.entries(sizes).map(([name, [rows, cols]], index) => [name, randomValues(rows * cols, index + 1)]),
  )
  for (const [name, data] of Object.entries(values)) await arena.write(memory.place(tensors[name]!).offset, data)
  const result = Object.entries(direction.operands).find(([operand]) => direction.op.operands[operand]!.access !== 'read')![1]
  if (direction.name === 'd_weight') await arena.write(memory.place(tensors.w!).offset, new Float32Array(outputs * inputs))

  await program.run()
  const got = await arena.read(memory.place(tensors[result]!).offset, sizes[result][0] * sizes[result][1] * 4)
  check(
    direction,
    shape,
    values as Record<'x' | 'y' | 'w', Float32Array>,
    new Float32Array(got.buffer, got.byteOffset, got.byteLength / 4),
  )

  const times: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    await program.run()
    times.push(performance.now() - start)
  }
  const medianMs = times.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!
  return { medianMs, gflops: (2 * tokens * inputs * outputs) / medianMs / 1e6 }
}

/** Holds some elements against double: |error| ≤ k·2⁻²⁴·Σ|a·b|, the bound of a sum of k terms in float32. */
function check(direction: Direction, shape: Shape, v: Record<'x' | 'y' | 'w', Float32Array>, got: Float32Array): void {
  const { tokens, inputs, outputs } = shape
  const [rows, cols, terms] = {
    forward: [tokens, outputs, inputs],
    d_x: [tokens, inputs, outputs],
    d_weight: [outputs, inputs, tokens],
  }[direction.name]
  const a = (i: number, k: number) =>
    direction.name === 'forward' ? v.x[i * inputs + k]! : direction.name === 'd_x' ? v.y[i * outputs + k]! : v.y[k * outputs + i]!
  const b = (k: number, j: number) =>
    direction.name === 'forward' ? v.w[j * inputs + k]! : direction.name === 'd_x' ? v.w[k * inputs + j]! : v.x[k * inputs + j]!
  for (let n = 0; n < CHECKED; n++) {
    const [i, j] = [(n * 7919) % rows!, (n * 104729) % cols!]
    let sum = 0
    let magnitude = 0
    for (let k = 0; k < terms!; k++) {
      sum += a(i, k) * b(k, j)
      magnitude += Math.abs(a(i, k) * b(k, j))
    }
    const error = Math.abs(got[i * cols! + j]! - sum)
    if (!(error <= terms! * 2 ** -24 * magnitude))
      throw new Error(`${direction.name} ${JSON.stringify(shape)} [${i}, ${j}]: ${got[i * cols! + j]} is not ${sum}`)
  }
}

const json = process.argv.includes('--json')
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
if (!json) console.log(`${cpus()[0]!.model.trim()}, commit ${commit}, medians of ${RUNS}`)
for (const threads of [1, 2].filter((count) => count <= cpus().length)) {
  const device = await openDevice('cpu', { threads })
  // On a shared machine a single measurement may be of half a processor: the ceiling is the best of all so far.
  let ceiling = 0
  const measureCeiling = async (times: number) => {
    for (let n = 0; n < times; n++) ceiling = Math.max(ceiling, (await device.measureMultiplyAddRate()) / 1e9)
  }
  await measureCeiling(20)
  for (const shape of shapes) {
    await measureCeiling(2)
    for (const direction of directions) {
      const { medianMs, gflops } = await measure(device, shape, direction)
      const share = gflops / ceiling
      const row = {
        op: 'linear',
        direction: direction.name,
        dtype: 'f32',
        threads,
        isa: device.info.instructionSet,
        shape,
        medianMs,
        gflops,
        ceiling,
        share,
      }
      const size = `${shape.tokens} × ${shape.inputs} → ${shape.outputs}`
      if (json) console.log(JSON.stringify(row))
      else
        console.log(
          `${threads} thread${threads > 1 ? 's' : ' '}  ${size.padEnd(22)} ${direction.name.padEnd(9)} ${medianMs.toFixed(2).padStart(9)} ms ` +
            `${gflops.toFixed(0).padStart(5)} GFLOP/s  ${(100 * share).toFixed(0).padStart(3)}% of ${ceiling.toFixed(0)} (${device.info.instructionSet})`,
        )
    }
  }
  await device.close()
}
