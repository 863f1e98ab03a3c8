import { execFile } from 'node:child_process'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { NativeError } from '../../lib/errors.js'
import { CPU_SCRATCH_BYTES_PER_THREAD } from '../../lib/native/backend.js'
import { loadAddon } from '../../lib/native/binding.js'
import { type Device, openDevice } from '../../lib/native/device.js'
import { ENDLESS, longProgram } from './long-program.js'

async function open(t: { teardown(body: () => unknown): void }, threads = 2): Promise<Device> {
  const device = await openDevice('cpu', { threads })
  t.teardown(() => device.close())
  return device
}

const native = (code: string, message = /./) => ({ constructor: NativeError, code, message })

t.test('what a device is', async (t) => {
  for (const threads of [1, 3]) {
    const { info } = await open(t, threads)
    t.equal(info.threads, threads)
    t.equal(info.scratchBytes, CPU_SCRATCH_BYTES_PER_THREAD * threads, 'working memory is what a plan counts')
    t.equal(info.instructionSet, process.env.LIMO_CPU ?? loadAddon().describeCpu().best)
  }
  t.equal(loadAddon().describeCpu().scratchBytesPerThread, CPU_SCRATCH_BYTES_PER_THREAD)
  t.ok((await openDevice()).info.threads >= 1, 'as many threads as processors without being told')
})

t.test('devices that do not exist', async (t) => {
  for (const name of ['cuda', 'cuda:0', 'cuda:7'])
    await t.rejects(
      openDevice(name),
      native('DEVICE_UNAVAILABLE', new RegExp(`^expected a CUDA device for "${name}" but .*\\.$`)),
      name,
    )
  for (const name of ['tpu', '', 'CPU', 'cuda:', 'cuda:x', 'cpu:0'])
    await t.rejects(openDevice(name), native('DEVICE_UNAVAILABLE', new RegExp(`received "${name}"`)), `"${name}"`)
  for (const threads of [0, -1, 1.5, 1025, NaN, Infinity, '2' as unknown as number])
    await t.rejects(openDevice('cpu', { threads }), native('INPUT_INVALID', /threads/), `${threads} threads`)
})

t.test('LIMO_CPU', async (t) => {
  const before = process.env.LIMO_CPU
  t.teardown(() => {
    if (before === undefined) delete process.env.LIMO_CPU
    else process.env.LIMO_CPU = before
  })
  for (const name of loadAddon().describeCpu().instructionSets) {
    process.env.LIMO_CPU = name
    t.equal((await open(t, 1)).info.instructionSet, name)
  }
  process.env.LIMO_CPU = 'nonsense'
  await t.rejects(openDevice('cpu', { threads: 1 }), native('DEVICE_UNAVAILABLE', /"nonsense"/))
})

t.test('arenas', async (t) => {
  const device = await open(t)
  const MiB = 1 << 20
  const arena = device.allocate(40 * MiB)
  t.ok(Buffer.from(await arena.read(0, 40 * MiB)).equals(Buffer.alloc(40 * MiB)), 'zero at first')
  // More than the 16 MiB that cross the border at a time, at an odd place.
  const bytes = new Uint8Array(33 * MiB + 5)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31) ^ (i >> 16)
  await arena.write(MiB + 3, bytes)
  t.ok(Buffer.from(await arena.read(MiB + 3, bytes.length)).equals(bytes), 'what is written is read')
  t.same(await arena.read(MiB - 5, 9), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, bytes[0]!), 'and nothing before it')
  let at = MiB + 3
  for await (const chunk of arena.chunks(at, bytes.length)) {
    t.ok(chunk.length <= 16 * MiB && Buffer.from(chunk).equals(bytes.subarray(at - MiB - 3, at - MiB - 3 + chunk.length)))
    at += chunk.length
  }
  t.equal(at, MiB + 3 + bytes.length, 'all chunks')
  await arena.write(0, new DataView(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2))
  t.same(await arena.read(0, 3), Uint8Array.of(2, 3, 0), 'a view of a part of a buffer')
  await arena.write(40 * MiB, new Uint8Array(0))
  t.same(await arena.read(40 * MiB, 0), new Uint8Array(0), 'nothing at the end')
})

t.test('ranges outside an arena', async (t) => {
  const device = await open(t)
  const arena = device.allocate(100)
  for (const [offset, length] of [
    [0, 101],
    [100, 1],
    [101, 0],
    [2 ** 53 - 1, 1],
  ] as const) {
    await t.rejects(
      arena.read(offset, length),
      native('INPUT_INVALID', /inside the arena of 100 bytes/),
      `read ${length} at ${offset}`,
    )
    await t.rejects(arena.write(offset, new Uint8Array(length)), native('INPUT_INVALID'), `write ${length} at ${offset}`)
  }
  for (const offset of [-1, 0.5, NaN, Infinity, 2 ** 53, '0' as unknown as number]) {
    await t.rejects(arena.read(offset, 1), native('INPUT_INVALID', /whole number/), `read at ${offset}`)
    await t.rejects(arena.write(offset, new Uint8Array(1)), native('INPUT_INVALID', /whole number/), `write at ${offset}`)
  }
  t.same(await arena.read(0, 100), new Uint8Array(100), 'nothing was written')
})

t.test('sizes that cannot be', async (t) => {
  const device = await open(t)
  for (const bytes of [2 ** 47, 2 ** 52, 2 ** 53 - 1, 2 ** 53, 1e18, Infinity])
    t.throws(() => device.allocate(bytes), native('OUT_OF_MEMORY', new RegExp(`${bytes} bytes`)), `${bytes} bytes`)
  for (const bytes of [-1, 0.5, NaN, '8' as unknown as number, undefined as unknown as number])
    t.throws(() => device.allocate(bytes), native('INPUT_INVALID', /whole number/), `${bytes} bytes`)
  t.same(await device.allocate(0).read(0, 0), new Uint8Array(0), 'an empty arena')
})

t.test('runs queue in order', async (t) => {
  const device = await open(t)
  const arena = device.allocate(16)
  const x = { arena: 0, offset: 0, dtype: 'f32' as const, shape: [1, 4] }
  const double = device.compile(
    {
      maxTokens: 0,
      maxSequences: 0,
      ops: [{ op: 'add', operands: { out: x, a: x, b: x }, attributes: {} }],
      inputs: {},
      outputs: { x },
    },
    [arena],
  )
  const settled: number[] = []
  const write = arena.write(0, Float32Array.of(1, 2, 3, 4)).then(() => settled.push(-1))
  const runs = Array.from({ length: 20 }, async (_, i) => {
    const { x } = await double.run()
    settled.push(i)
    return x![0]
  })
  t.same(
    await Promise.all(runs),
    Array.from({ length: 20 }, (_, i) => 2 ** (i + 1)),
    'each doubles what the one before left',
  )
  await write
  t.same(
    settled,
    Array.from({ length: 21 }, (_, i) => i - 1),
  )
})

t.test('two devices at once', async (t) => {
  const devices = [await open(t, 1), await open(t, 2)]
  const programs = devices.map((device) => longProgram(device, 20))
  const outputs = await Promise.all(
    programs.flatMap(({ program, x }) => [program.run({ inputs: { x } }), program.run({ inputs: { x } })]),
  )
  // 512 products of 0.5 · 0.5
  for (const { y } of outputs) t.same(y, Float32Array.of(128, 128, 128, 128))
})

t.test('closing: queued runs finish, then nothing is taken', async (t) => {
  const device = await openDevice('cpu', { threads: 2 })
  const { program, arena, x } = longProgram(device, 20)
  const runs = [program.run({ inputs: { x } }), program.run({ inputs: { x } })]
  const closing = device.close()
  await t.rejects(program.run({ inputs: { x } }), native('DEVICE_CLOSED'), 'run while it closes')
  for (const { y } of await Promise.all(runs)) t.same(y, Float32Array.of(128, 128, 128, 128))
  await closing
  t.equal(device.close(), device.close(), 'closing again is the same')
  await device.close()
  await t.rejects(program.run({ inputs: { x } }), native('DEVICE_CLOSED'), 'run')
  await t.rejects(arena.read(0, 1), native('DEVICE_CLOSED'), 'read')
  await t.rejects(arena.write(0, new Uint8Array(1)), native('DEVICE_CLOSED'), 'write')
  await t.rejects(arena.load(0, { fileDescriptor: 0, fileOffset: 0, elements: 1, dtype: 'f32' }), native('DEVICE_CLOSED'), 'load')
  t.throws(() => device.allocate(1), native('DEVICE_CLOSED'), 'allocate')
  t.throws(() => longProgram(device, 1), native('DEVICE_CLOSED'), 'compile')
  t.ok(device.info.threads === 2, 'it can still be described')
})

t.test('closing gives memory and threads back', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  const threads = () => readdirSync('/proc/self/task').length
  const before = threads()
  for (let i = 0; i < 20; i++) {
    const device = await openDevice('cpu', { threads: 3 })
    await device.allocate(1 << 20).write(0, new Uint8Array(1 << 20).fill(1))
    await device.close()
  }
  t.ok(threads() < before + 20, `${before} threads before, ${threads()} after twenty devices of three`)
})

t.test('an abort stops a long program, and the device goes on', async (t) => {
  const device = await open(t)
  const endless = longProgram(device, ENDLESS)
  const short = longProgram(device, 2)
  const controller = new AbortController()
  const run = endless.program.run({ inputs: { x: endless.x }, signal: controller.signal })
  const queued = endless.program.run({ inputs: { x: endless.x }, signal: controller.signal })
  const behind = short.program.run({ inputs: { x: short.x } })
  setTimeout(() => controller.abort(), 30)
  await t.rejects(run, { name: 'AbortError', constructor: DOMException })
  await t.rejects(queued, { name: 'AbortError' }, 'the same signal stops a run that has not started')
  t.same((await behind).y, Float32Array.of(128, 128, 128, 128), 'what was queued behind runs')
  await t.rejects(
    short.program.run({ inputs: { x: short.x }, signal: AbortSignal.abort() }),
    { name: 'AbortError' },
    'aborted before',
  )
  const late = new AbortController()
  await short.program.run({ inputs: { x: short.x }, signal: late.signal })
  late.abort()
  t.same((await short.program.run({ inputs: { x: short.x } })).y![0], 128, 'an abort after the end does nothing')
})

t.test('the event loop stays responsive', async (t) => {
  const device = await open(t, 1)
  const { program, x } = longProgram(device, 800)
  let [ticks, longest, last] = [0, 0, performance.now()]
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    ticks++
  }, 10)
  const start = performance.now()
  await program.run({ inputs: { x } })
  clearInterval(timer)
  const elapsedMs = performance.now() - start
  // A run on this thread would leave one gap as long as itself; a busy machine delays single ticks.
  t.ok(
    longest < elapsedMs / 2 && ticks > elapsedMs / 50,
    `${ticks} ticks in ${elapsedMs.toFixed()} ms, the longest gap ${longest.toFixed()} ms`,
  )
})

t.test('a device in a worker thread', async (t) => {
  const run = async () => {
    const worker = new Worker(new URL('./device-worker.js', import.meta.url), { workerData: 'short', execArgv: [] })
    // Both are listened for from the start: on a busy machine the end may come right after the message.
    const output = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    const code = new Promise((resolve) => worker.once('exit', resolve))
    t.same(await Promise.all([output, code]), [Float32Array.of(128, 128, 128, 128), 0])
  }
  await Promise.all([run(), run()])
})

t.test('a process ends in whatever way while a device works', async (t) => {
  const script = fileURLToPath(new URL('./endings.js', import.meta.url))
  const end = (how: string) =>
    new Promise<{ code: unknown; output: string }>((resolve) => {
      // A process that hangs is killed, and then has no exit code.
      execFile(process.execPath, [script, how], { timeout: 30_000, killSignal: 'SIGKILL' }, (error, stdout, stderr) =>
        resolve({
          code: error ? (error.code ?? error.signal) : 0,
          output: stdout.trim() || (stderr.includes('Error: mine') ? 'mine' : stderr),
        }),
      )
    })
  for (const [how, expected] of Object.entries({
    'worker.terminate': { code: 0, output: 'terminated' },
    'process.exit': { code: 7, output: '' },
    'process.exit with a worker': { code: 7, output: '' },
    'uncaught error': { code: 1, output: 'mine' },
    'no close': { code: 0, output: '128' },
    'pending run': { code: 0, output: 'finished' },
  }))
    t.same(await end(how), expected, how)
})

t.test('a system that gives no more threads', { skip: process.platform !== 'linux' && 'needs ulimit -v' }, async (t) => {
  const script = fileURLToPath(new URL('./endings.js', import.meta.url))
  // The stacks of a thousand threads do not fit into 3 GB of address space.
  const line = `ulimit -v 3000000 && exec "${process.execPath}" "${script}" "too many threads"`
  const output = await new Promise((resolve) =>
    execFile('sh', ['-c', line], { timeout: 30_000, killSignal: 'SIGKILL' }, (error, stdout) =>
      resolve(error?.message ?? stdout),
    ),
  )
  t.match(output, /^OUT_OF_MEMORY cannot start 1000 threads .*\n2\n$/, 'an error, and then a device with fewer')
})

t.test('file descriptors are the caller’s', async (t) => {
  const device = await open(t)
  const arena = device.allocate(16)
  const descriptor = openSync('/dev/zero', 'r')
  await t.rejects(
    arena.load(0, { fileDescriptor: descriptor, fileOffset: 0, elements: 1, dtype: 'f32' }),
    native('IO_FAILED'),
    'not a file',
  )
  closeSync(descriptor) // throws if it were closed already
})
