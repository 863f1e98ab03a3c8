import t, { type Test } from 'tap'
import { NativeError } from '../../lib/errors.js'
import { Graph } from '../../lib/graph/graph.js'
import type { Queue } from '../../lib/graph/op.js'
import { addOp, copyOp, zeroOp } from '../../lib/graph/ops/elementwise.js'
import { linearOp } from '../../lib/graph/ops/linear.js'
import { Tensor } from '../../lib/graph/tensor.js'
import { type OpDescription, type ProgramDescription, type TensorDescription, TOKENS } from '../../lib/native/addon-types.js'
import { type Arena, type Device, openDevice } from '../../lib/native/device.js'
import { addWaits } from '../../lib/plan/passes/waits.js'
import { PlanBuilder } from '../../lib/plan/plan.js'
import { Session } from '../../lib/plan/session.js'
import { Random } from '../../lib/random/random.js'
import { cudaTargets } from '../ops/run-op.js'

/* Queues of a program, and memory of several devices and kinds. */

const deviceNames = ['cpu', ...cudaTargets.slice(0, 1).map(({ device }) => device!)]

async function open(t: Test, name: string): Promise<Device> {
  const device = await openDevice(name, { threads: 2 })
  t.teardown(() => device.close())
  return device
}

const native = (code: string, message = /./) => ({ constructor: NativeError, code, message })

const rows = (arena: number, offset: number, columns = 4, rowStride = columns): TensorDescription => ({
  ...{ arena, offset, dtype: 'f32', shape: [2, columns], rowStride },
})
const copy = (out: TensorDescription, x: TensorDescription, queue?: Queue, after?: number[]): OpDescription => ({
  ...{ op: 'copy', operands: { out, x }, attributes: {} },
  ...(queue && { queue }),
  ...(after && { after }),
})
const add = (out: TensorDescription, a: TensorDescription, b: TensorDescription, after?: number[]): OpDescription => ({
  ...{ op: 'add', operands: { out, a, b }, attributes: {} },
  ...(after && { after }),
})
const program = (ops: OpDescription[]): ProgramDescription => ({ maxTokens: 1, maxSequences: 1, ops, inputs: {}, outputs: {} })

for (const name of deviceNames)
  t.test(`a missing wait is found when a program is compiled, ${name}`, async (t) => {
    const device = await open(t, name)
    const arena = device.allocate(1024)
    const compile = (ops: OpDescription[], arenas: Arena[] = [arena]) => device.compile(program(ops), arenas)
    const [a, b, c, d] = [rows(0, 0), rows(0, 64), rows(0, 128), rows(0, 192)]
    const refuse = (what: string, ops: OpDescription[], message: RegExp) =>
      t.throws(() => compile(ops), native('PROGRAM_INVALID', message), what)

    t.ok(compile([copy(b, a, 'copy'), add(c, b, b, [0])]), 'a wait')
    refuse(
      'it reads what may not be there yet',
      [copy(b, a, 'copy'), add(c, b, b)],
      /expected a of op 1 \(add\) to wait for op 0: it may run at the same time and touches the memory of out of op 0 \(copy\)/,
    )
    refuse(
      'it may be written over while it is read',
      [copy(b, a, 'copy'), add(a, c, c)],
      /expected out of op 1 \(add\) to wait for op 0/,
    )
    refuse('both write', [copy(b, a, 'copy'), add(b, c, c)], /to wait for op 0/)
    t.ok(compile([copy(b, a, 'copy'), add(d, a, c)]), 'both only read')
    refuse('a part of it', [copy(rows(0, 64), a, 'copy'), add(c, rows(0, 80), d)], /to wait for op 0/)
    t.ok(compile([copy(b, a, 'copy'), copy(c, b, 'copy')]), 'a queue keeps its order')
    refuse('two other queues', [copy(b, a, 'copy'), copy(c, b, 'communication')], /x of op 1 \(copy\) to wait for op 0/)

    // Waits carry over: op 3 waits for op 2, which waited for op 1, before which op 0 was in its queue.
    t.ok(compile([copy(b, a, 'copy'), copy(d, a, 'copy'), copy(rows(0, 256), a, 'communication', [1]), add(c, b, b, [2])]))
    refuse('a wait for what came before', [copy(d, a, 'copy'), copy(b, a, 'copy'), add(c, b, b, [0])], /to wait for op 1/)

    const columns = (offset: number) => rows(0, offset, 4, 8)
    t.ok(compile([copy(columns(512), a, 'copy'), add(columns(528), c, d)]), 'other columns of the same rows')
    refuse('the same columns', [copy(columns(512), a, 'copy'), add(columns(520), c, d)], /to wait for op 0/)
    t.throws(
      () => compile([copy({ ...b, arena: 1 }, a, 'copy'), add(c, b, b)], [arena, arena]),
      native('PROGRAM_INVALID', /to wait for op 0/),
      'an arena that has two numbers',
    )

    refuse(
      'a later operation',
      [copy(b, a, 'copy', [1]), add(c, d, d)],
      /op 0 \(copy\) to wait for earlier operations but received 1/,
    )
    const linear = { op: 'linear', operands: { y: rows(0, 64, 2), x: a, weight: c }, attributes: {}, queue: 'copy' as const }
    refuse('what does more than move memory', [linear], /expected the compute queue for op 0 \(linear\)/)
    const wrong = [{ ...copy(b, a), queue: 'other' as Queue }]
    refuse('an unknown queue', wrong, /expected compute, copy or communication for program\.ops\[0\]\.queue/)
  })

/** A graph of random sums and copies on random queues, and what its outputs are, in plain numbers. */
function randomProgram(random: Random): { graph: Graph; outputs: Map<string, Float32Array> } {
  const graph = new Graph()
  const values = new Map<Tensor, Float32Array>()
  const known: Tensor[] = []
  for (const name of ['first', 'second']) {
    const tensor = graph.input(name, [TOKENS, 4])
    known.push(tensor)
    values.set(
      tensor,
      Float32Array.from({ length: 12 }, (_, i) => i + known.length),
    )
  }
  const pick = () => known[Math.max(0, known.length - 1 - random.below(5))]!
  for (let i = 0; i < 30; i++) {
    const [a, b] = [pick(), pick()]
    const out = graph.activation(`t${i}`, [TOKENS, 4])
    const moves = random.below(2) === 0
    const queue = (['compute', 'copy', 'communication'] as const)[random.below(3)]!
    if (moves) graph.append(copyOp, { out, x: a }, {}, { queue })
    else graph.append(addOp, { out, a, b })
    const [x, y] = [values.get(a)!, values.get(b)!]
    values.set(out, moves ? x : x.map((value, n) => value + y[n]!))
    known.push(out)
  }
  const outputs = new Map<string, Float32Array>()
  for (const tensor of known.slice(-3)) {
    graph.markOutput(tensor)
    outputs.set(tensor.name, values.get(tensor)!)
  }
  addWaits(graph)
  return { graph, outputs }
}

for (const name of deviceNames)
  t.test(`random programs on three queues give the numbers of one queue, ${name}`, async (t) => {
    const device = await open(t, name)
    for (let seed = 0; seed < 60; seed++) {
      const { graph, outputs } = randomProgram(new Random(seed))
      const bounds = { maxTokens: 3, maxSequences: 1 }
      const plan = new PlanBuilder<never, 'run'>({}, { device: name, threads: 2 }).add('run', graph, { bounds }).build()
      const session = await Session.open(plan, device)
      const inputs = Object.fromEntries(
        ['first', 'second'].map((input, n) => [input, Float32Array.from({ length: 12 }, (_, i) => i + n + 1)]),
      )
      for (let run = 0; run < 3; run++) {
        const got = await session.run('run', { inputs })
        for (const [output, values] of outputs) t.same(got[output], values, `seed ${seed}, run ${run}: ${output}`)
      }
    }
  })

for (const name of deviceNames)
  t.test(`weights come from pinned memory, a layer ahead of their products, ${name}`, async (t) => {
    const [width, layers] = [8, 6]
    const graph = new Graph()
    const rounds = { maxTokens: 5, maxSequences: 1 }
    let x = graph.input('x', [TOKENS, width])
    const buffers = [0, 1].map((i) => graph.activation(`buffer ${i}`, [width, width]))
    const stored: Tensor[] = []
    for (let layer = 0; layer < layers; layer++) {
      const weight = new Tensor({ name: `weight ${layer}`, kind: 'parameter', shape: [width, width] })
      stored.push(weight)
      const here = buffers[layer % 2]!
      graph.append(copyOp, { out: here, x: weight }, {}, { queue: 'copy' })
      const y = graph.activation(`y ${layer}`, [TOKENS, width])
      graph.append(linearOp, { y, x, weight: here })
      x = y
    }
    graph.markOutput(x)
    addWaits(graph)
    const bytes = 4 * width * width
    const place = (tensor: Tensor) => ({ storage: 'offloaded' as const, offset: bytes * stored.indexOf(tensor) })
    const sizes = { offloaded: { bytes: bytes * layers, memory: 'pinned-host' as const } }
    const plan = new PlanBuilder<'offloaded', 'run'>(sizes, { device: name, threads: 2 })
      .add('run', graph, { bounds: rounds, place })
      .build()
    t.match(plan.programs.run.text, /forward copy {2}copy {2}out= buffer 0/)
    t.match(plan.programs.run.text, /after \d+/)
    t.equal(plan.pinnedBytes, bytes * layers)
    t.equal(plan.totalBytes, plan.bytes.inputs + plan.bytes.activations + plan.bytes.scratch, 'memory of the device')
    const device = await open(t, name)
    const session = await Session.open(plan, device)
    const random = new Random(5)
    // A permutation of the columns in each layer: sums are exact.
    const order = Array.from({ length: layers }, () => Array.from({ length: width }, (_, i) => (i * 3 + random.below(8)) % width))
    for (const [layer, columns] of order.entries()) {
      const values = new Float32Array(width * width)
      for (const [row, column] of columns.entries()) values[row * width + column] = 1
      await session.arenas.offloaded.write(bytes * layer, values)
    }
    let want = Float32Array.from({ length: 5 * width }, (_, i) => i)
    const inputs = { x: want }
    for (const columns of order) want = want.map((_, i) => want[i - (i % width) + columns[i % width]!]!)
    for (let run = 0; run < 5; run++) t.same((await session.run('run', { inputs }))[x.name], want, `run ${run}`)
  })

t.test('a program may move memory of other devices, and nothing else', async (t) => {
  const [cpu, other] = [await open(t, 'cpu'), await open(t, 'cpu')]
  const mine = cpu.allocate(256)
  const theirs = other.allocate(256)
  await theirs.write(0, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8))
  const moved = cpu.compile(program([copy(rows(0, 0), rows(1, 0), 'communication')]), [mine, theirs])
  await moved.run()
  t.same(new Float32Array((await mine.read(0, 32)).buffer), Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), 'two devices on the host')
  await other.close()
  await t.rejects(moved.run(), native('DEVICE_CLOSED', /the device that the memory belongs to is closed/))

  const name = deviceNames[1]
  if (name === undefined) return
  const cuda = await open(t, name)
  const [onDevice, pinned] = [cuda.allocate(256), cuda.allocate(256, { memory: 'pinned-host' })]
  await cuda.compile(program([copy(rows(0, 0), rows(1, 0), 'copy')]), [onDevice, mine]).run()
  await cuda.compile(program([copy(rows(1, 64), rows(0, 0))]), [onDevice, pinned]).run()
  t.same(
    new Float32Array((await pinned.read(64, 32)).buffer),
    Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    'host, device, pinned memory',
  )
  await cpu.compile(program([add(rows(0, 0), rows(1, 64), rows(1, 64))]), [mine, pinned]).run()
  t.same(new Float32Array((await mine.read(0, 8)).buffer), Float32Array.of(2, 4), 'the CPU reaches pinned memory')
  const refuse = (device: Device, op: OpDescription, arenas: Arena[], message: RegExp) =>
    t.throws(() => device.compile(program([op]), arenas), native('PROGRAM_INVALID', message))
  const reaches = (place: string) => new RegExp(`expected ${place} in memory of the device that runs the program`)
  refuse(cuda, add(rows(0, 0), rows(1, 0), rows(1, 0)), [onDevice, pinned], reaches('a of op 0 \\(add\\)'))
  refuse(cpu, copy(rows(0, 0), rows(1, 0)), [mine, onDevice], reaches('x of op 0 \\(copy\\)'))
  const zero: OpDescription = { op: 'zero', operands: { out: { arena: 0, offset: 0, dtype: 'f32', shape: [4] } }, attributes: {} }
  refuse(cuda, zero, [pinned], reaches('out of op 0 \\(zero\\)'))
  t.throws(
    () => cuda.compile({ ...program([]), inputs: { x: rows(0, 0) } }, [pinned]),
    native('PROGRAM_INVALID', reaches('input x')),
  )
  t.throws(() => cuda.allocate(1, { memory: 'other' as 'device' }), native('INPUT_INVALID', /expected device or pinned-host/))
})

t.test('a plan on two devices', async (t) => {
  const names = deviceNames.length > 1 ? ['cpu', deviceNames[1]!] : ['cpu', 'cpu']
  const devices = [await open(t, names[0]!), await open(t, names[1]!)]
  const state = new Tensor({ name: 'state', kind: 'parameter', shape: [2, 4] })
  // The second device fetches what the first one has, adds an input and a constant, and keeps the sum.
  const fetch = new Graph()
  const copied = fetch.activation('copied', [2, 4])
  fetch.append(copyOp, { out: copied, x: state }, {}, { queue: 'copy' })
  const shift = fetch.input('shift', [2, 4])
  const shifted = fetch.activation('shifted', [2, 4])
  fetch.append(addOp, { out: shifted, a: copied, b: shift })
  fetch.append(addOp, { out: new Tensor({ name: 'sum', kind: 'parameter', shape: [2, 4] }), a: shifted, b: shift })
  addWaits(fetch)
  const clear = new Graph()
  clear.append(zeroOp, { out: new Tensor({ name: 'state', kind: 'parameter', shape: [4] }) })
  const place = ({ name }: Tensor) => ({ storage: name as 'state' | 'sum', offset: 0 })
  const bounds = { maxTokens: 0, maxSequences: 0 }
  const planned = names.map((device) => ({ device, threads: 1 }))
  const plan = new PlanBuilder<'state' | 'sum', 'fetch' | 'clear'>({ state: 32, sum: { bytes: 32, device: 1 } }, planned)
    .add('fetch', fetch, { bounds, place, device: 1 })
    .add('clear', clear, { bounds, place })
    .build()
  t.same(plan.backends, [names[0], names[1] === 'cpu' ? 'cpu' : 'cuda'])
  t.same(
    plan.storages.map(({ name, device = 0 }) => `${name} ${device}`),
    ['state 0', 'sum 1', 'inputs 0', 'activations 0', 'inputs of device 1 1', 'activations of device 1 1'],
  )
  const session = await Session.open(plan, devices)
  const values = Float32Array.from({ length: 8 }, (_, i) => i)
  await session.arenas.state.write(0, values)
  await session.run('fetch', { inputs: { shift: values } })
  t.same(
    new Float32Array((await session.arenas.sum.read(0, 32)).buffer),
    values.map((value) => 3 * value),
  )
  await session.run('clear')
  t.same(new Float32Array((await session.arenas.state.read(0, 32)).buffer), Float32Array.of(0, 0, 0, 0, 4, 5, 6, 7))
  await t.rejects(Session.open(plan, devices[0]!), native('PROGRAM_INVALID', /expected 2 devices for the plan but received 1/))
  const other = (device: number) => new PlanBuilder<'state', 'run'>({ state: { bytes: 1, device } }, planned)
  t.throws(() => other(2), native('PROGRAM_INVALID', /expected one of 2 devices for storage state but received device 2/))
  t.throws(
    () => other(1).add('run', clear, { bounds, device: 5 }),
    native('PROGRAM_INVALID', /for program run but received device 5/),
  )
})

t.test('programs that would lead out of memory', async (t) => {
  for (const name of deviceNames) {
    const device = await open(t, name)
    const arena = device.allocate(1024)
    const huge = { ...program([]), maxTokens: 0 }
    for (const shape of [
      [TOKENS, 2 ** 31, 2 ** 31],
      [TOKENS, 2 ** 31, 2 ** 30],
      [TOKENS, 2 ** 46],
    ])
      t.throws(
        () => device.compile({ ...huge, inputs: { x: { arena: 0, offset: 0, dtype: 'f32', shape } } }, [arena]),
        native('PROGRAM_INVALID', /expected input x inside its arena .* take more than 2\^47 bytes each/),
        `${name}: ${shape}`,
      )
    const i32 = (at: number, offset: number): TensorDescription => ({ arena: at, offset, dtype: 'i32', shape: [TOKENS] })
    const look: OpDescription = {
      op: 'embedding',
      operands: {
        out: { arena: 0, offset: 256, dtype: 'f32', shape: [TOKENS, 1] },
        table: { arena: 0, offset: 512, dtype: 'f32', shape: [4, 1] },
        ids: i32(1, 0),
      },
      attributes: {},
    }
    // An arena with two numbers is one: what is checked is what is read.
    const twice = device.compile({ ...program([look]), inputs: { ids: i32(0, 0) } }, [arena, arena])
    await t.rejects(twice.run({ inputs: { ids: Int32Array.of(2 ** 20) } }), native('INPUT_INVALID', /token id in 0\.\.\.3/))
    const both = { ...program([look]), inputs: { a: i32(0, 0), b: i32(0, 0) } }
    const wild = { a: Int32Array.of(0), b: Int32Array.of(2 ** 20) }
    await t.rejects(
      async () => device.compile(both, [arena, arena]).run({ inputs: wild }),
      { constructor: NativeError, code: /PROGRAM_INVALID|INPUT_INVALID/ },
      `${name}: two inputs at one place`,
    )
    const routed: OpDescription = {
      op: 'route',
      operands: {
        experts: { arena: 0, offset: 0, dtype: 'i32', shape: [1, 2] },
        weights: { arena: 0, offset: 64, dtype: 'f32', shape: [1, 2] },
        logits: { arena: 0, offset: 0, dtype: 'f32', shape: [1, 2] },
      },
      attributes: {},
    }
    t.throws(
      () => device.compile(program([routed]), [arena]),
      native('PROGRAM_INVALID', /expected experts apart from logits of op 0 \(route\)/),
    )
    await device.close()
    t.throws(() => device.compile(program([]), [arena]), native('DEVICE_CLOSED'))
  }
  const closing = await open(t, 'cpu')
  const gone = closing.allocate(64)
  await closing.close()
  const alive = await open(t, 'cpu')
  t.throws(() => alive.compile(program([]), [gone]), native('DEVICE_CLOSED', /the device that an arena belongs to is closed/))
})
