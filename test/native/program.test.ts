import t, { type Test } from 'tap'
import { NativeError } from '../../lib/errors.js'
import {
  type OpDescription,
  type ProgramDescription,
  SEQUENCE_BOUNDS,
  SEQUENCES,
  type TensorDescription,
  TOKENS,
} from '../../lib/native/addon-types.js'
import { loadAddon } from '../../lib/native/binding.js'
import { type Arena, type CompiledProgram, type Device, openDevice } from '../../lib/native/device.js'
import { toBf16 } from '../ops/bf16.js'
import { ARENA_BYTES, MAX_SEQUENCES, MAX_TOKENS, VOCABULARY, validProgram, validRun } from './hostile-program.js'

const device = await openDevice('cpu', { threads: 2 })
const other = await openDevice('cpu', { threads: 1 })
t.teardown(() => Promise.all([device.close(), other.close()]))

/** An arena that holds numbers whose change would show. */
async function filledArena(of: Device = device): Promise<{ arena: Arena; bytes: Uint8Array }> {
  const arena = of.allocate(ARENA_BYTES)
  const numbers = Float32Array.from({ length: ARENA_BYTES / 4 }, (_, i) => 0.01 + (i % 89) / 100)
  await arena.write(0, numbers)
  return { arena, bytes: new Uint8Array(numbers.buffer) }
}

const { arena, bytes } = await filledArena()

async function unchanged(t: Test, what: string): Promise<void> {
  t.ok(Buffer.from(await arena.read(0, ARENA_BYTES)).equals(bytes), `${what}: the arena is unchanged`)
}

type Break = (program: ProgramDescription) => unknown

/** Compiling the valid program after `change` fails, with a message that says why. */
async function refuses(t: Test, what: string, change: Break, message: RegExp): Promise<void> {
  const program = validProgram()
  change(program)
  try {
    device.compile(program, [arena])
    t.fail(`${what}: compiles`)
  } catch (error) {
    t.ok(error instanceof NativeError, `${what}: a NativeError`)
    t.match(error, { code: 'PROGRAM_INVALID', message }, what)
  }
  await unchanged(t, what)
}

const op = (program: ProgramDescription, name: string): OpDescription => program.ops.find(({ op }) => op === name)!
/** Values of any type in place of what the types allow. */
const set = (target: object, name: string, value: unknown) => Object.assign(target, { [name]: value })
const operand =
  (name: string, operandName: string, change: (tensor: TensorDescription) => unknown): Break =>
  (program) => {
    const { operands } = op(program, name)
    // Operands share descriptions: a change is to be seen in one place only.
    operands[operandName] = { ...operands[operandName]!, shape: [...operands[operandName]!.shape] }
    change(operands[operandName])
  }

t.test('the valid program runs', async (t) => {
  const program = device.compile(validProgram(), [arena])
  const { loss } = await program.run(validRun())
  t.ok(Number.isFinite(loss![0]))
  await arena.write(0, bytes)
})

t.test('operations, operands and attributes by the wrong names', async (t) => {
  await refuses(t, 'unknown operation', (p) => set(p.ops[0]!, 'op', 'embeding'), /no operation of the name "embeding"/)
  await refuses(t, 'empty name', (p) => set(p.ops[0]!, 'op', ''), /no operation of the name ""/)
  await refuses(
    t,
    'missing operand',
    (p) => delete op(p, 'embedding').operands.table,
    /operand table of op 0 \(embedding\) .* missing/,
  )
  await refuses(t, 'unknown operand', (p) => set(op(p, 'embedding').operands, 'bias', p.outputs.loss), /no operand "bias"/)
  await refuses(t, 'missing attribute', (p) => delete op(p, 'rms_norm').attributes.eps, /attribute eps of op 1 \(rms_norm\)/)
  await refuses(
    t,
    'unknown attribute',
    (p) => set(op(p, 'rms_norm').attributes, 'epsilon', 1),
    /1 attributes of op 1 .* received 2/,
  )
  await refuses(t, 'attribute of an operation without any', (p) => set(op(p, 'embedding').attributes, 'eps', 1), /0 attributes/)
})

t.test('dtypes and shapes', async (t) => {
  const shape = (value: unknown) => (tensor: TensorDescription) => set(tensor, 'shape', value)
  await refuses(
    t,
    'wrong dtype',
    operand('embedding', 'ids', (x) => set(x, 'dtype', 'f32')),
    /expected dtype i32 for ids of op 0/,
  )
  const dtype = (name: string, operandName: string, value: string) => operand(name, operandName, (x) => set(x, 'dtype', value))
  await refuses(
    t,
    'bf16 for statistics',
    dtype('rms_norm', 'rstd', 'bf16'),
    /expected dtype f32 for rstd of op 1 \(rms_norm\) but received bf16/,
  )
  await refuses(
    t,
    'f32 for a copy in bf16',
    (p) => set(op(p, 'adamw').operands, 'rounded', op(p, 'adamw').operands.gradients),
    /expected dtype bf16 for rounded of op 6 \(adamw\) but received f32/,
  )
  for (const value of ['f16', 'i32'])
    await refuses(
      t,
      `${value} to compute in`,
      dtype('rms_norm', 'x', value),
      new RegExp(`expected dtype f32 or bf16 for x of op 1 \\(rms_norm\\) but received ${value}`),
    )
  for (const [name, operandName] of [
    ['rms_norm', 'weight'],
    ['rms_norm', 'x'],
    ['embedding', 'table'],
    ['rope', 'x'],
    ['attention', 'k'],
    ['linear_cross_entropy', 'weight'],
  ] as const)
    await refuses(
      t,
      `bf16 among f32: ${operandName} of ${name}`,
      dtype(name, operandName, 'bf16'),
      new RegExp(`expected dtype f32, as of the operands before it, for ${operandName} of op . \\(${name}\\) but received bf16`),
    )
  await refuses(
    t,
    'f32 among bf16',
    dtype('rms_norm', 'out', 'bf16'),
    /expected dtype bf16, as of the operands before it, for x of op 1 \(rms_norm\) but received f32/,
  )
  for (const value of ['bf16', 'f16']) {
    const weights = (p: ProgramDescription) => ({ ...p.inputs.weights, dtype: value })
    await refuses(
      t,
      `an input in ${value}`,
      (p) => set(p.inputs, 'weights', weights(p)),
      /expected dtype f32 or i32 for input weights/,
    )
    const loss = (p: ProgramDescription) => ({ ...p.outputs.loss, dtype: value })
    await refuses(t, `an output in ${value}`, (p) => set(p.outputs, 'loss', loss(p)), /expected dtype f32 for output loss/)
  }
  await refuses(
    t,
    'unknown dtype',
    operand('rms_norm', 'x', (x) => set(x, 'dtype', 'f64')),
    /but received "f64"/,
  )
  await refuses(
    t,
    'other size of a letter',
    operand('rms_norm', 'weight', shape([7])),
    /expected shape \[C=8\] for weight .* \[7\]/,
  )
  await refuses(t, 'one dimension for two', operand('rms_norm', 'x', shape([-1])), /expected shape \[T=tokens, C=8\] for x/)
  await refuses(t, 'two dimensions for one', operand('rms_norm', 'weight', shape([1, 8])), /expected shape/)
  await refuses(t, 'no dimensions', operand('rms_norm', 'weight', shape([])), /one to three dimensions/)
  await refuses(t, 'three dimensions for two', operand('rms_norm', 'x', shape([1, 2, 4])), /expected shape/)
  await refuses(t, 'four dimensions', operand('rms_norm', 'x', shape([1, 2, 2, 2])), /one to three dimensions/)
  await refuses(t, 'tokens for a number', operand('rms_norm', 'x', shape([8, 8])), /expected shape \[T=tokens/)
  await refuses(
    t,
    'a number that is no size',
    operand('linear_cross_entropy', 'loss', shape([2])),
    /expected shape \[1\] for loss/,
  )
  for (const size of [0, -4, -1e15])
    await refuses(t, `size ${size}`, operand('rms_norm', 'weight', shape([size])), /dimensions of at least 1/)
  await refuses(t, 'second dimension dynamic', operand('rms_norm', 'x', shape([8, -1])), /only the first dimension/)
  for (const size of [1.5, NaN, Infinity, -Infinity, 2 ** 53 + 2, '8', null, {}, 8n])
    await refuses(t, `size ${size}`, operand('rms_norm', 'weight', shape([size])), /expected a whole number for .*weight\.shape/)
})

t.test('places outside the arena', async (t) => {
  const offset = (value: unknown) => operand('rms_norm', 'x', (x) => set(x, 'offset', value))
  const end = ARENA_BYTES - MAX_TOKENS * 8 * 4
  await refuses(
    t,
    'one number past the end',
    offset(end + 4),
    /inside its arena of 65536 bytes but it takes 256 bytes at offset 65284/,
  )
  for (const value of [ARENA_BYTES, ARENA_BYTES + 4, 2 ** 52, 2 ** 53 - 4])
    await refuses(t, `offset ${value}`, offset(value), /inside its arena/)
  await refuses(t, 'negative offset', offset(-4), /offset of at least 0/)
  await refuses(t, 'offset between two numbers', offset(66), /multiple of 4/)
  for (const value of [0.5, NaN, 2 ** 53 + 2, '0', undefined]) await refuses(t, `offset ${value}`, offset(value), /whole number/)
  for (const value of [1, 2 ** 53 - 1])
    await refuses(
      t,
      `arena ${value}`,
      operand('rms_norm', 'x', (x) => set(x, 'arena', value)),
      /an arena below 1/,
    )
  await refuses(
    t,
    'negative arena',
    operand('rms_norm', 'x', (x) => set(x, 'arena', -1)),
    /an arena and an offset of at least 0/,
  )
  const stride = (value: unknown) => operand('rms_norm', 'x', (x) => set(x, 'rowStride', value))
  for (const value of [7, 1, -8, -(2 ** 53) + 2])
    await refuses(t, `row stride ${value}`, stride(value), /row stride of at least 8/)
  for (const value of [1e4, 2 ** 31, 2 ** 52, 2 ** 53 - 1])
    await refuses(t, `row stride ${value}`, stride(value), /inside its arena/)
  for (const value of [8.5, '8', null, 2 ** 53 + 2]) await refuses(t, `row stride ${value}`, stride(value), /whole number/)
  // 2^31 · 2^31 · 4 and 2^52 · 2^52 are more than 64 bits hold.
  for (const size of [2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53 - 1]) {
    const table = operand('embedding', 'table', (x) => set(x, 'shape', [size, 8]))
    await refuses(t, `${size} rows`, table, /inside its arena/)
    await refuses(
      t,
      `${size} x ${size}`,
      operand('embedding', 'table', (x) => set(x, 'shape', [size, size])),
      /inside its arena/,
    )
  }
  await refuses(
    t,
    'an input outside',
    (p) => set(p.inputs, 'ids', { ...p.inputs.ids, offset: ARENA_BYTES }),
    /input ids inside its arena/,
  )
  await refuses(
    t,
    'an output outside',
    (p) => set(p.outputs, 'loss', { ...p.outputs.loss, offset: ARENA_BYTES }),
    /output loss inside/,
  )
  await refuses(t, 'an output that is not f32', (p) => set(p.outputs, 'ids', p.inputs.ids), /dtype f32 for output ids/)
})

t.test('places of numbers of two bytes', async (t) => {
  const places = (out: Partial<TensorDescription>) => (p: ProgramDescription) => {
    const { parameters } = op(p, 'adamw').operands
    p.ops = [{ op: 'cast', operands: { x: parameters!, out: { ...parameters!, dtype: 'bf16', ...out } }, attributes: {} }]
  }
  await refuses(
    t,
    'offset between two numbers',
    places({ offset: 65 }),
    /offset that is a multiple of 2 for out of op 0 \(cast\)/,
  )
  await refuses(t, 'past the end', places({ offset: ARENA_BYTES - 8 }), /takes 10 bytes at offset 65528/)
  const program = validProgram()
  places({ offset: ARENA_BYTES - 10 })(program)
  await device.compile(program, [arena]).run(validRun())
  const after = new Uint16Array((await arena.read(ARENA_BYTES - 10, 10)).buffer)
  const { offset } = program.ops[0]!.operands.x!
  t.same(after, toBf16(new Float32Array(bytes.buffer, offset, 5)), 'the last number of the arena may be used')
  await arena.write(0, bytes)
})

t.test('the last number of the arena may be used', async (_t) => {
  const program = validProgram()
  operand('rms_norm', 'out', (x) => set(x, 'offset', ARENA_BYTES - MAX_TOKENS * 8 * 4))(program)
  await device.compile(program, [arena]).run(validRun())
  await arena.write(0, bytes)
})

t.test('sizes of runs', async (t) => {
  for (const name of ['maxTokens', 'maxSequences']) {
    for (const value of [-1, 2 ** 31, 2 ** 53 - 1])
      await refuses(t, `${name} ${value}`, (p) => set(p, name, value), /expected maxTokens and/)
    for (const value of [1.5, NaN, '8', undefined])
      await refuses(t, `${name} ${value}`, (p) => set(p, name, value), /whole number/)
    await refuses(t, `${name} 2^31 - 2`, (p) => set(p, name, 2 ** 31 - 2), /inside its arena/)
  }
})

t.test('relations between operands', async (t) => {
  const attribute =
    (name: string, attributeName: string, value: unknown): Break =>
    (p) =>
      set(op(p, name).attributes, attributeName, value)
  for (const value of [0, -4, 0.5, 513, NaN, Infinity, 1e300])
    await refuses(t, `head_dim ${value}`, attribute('attention', 'head_dim', value), /whole head_dim in 1\.\.\.512/)
  await refuses(t, 'head_dim by a scalar', attribute('attention', 'head_dim', { scalar: 'dim' }), /whole head_dim/)
  await refuses(t, 'head_dim that does not divide', attribute('attention', 'head_dim', 3), /multiple of those of k/)
  await refuses(t, 'columns of lse', attribute('attention', 'head_dim', 8), /one column of lse/)
  for (const scale of [Infinity, 0, -1])
    await refuses(t, `scale ${scale}`, attribute('attention', 'scale', scale), /scale above 0/)
  const narrow = (p: ProgramDescription) => {
    for (const name of ['k', 'v']) operand('attention', name, (x) => set(x, 'shape', [-1, 12]))(p)
  }
  await refuses(t, 'more columns of k than of q', narrow, /multiple of those of k/)
  const odd = (p: ProgramDescription) => {
    for (const name of ['cos', 'sin']) operand('rope', name, (x) => set(x, 'shape', [-1, 3]))(p)
  }
  await refuses(t, 'columns of rope', odd, /multiple of twice the columns of cos, 6, but received 8/)
  const half = (p: ProgramDescription) => set(op(p, 'rms_norm').operands, 'sum', op(p, 'rms_norm').operands.x)
  await refuses(t, 'sum without residual', half, /residual and sum together/)
  const gradient = (p: ProgramDescription) => set(op(p, 'linear_cross_entropy').operands, 'd_hidden', op(p, 'rope').operands.x)
  await refuses(t, 'd_hidden without d_hidden_rows', gradient, /expected d_hidden and d_hidden_rows together or neither/)
  const backward = (dtype: 'f32' | 'bf16', sum: boolean) => (p: ProgramDescription) => {
    const { out, lse, q, cu_seqlens } = op(p, 'attention').operands
    const x: TensorDescription = { ...q!, dtype }
    p.ops.push({
      op: 'attention_backward',
      operands: {
        ...{ d_q: x, d_k: x, d_v: x, d_out: x, q: x, k: x, v: x, out: { ...out!, dtype } },
        ...{ lse: lse!, delta: lse!, cu_seqlens: cu_seqlens! },
        ...(sum ? { d_q_sum: q! } : {}),
      },
      attributes: { head_dim: 4, scale: 0.5 },
    })
  }
  const missing = /expected operand d_q_sum of op 7 \(attention_backward\) but it is missing/
  await refuses(t, 'no working memory', backward('bf16', false), missing)
  const needless = /expected no d_q_sum of op 7 \(attention_backward\): it is working memory that this computation does not need/
  await refuses(t, 'needless working memory', backward('f32', true), needless)
  const heads = (p: ProgramDescription) => {
    const { out, x, weight } = op(p, 'rms_norm').operands
    p.ops.push({
      op: 'head_norm',
      operands: { out: out!, x: x!, weight: { ...weight!, shape: [3] }, rstd: op(p, 'attention').operands.lse! },
      attributes: { eps: 1 },
    })
  }
  await refuses(t, 'columns of head_norm', heads, /expected 2 heads of 3 channels but received 8 columns \(op 7/)
})

t.test('numbers that say where to read must not be written over by the program', async (t) => {
  // Values are checked before the first operation: what writes over them after that would lead out of the arena.
  const over =
    (name: string, operandName: string, input: string): Break =>
    (p) =>
      operand(name, operandName, (x) => set(x, 'offset', p.inputs[input]!.offset))(p)
  for (const [operandName, input] of [
    ['out', 'ids'],
    ['out', 'labels'],
    ['out', 'cu_seqlens'],
    ['rstd', 'positions'],
  ] as const)
    await refuses(t, `${operandName} over ${input}`, over('rms_norm', operandName, input), /rms_norm.* writes over/)
  await refuses(t, 'token_loss over ids', over('linear_cross_entropy', 'token_loss', 'ids'), /writes over/)
  await refuses(t, 'parameters over labels', over('adamw', 'parameters', 'labels'), /writes over/)
  const lastByte = (p: ProgramDescription) =>
    operand('rms_norm', 'out', (x) => set(x, 'offset', p.inputs.ids!.offset + MAX_TOKENS * 4 - 4))(p)
  await refuses(t, 'out over the last of ids', lastByte, /writes over/)
})

t.test('garbage for descriptions', async (t) => {
  for (const garbage of [undefined, null, 0, 'program', true, Symbol('x'), () => 0]) {
    const name = String(garbage)
    t.throws(
      () => device.compile(garbage as unknown as ProgramDescription, [arena]),
      { code: 'PROGRAM_INVALID' },
      `program ${name}`,
    )
    await refuses(t, `ops ${name}`, (p) => set(p, 'ops', garbage), /array for program\.ops/)
    await refuses(t, `an operation ${name}`, (p) => p.ops.push(garbage as unknown as OpDescription), /for program\.ops\[7\]/)
    await refuses(t, `operands ${name}`, (p) => set(p.ops[0]!, 'operands', garbage), /program\.ops\[0\]\.operands|missing/)
    await refuses(t, `an operand ${name}`, (p) => set(p.ops[0]!.operands, 'out', garbage), /ops\[0\]\.operands\.out/)
    await refuses(
      t,
      `shape ${name}`,
      operand('rms_norm', 'x', (x) => set(x, 'shape', garbage)),
      /an array for .*operands\.x\.shape/,
    )
    if (typeof garbage !== 'function') {
      await refuses(t, `inputs ${name}`, (p) => set(p, 'inputs', garbage), /program\.inputs/)
      await refuses(t, `outputs ${name}`, (p) => set(p, 'outputs', garbage), /program\.outputs/)
    }
    if (typeof garbage !== 'string') {
      await refuses(t, `operation's name ${name}`, (p) => set(p.ops[0]!, 'op', garbage), /string for program\.ops\[0\]\.op/)
      await refuses(
        t,
        `dtype ${name}`,
        operand('rms_norm', 'x', (x) => set(x, 'dtype', garbage)),
        /string for .*dtype/,
      )
    }
    if (typeof garbage !== 'number')
      await refuses(t, `attribute ${name}`, (p) => set(op(p, 'rms_norm').attributes, 'eps', garbage), /ops\[1\]\.attributes/)
  }
  await refuses(t, 'a scalar without a name', (p) => set(op(p, 'rms_norm').attributes, 'eps', { scalar: '' }), /eps/)
  await refuses(t, 'a sparse array of operations', (p) => set(p, 'ops', new Array(2 ** 32 - 1)), /object for program\.ops\[0\]/)
})

t.test('an object that throws when it is read: its own error comes through', async (t) => {
  const program = validProgram()
  Object.defineProperty(program.ops[0], 'operands', {
    get: () => {
      throw new RangeError('mine')
    },
  })
  t.throws(() => device.compile(program, [arena]), new RangeError('mine'))
  await unchanged(t, 'after it')
})

t.test('arenas of another device, or none', async (t) => {
  const { arena: foreign } = await filledArena(other)
  t.ok(device.compile(validProgram(), [foreign]), 'memory of the host is for all operations of the CPU')
  t.throws(() => device.compile(validProgram(), []), { code: 'PROGRAM_INVALID', message: /an arena below 0/ })
  const native = new (loadAddon().Device)({ kind: 'cpu', threads: 1 })
  const inherited = Object.create(Object.getPrototypeOf(arena.native))
  for (const garbage of [undefined, null, 5, 'arena', {}, inherited, native, arena])
    t.throws(() => native.compile(validProgram(), [garbage] as never), { code: 'PROGRAM_INVALID' }, `arena ${typeof garbage}`)
  for (const garbage of [undefined, null, 5, 'arenas', {}])
    t.throws(() => native.compile(validProgram(), garbage as never), { code: 'PROGRAM_INVALID', message: /array of arenas/ })
  await native.close()
})

t.test('objects of the addon cannot be made by hand', async (t) => {
  const native = new (loadAddon().Device)({ kind: 'cpu', threads: 1 })
  const program = native.compile({ maxTokens: 1, maxSequences: 1, ops: [], inputs: {}, outputs: {} }, [])
  for (const object of [arena.native, program]) {
    const { constructor: Class } = object as unknown as { constructor: new (...values: unknown[]) => unknown }
    for (const values of [[], [{}], [5]]) t.throws(() => new Class(...values), TypeError, Class.name)
  }
  t.throws(() => (arena.native.read as (...values: unknown[]) => unknown).call({}, 0, 1), Error)
  t.throws(() => (arena.native.read as (...values: unknown[]) => unknown).call(native, 0, 1), Error)
  for (const garbage of [undefined, null, 5, {}, { threads: 'two' }, { threads: 0 }, { threads: 1.5 }, { threads: 1e9 }])
    t.throws(() => new (loadAddon().Device)(garbage as never), Error, `new Device(${JSON.stringify(garbage)})`)
  await native.close()
})

t.test('runs that are refused write nothing', async (t) => {
  const program = device.compile(validProgram(), [arena])
  const refusesRun = async (what: string, change: (run: ReturnType<typeof validRun>) => unknown, message: RegExp) => {
    const run = validRun()
    change(run)
    await t.rejects(program.run(run), { code: 'INPUT_INVALID', message, constructor: NativeError }, what)
    await unchanged(t, what)
  }
  const input = (name: string, value: unknown) => (run: ReturnType<typeof validRun>) => set(run.inputs, name, value)

  await refusesRun('missing input', (run) => delete run.inputs.labels, /input "labels" but it is missing/)
  await refusesRun('one input too many', input('more', new Float32Array(1)), /5 inputs but received 6/)
  await refusesRun(
    'too short',
    input('labels', new Int32Array(4)),
    /20 rows|5 rows of 4 bytes for input "labels" but received 16|4 rows/,
  )
  await refusesRun('half a number', input('labels', new Uint8Array(18)), /input "labels"/)
  await refusesRun(
    'too many tokens',
    (run) => {
      for (const name of ['ids', 'labels', 'positions', 'weights']) {
        const length = MAX_TOKENS + 1
        set(run.inputs, name, name === 'weights' ? new Float32Array(length) : new Int32Array(length))
      }
    },
    /at most 8 tokens but received 9/,
  )
  await refusesRun('too many sequences', input('cu_seqlens', Int32Array.of(0, 1, 2, 5)), /1 to 2 sequences but received 3/)
  await refusesRun('no bounds', input('cu_seqlens', new Int32Array(0)), /1 to 2 sequences/)
  for (const [what, values] of Object.entries({
    'one bound': [5],
    'not from 0': [1, 3, 5],
    'not to the end': [0, 3, 4],
    'past the end': [0, 3, 6],
    falling: [0, 6, 5],
    'an empty sequence': [0, 0, 5],
    negative: [0, -2, 5],
  }))
    await refusesRun(
      `cu_seqlens ${what}`,
      input('cu_seqlens', Int32Array.from(values)),
      /cu_seqlens to rise from 0 to the 5 tokens/,
    )
  for (const id of [VOCABULARY, -1, -100, 2 ** 31 - 1, -(2 ** 31)])
    await refusesRun(
      `id ${id}`,
      input('ids', Int32Array.of(0, 1, 2, 3, id)),
      new RegExp(`token id in 0...10 at position 4 but received ${id}`),
    )
  for (const label of [VOCABULARY, -1, -99, -101, 2 ** 31 - 1])
    await refusesRun(
      `label ${label}`,
      input('labels', Int32Array.of(0, 1, label, 3, 4)),
      /label of -100 or in 0...10 at position 2/,
    )
  await refusesRun('negative position', input('positions', Int32Array.of(0, -1, 2, 3, 4)), /positions from 0 on but received -1/)
  await refusesRun('missing scalar', (run) => delete run.scalars.rate, /scalar "rate" but it is missing/)
  for (const garbage of ['1', null, undefined, 1n, {}])
    await refusesRun(`scalar ${typeof garbage}`, (run) => set(run.scalars, 'rate', garbage), /number for scalar "rate"/)
  for (const garbage of [null, undefined, 5, 'ids', [0, 1, 2, 3, 4], {}, new ArrayBuffer(20), new DataView(new ArrayBuffer(20))])
    await refusesRun(`input ${Object.prototype.toString.call(garbage)}`, input('ids', garbage), /Array for input "ids"/)
  for (const garbage of [new Float32Array(5), new Uint32Array(5), new Uint8Array(20), new BigInt64Array(5), new Float64Array(5)])
    await refusesRun(`${garbage.constructor.name} for i32`, input('ids', garbage), /Array for input "ids"/)
  for (const garbage of [new Int32Array(5), new Float64Array(5), new Uint8Array(20)])
    await refusesRun(`${garbage.constructor.name} for f32`, input('weights', garbage), /Float32Array for input "weights"/)
  for (const garbage of [5, 'inputs', true]) {
    await refusesRun(`inputs ${garbage}`, (run) => set(run, 'inputs', garbage), /object for run\.inputs/)
    await refusesRun(`scalars ${garbage}`, (run) => set(run, 'scalars', garbage), /object for run\.scalars/)
  }
  t.ok(Number.isFinite((await program.run(validRun())).loss![0]), 'and the program still runs')
  await arena.write(0, bytes)
})

t.test('runs of any size up to the bounds, and views of larger buffers as inputs', async (t) => {
  const program = device.compile(validProgram(), [arena])
  const lossOf = async (program: CompiledProgram, inputs: ReturnType<typeof validRun>['inputs']) =>
    (await program.run({ ...validRun(), inputs })).loss![0]
  const want = await lossOf(program, validRun().inputs)
  const shared = (values: Int32Array) => {
    const view = new Int32Array(new SharedArrayBuffer(values.byteLength + 8), 8)
    view.set(values)
    return view
  }
  t.equal(await lossOf(program, { ...validRun().inputs, ids: Int32Array.of(9, 9, 0, 1, 10, 3, 4).subarray(2) }), want, 'subarray')
  t.equal(
    await lossOf(program, { ...validRun().inputs, ids: shared(validRun().inputs.ids as Int32Array) }),
    want,
    'shared memory',
  )
  for (const tokens of [1, MAX_TOKENS]) {
    const inputs = {
      ids: new Int32Array(tokens),
      labels: new Int32Array(tokens),
      positions: new Int32Array(tokens),
      weights: new Float32Array(tokens).fill(1),
      cu_seqlens: Int32Array.of(0, tokens),
    }
    t.ok(Number.isFinite(await lossOf(program, inputs)), `${tokens} tokens in one sequence of at most ${MAX_SEQUENCES}`)
  }
  await arena.write(0, bytes)
})

t.test('an input and an output with room between their rows', async (t) => {
  const views = device.allocate(1024)
  const before = new Uint8Array(1024).fill(0xa5)
  await views.write(0, before)
  const x = { arena: 0, offset: 0, dtype: 'f32' as const, shape: [-1, 2], rowStride: 5 }
  const y = { ...x, offset: 512 }
  const program = device.compile(
    {
      maxTokens: 4,
      maxSequences: 1,
      ops: [{ op: 'copy', operands: { x, out: y }, attributes: {} }],
      inputs: { x },
      outputs: { y },
    },
    [views],
  )
  const rows = Float32Array.of(1, 2, 3, 4, 5, 6)
  t.same((await program.run({ inputs: { x: rows } })).y, rows)
  const after = await views.read(0, 1024)
  for (const row of [0, 1, 2]) for (const start of [0, 512]) before.set(new Uint8Array(rows.buffer, row * 8, 8), start + row * 20)
  t.same(after, before, 'nothing between the rows, nothing after the third is written')
})

t.test('sequences of a run: from bounds, or from an input with a row for each', async (t) => {
  const x = { arena: 0, offset: 64, dtype: 'f32' as const, shape: [SEQUENCES, 2] }
  const y = { ...x, offset: 256 }
  const bounds = { arena: 0, offset: 512, dtype: 'i32' as const, shape: [SEQUENCE_BOUNDS] }
  const weights = { arena: 0, offset: 640, dtype: 'f32' as const, shape: [SEQUENCES] }
  const compile = (inputs: ProgramDescription['inputs'], out = y) =>
    device.compile(
      { maxTokens: 8, maxSequences: 3, ops: [{ op: 'copy', operands: { x, out }, attributes: {} }], inputs, outputs: { y } },
      [arena],
    )
  const rows = (count: number) => Float32Array.from({ length: 2 * count }, (_, i) => i + 1)
  const boundsOf = (count: number) => Int32Array.from({ length: count + 1 }, (_, i) => i)
  const alone = compile({ x })
  for (const count of [0, 1, 3]) t.same((await alone.run({ inputs: { x: rows(count) } })).y, rows(count), `${count} rows`)
  await arena.write(0, bytes)
  t.equal((await compile({ bounds }).run({ inputs: { bounds: boundsOf(2) } })).y!.length, 4, 'by bounds alone')
  await arena.write(0, bytes)
  t.equal((await compile({}).run({})).y!.length, 6, 'by no input: as many as there may be')
  await arena.write(0, bytes)

  const refusesRun = async (
    what: string,
    program: CompiledProgram,
    inputs: Record<string, Int32Array | Float32Array>,
    message: RegExp,
  ) => {
    await t.rejects(program.run({ inputs }), { code: 'INPUT_INVALID', message, constructor: NativeError }, what)
    await unchanged(t, what)
  }
  await refusesRun('too many', alone, { x: rows(4) }, /1 to 3 sequences but received 4/)
  await refusesRun('half a row', alone, { x: rows(2).subarray(1) }, /whole rows of 8 bytes for input "x"/)
  const orders: ProgramDescription['inputs'][] = [
    { x, bounds, weights },
    { bounds, weights, x },
    { weights, x, bounds },
  ]
  for (const inputs of orders) {
    const program = compile(inputs)
    const names = Object.keys(inputs)
    const run = (count: number) => ({ x: rows(count), bounds: boundsOf(count), weights: new Float32Array(count) })
    t.same((await program.run({ inputs: run(2) })).y, rows(2), `${names}`)
    await arena.write(0, bytes)
    for (const [name, value] of Object.entries(run(3)))
      await refusesRun(
        `${names}: ${name} of 3 sequences among those of 2`,
        program,
        { ...run(2), [name]: value },
        /rows of \d bytes for input/,
      )
  }
  t.throws(() => compile({ x }, { ...y, shape: [TOKENS, 2] }), {
    code: 'PROGRAM_INVALID',
    message: /=tokens, C=2\] for x .* \[sequences, 2\]/,
  })
  t.throws(() => compile({ x }, { ...y, shape: [3, SEQUENCES] }), {
    code: 'PROGRAM_INVALID',
    message: /only the first dimension/,
  })
  const end = { ...y, offset: ARENA_BYTES - 16 }
  t.throws(() => compile({ x }, end), { code: 'PROGRAM_INVALID', message: /takes 24 bytes at offset/ }, 'room for all sequences')
  await unchanged(t, 'programs that are refused')
})

t.test('a program for no tokens at all', async (t) => {
  const x = { arena: 0, offset: 0, dtype: 'f32' as const, shape: [-1, 2] }
  const description = {
    maxTokens: 0,
    maxSequences: 0,
    ops: [{ op: 'copy', operands: { x, out: x }, attributes: {} }],
    inputs: { x },
    outputs: {},
  }
  const program = device.compile(description, [arena])
  await program.run({ inputs: { x: new Float32Array(0) } })
  await t.rejects(program.run({ inputs: { x: new Float32Array(2) } }), { code: 'INPUT_INVALID' })
  await unchanged(t, 'no tokens')
})
