import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type DeviceOpening, parseDeviceName } from '../../lib/config/device-name.js'
import { NativeError } from '../../lib/errors.js'
import { type ProgramDescription, SEQUENCE_BOUNDS, type TensorDescription, TOKENS } from '../../lib/native/addon-types.js'
import { CUDA_SCRATCH_BYTES } from '../../lib/native/backend.js'
import { loadAddon } from '../../lib/native/binding.js'
import { type Arena, type Device, openDevice } from '../../lib/native/device.js'
import { refusedProducts } from '../../lib/native/products-check.js'
import { cudaTargets, whyNoEmulator } from '../ops/run-op.js'

/* What a CUDA device does besides its operations: memory, runs, errors. */

const [target] = cudaTargets
const skip = target === undefined && whyNoEmulator

async function open(t: Test): Promise<Device> {
  const device = await openDevice(target!.device!)
  t.teardown(() => device.close())
  return device
}

const native = (code: string, message = /./) => ({ constructor: NativeError, code, message })

/** out[t] = table[ids[t]], of a table of 4 rows, and ids of up to 8 tokens as an input. */
function lookup(): ProgramDescription {
  return {
    maxTokens: 8,
    maxSequences: 1,
    ops: [
      {
        op: 'embedding',
        operands: {
          out: { arena: 0, offset: 256, dtype: 'f32', shape: [TOKENS, 2] },
          table: { arena: 0, offset: 0, dtype: 'f32', shape: [4, 2] },
          ids: { arena: 0, offset: 512, dtype: 'i32', shape: [TOKENS] },
        },
        attributes: {},
      },
    ],
    inputs: { ids: { arena: 0, offset: 512, dtype: 'i32', shape: [TOKENS] } },
    outputs: { out: { arena: 0, offset: 256, dtype: 'f32', shape: [TOKENS, 2] } },
  }
}

async function filledArena(device: Device): Promise<Arena> {
  const arena = device.allocate(1024)
  await arena.write(0, Float32Array.of(0, 1, 10, 11, 20, 21, 30, 31))
  return arena
}

t.test('what a device is', { skip }, async (t) => {
  const { info } = await open(t)
  t.equal(info.scratchBytes, CUDA_SCRATCH_BYTES, 'working memory is what a plan counts')
  t.match(info.instructionSet, /^sm_\d+$/)
  t.match(info.description, /multiprocessors, .* GiB; (machine code for sm_\d+a?|PTX for sm_80.*); /)
})

t.test('devices that do not exist', { skip }, async (t) => {
  const { kind } = parseDeviceName(target!.device!)!.opening
  t.throws(() => new (loadAddon().Device)({ kind, ordinal: 64 } as DeviceOpening), {
    code: 'DEVICE_UNAVAILABLE',
    message: /device 64 was asked for but there (is|are) \d+/,
  })
  await t.rejects(openDevice('cuda-emulated:0'), native('DEVICE_UNAVAILABLE', /received "cuda-emulated:0"/))
})

t.test('arenas', { skip }, async (t) => {
  const device = await open(t)
  const arena = device.allocate((9 << 20) + 7)
  t.ok(Buffer.from(await arena.read(0, arena.bytes)).equals(Buffer.alloc(arena.bytes)), 'zero at first')
  const bytes = Uint8Array.from({ length: (5 << 20) + 3 }, (_, i) => (i * 31) ^ (i >> 16))
  await arena.write(1001, bytes)
  t.ok(Buffer.from(await arena.read(1001, bytes.length)).equals(bytes), 'what is written is read')
  t.same(await device.allocate(0).read(0, 0), new Uint8Array(0), 'an empty arena')
  t.throws(() => device.allocate(2 ** 46), native('OUT_OF_MEMORY', /cannot allocate 70368744177664 bytes .* GiB free of/))
  t.same(await arena.read(1001, 1), bytes.subarray(0, 1), 'the device works on after that')
})

t.test('a run', { skip }, async (t) => {
  const device = await open(t)
  const arena = await filledArena(device)
  const program = device.compile(lookup(), [arena])
  for (const ids of [[2, 0, 3], [1], [0, 1, 2, 3, 3, 2, 1, 0], []]) {
    const { out } = await program.run({ inputs: { ids: Int32Array.from(ids) } })
    t.same(
      [...out!],
      ids.flatMap((id) => [10 * id, 10 * id + 1]),
      `ids ${ids}`,
    )
  }
})

t.test('inputs that are wrong change nothing', { skip }, async (t) => {
  const device = await open(t)
  const arena = await filledArena(device)
  const program = device.compile(lookup(), [arena])
  await program.run({ inputs: { ids: Int32Array.of(3, 1) } })
  const before = await arena.read(0, arena.bytes)
  for (const [ids, message] of [
    [Int32Array.of(0, 4), /token id in 0\.\.\.3 at position 1 but received 4/],
    [Int32Array.of(-1), /received -1/],
    [new Int32Array(9), /at most 8 tokens/],
    [Float32Array.of(1), /an Int32Array/],
  ] as const) {
    await t.rejects(program.run({ inputs: { ids } }), native('INPUT_INVALID', message))
    t.same(await arena.read(0, arena.bytes), before, `${message}`)
  }
})

t.test('products that the library refuses', { skip: skip || (target!.device !== 'cuda-emulated' && 'none is') }, async (t) => {
  const [tokens, inner, outer] = [3, 16, 8]
  const placed = (offset: number, ...shape: number[]): TensorDescription => ({ arena: 0, offset, dtype: 'f32', shape })
  const [x, weight, y] = [placed(0, tokens, inner), placed(512, outer, inner), placed(2048, tokens, outer)]
  // 4 bytes behind a multiple of 16: no kernel of the library may read it in pieces of 16.
  const bias = placed(1540, outer)
  const ops = [{ op: 'linear', operands: { y, x, weight, bias }, attributes: {} }]
  const numbers = Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i))
  const multiply = async () => {
    const device = await open(t)
    const arena = device.allocate(4096)
    await arena.write(0, numbers)
    await device.compile({ maxTokens: tokens, maxSequences: 1, ops, inputs: {}, outputs: {} }, [arena]).run({ inputs: {} })
    const refused = await refusedProducts(device)
    const product = new Float32Array((await arena.read(2048, 4 * tokens * outer)).slice().buffer)
    return { product, refused, all: device.info.refusedProducts }
  }
  t.teardown(() => delete process.env.LIMO_EMULATED_PRODUCTS)
  const { product, refused, all } = await multiply()
  t.same([refused, all], [0, 0])
  for (const failing of ['heuristic:15', 'heuristic:7', 'matmul:7', 'matmul:8', 'matmul:14', 'matmul:15']) {
    process.env.LIMO_EMULATED_PRODUCTS = failing
    const plain = await multiply()
    t.same([plain.refused, plain.all], [3, 5], `${failing}: a slow kernel does them, and they are counted`)
    for (const [i, number] of plain.product.entries()) t.ok(Math.abs(number - product[i]!) < 1e-5, `${failing}: number ${i}`)
  }
  process.env.LIMO_EMULATED_PRODUCTS = 'matmul:13'
  await t.rejects(open(t), native('DEVICE_UNAVAILABLE', /cuBLASLt failed in cublasLtMatmul with status 13/))
})

t.test('integers that the host cannot know before a run', { skip }, async (t) => {
  const device = await open(t)
  const arena = await filledArena(device)
  const apart = lookup()
  apart.inputs = { x: { arena: 0, offset: 768, dtype: 'f32', shape: [TOKENS] } }
  await arena.write(512, Int32Array.of(1, 3))
  const { out } = await device.compile(apart, [arena]).run({ inputs: { x: new Float32Array(2) } })
  t.same([...out!], [10, 11, 30, 31], 'ids that were written beforehand are read from the device')
  await arena.write(512, Int32Array.of(1, 7))
  await t.rejects(
    device.compile(apart, [arena]).run({ inputs: { x: new Float32Array(2) } }),
    native('INPUT_INVALID', /received 7/),
  )

  const overlapping = lookup()
  overlapping.inputs.ids = { arena: 0, offset: 516, dtype: 'i32', shape: [TOKENS] }
  t.throws(
    () => device.compile(overlapping, [arena]),
    native(
      'PROGRAM_INVALID',
      /ids of op 0 \(embedding\) to be an input of the program or apart from all of them but it overlaps "ids"/,
    ),
  )
})

t.test('integers in rows with room between them', { skip }, async (t) => {
  const device = await open(t)
  const arena = device.allocate(4096)
  const numbers = (offset: number, shape: number[], rowStride?: number) =>
    ({ arena: 0, offset, dtype: 'f32', shape, ...(rowStride && { rowStride }) }) as const
  const lengths = { ...numbers(3072, [TOKENS]), dtype: 'i32' } as const
  const page_table = { ...numbers(3200, [TOKENS, 2], 5), dtype: 'i32' } as const
  // Pages of two rows. All keys are 0, so the result is the mean of the values; those of row n are n.
  const [k_cache, v_cache] = [numbers(0, [8, 2]), numbers(256, [8, 2])]
  await arena.write(
    256,
    Float32Array.from({ length: 16 }, (_, i) => Math.floor(i / 2)),
  )
  const out = numbers(512, [TOKENS, 2])
  const description: ProgramDescription = {
    ...{ maxTokens: 3, maxSequences: 1 },
    ops: [
      {
        op: 'attention_decode',
        operands: { out, partial: numbers(1024, [3, 4]), q: numbers(2048, [TOKENS, 2]), k_cache, v_cache, page_table, lengths },
        attributes: { head_dim: 2, scale: 1, page_size: 2 },
      },
    ],
    inputs: { page_table, lengths },
    outputs: { out },
  }
  const run = (of: ProgramDescription, pages: number[]) =>
    device.compile(of, [arena]).run({ inputs: { page_table: Int32Array.from(pages), lengths: Int32Array.of(3, 4) } })
  t.same([...(await run(description, [3, 1, 0, 2])).out!], [5, 5, 2.5, 2.5])
  await t.rejects(run(description, [3, 1, 0, 4]), native('INPUT_INVALID', /pages in 0\.\.\.3 for sequence 1 but received 4/))
  // The same in memory that no input changes.
  const apart: ProgramDescription = { ...description, inputs: { lengths, x: numbers(3900, [TOKENS]) } }
  const inputs = { lengths: Int32Array.of(3, 4), x: new Float32Array(2) }
  await arena.write(3200, Int32Array.of(1, 0, -1, -1, -1, 3, 2))
  t.same([...(await device.compile(apart, [arena]).run({ inputs })).out!], [5 / 3, 5 / 3, 5.5, 5.5].map(Math.fround))
  await arena.write(3200, Int32Array.of(1, 0, 0, 0, 0, 3, 9))
  await t.rejects(device.compile(apart, [arena]).run({ inputs }), native('INPUT_INVALID', /for sequence 1 but received 9/))
  const otherwise = { ...description, inputs: { ...description.inputs, page_table: { ...page_table, rowStride: 4 } } }
  t.throws(
    () => device.compile(otherwise, [arena]),
    native('PROGRAM_INVALID', /page_table of op 0 .* to be an input of the program/),
  )
})

t.test('a run that is aborted, and a device that is closed', { skip }, async (t) => {
  const device = await openDevice(target!.device!)
  const arena = await filledArena(device)
  const program = device.compile(lookup(), [arena])
  const aborted = AbortSignal.abort()
  await t.rejects(program.run({ inputs: { ids: Int32Array.of(1) }, signal: aborted }), { name: 'AbortError' })
  const last = program.run({ inputs: { ids: Int32Array.of(1) } })
  await device.close()
  t.same([...(await last).out!], [10, 11], 'what is queued still runs')
  await t.rejects(program.run({ inputs: { ids: Int32Array.of(1) } }), native('DEVICE_CLOSED'))
  await t.rejects(arena.read(0, 1), native('DEVICE_CLOSED'))
  t.throws(() => device.allocate(1), native('DEVICE_CLOSED'))
})

t.test('bounds of sequences', { skip }, async (t) => {
  const device = await open(t)
  const arena = device.allocate(4096)
  const rows = (offset: number) => ({ arena: 0, offset, dtype: 'f32' as const, shape: [TOKENS, 4] })
  const cu_seqlens = { arena: 0, offset: 3072, dtype: 'i32' as const, shape: [SEQUENCE_BOUNDS] }
  const operands = {
    out: rows(0),
    lse: { arena: 0, offset: 512, dtype: 'f32' as const, shape: [TOKENS, 1] },
    q: rows(1024),
    k: rows(1536),
    v: rows(2048),
  }
  const program = device.compile(
    {
      ...{
        maxTokens: 8,
        maxSequences: 3,
        inputs: { q: rows(1024), k: rows(1536), v: rows(2048), cu_seqlens },
        outputs: { out: rows(0) },
      },
      ops: [{ op: 'attention', operands: { ...operands, cu_seqlens }, attributes: { head_dim: 4, scale: 0.5 } }],
    },
    [arena],
  )
  const run = (...bounds: number[]) => {
    const x = new Float32Array(12).fill(1)
    return program.run({ inputs: { q: x, k: x, v: x, cu_seqlens: Int32Array.from(bounds) } })
  }
  t.same([...(await run(0, 1, 3)).out!], new Array(12).fill(1))
  await t.rejects(run(0, 2), native('INPUT_INVALID', /cu_seqlens to rise from 0 to the 3 tokens/))
  await t.rejects(run(0, 3, 2, 3), native('INPUT_INVALID'))
})

/** In a process of its own: which launch fails is read once. */
t.test(
  'a device that fails in the middle of its work',
  { skip: skip || (target!.device !== 'cuda-emulated' && 'only the emulator fails when it is told to') },
  async (t) => {
    const script = fileURLToPath(new URL('failing-device.js', import.meta.url))
    const env = { ...process.env, LIMO_EMULATED_FAILED_LAUNCH: '2' }
    const said = JSON.parse(execFileSync(process.execPath, [script], { env, encoding: 'utf8' }))
    t.same(said[0], ['run', 'done'])
    t.match(said[1], ['run', 'DEVICE_FAILED', /^embedding: .*fail/])
    for (const [what, code, message] of said.slice(2)) {
      t.equal(code, 'DEVICE_FAILED', what)
      t.match(message, /the device failed before this, .*: embedding: /s)
    }
    t.same(
      said.map(([what]: string[]) => what),
      ['run', 'run', 'run', 'read', 'write', 'allocate'],
    )
  },
)

t.test('what exceeds the limits of a kernel is refused when it is compiled', { skip }, async (t) => {
  const device = await open(t)
  const vector = (length: number): TensorDescription => ({ arena: 0, offset: 0, dtype: 'f32', shape: [length] })
  const rows = (columns: number): TensorDescription => ({ arena: 0, offset: 0, dtype: 'f32', shape: [TOKENS, columns] })
  const compile = (maxTokens: number, ops: ProgramDescription['ops'], bytes: number) =>
    device.compile({ maxTokens, maxSequences: 1, ops, inputs: {}, outputs: {} }, [device.allocate(bytes), device.allocate(bytes)])
  const normBackward = (columns: number) => {
    const operands = {
      ...{ d_x: { ...rows(columns), arena: 1 }, d_weight: { ...vector(columns), arena: 1, offset: 4 * columns } },
      ...{ d_out: rows(columns), x: rows(columns), rstd: { ...vector(1), shape: [TOKENS] }, weight: vector(columns) },
    }
    return compile(1, [{ op: 'rms_norm_backward', operands, attributes: {} }], 8 * columns)
  }
  t.ok(normBackward(16384))
  t.throws(
    () => normBackward(16385),
    native('PROGRAM_INVALID', /expected at most 16384 columns but received 16385.*\(op 0 \(rms_norm_backward\)\)/),
  )
  const ids: TensorDescription = { arena: 0, offset: 0, dtype: 'i32', shape: [TOKENS] }
  const table: TensorDescription = { arena: 1, offset: 0, dtype: 'f32', shape: [1, 1] }
  const scatter = { op: 'embedding_backward', operands: { d_table: table, d_out: rows(1), ids }, attributes: {} }
  t.ok(compile(1 << 20, [scatter, scatter], 4 << 20), 'operations share the lists of the same integers')
  t.throws(
    () => compile(1 << 21, [scatter], 8 << 20),
    native(
      'PROGRAM_INVALID',
      /lists of indices fit in 16777216 bytes on the device but they take up to \d+: plan for fewer tokens/,
    ),
  )
  const many = 70_000
  const q: TensorDescription = { arena: 0, offset: 0, dtype: 'f32', shape: [TOKENS, many] }
  const attention = {
    op: 'attention',
    operands: {
      out: { ...q, arena: 1 },
      lse: { ...q, arena: 1, offset: 4 * many },
      ...{ q, k: q, v: q },
      cu_seqlens: { arena: 0, offset: 4 * many, dtype: 'i32' as const, shape: [SEQUENCE_BOUNDS] },
    },
    attributes: { head_dim: 1, scale: 1 },
  }
  t.throws(() => compile(1, [attention], 16 * many), native('PROGRAM_INVALID', /expected at most 65535 heads but received 70000/))
})
