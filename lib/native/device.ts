import { availableParallelism } from 'node:os'
import type { DeviceOpening } from '../config/device-name.js'
import { type ErrorCode, errorCodes, LimoError, NativeError } from '../errors.js'
import type {
  ComputeDtype,
  Dtype,
  MemoryKind,
  NativeArena,
  NativeDevice,
  NativeProgram,
  ProgramDescription,
  RunRequest,
} from './addon-types.js'
import { deviceOf } from './backend.js'
import { loadAddon } from './binding.js'

/** Bytes that cross the border in one call: large tensors go in pieces, so that no second copy of one exists. */
export const CHUNK_BYTES = 4 << 20

/** How a device is opened. */
export interface DeviceOptions {
  /** Threads that compute; all processors that this process may use by default. */
  threads?: number
}

/** What a device is; see {@link Device}. */
export interface DeviceInfo {
  threads: number
  instructionSet: string
  /** Bytes of working memory. */
  scratchBytes: number
  description: string
  /** Matrix products that the library of a CUDA device has refused in runs so far; 0 on the CPU. */
  refusedProducts: number
  /** Bytes of a CUDA device that were free when it was opened. */
  memoryBytes?: number
}

function toLimoError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof LimoError) return error
  const code = (error as Error & { code?: string }).code
  if (code === 'ABORTED') return new DOMException('The run was aborted', 'AbortError')
  if (code && code in errorCodes) return new NativeError(code as ErrorCode, error.message, {}, { cause: error })
  return error
}

function guarded<T>(body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw toLimoError(error)
  }
}

async function guardedAsync<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw toLimoError(error)
  }
}

/** A piece of a device's memory, zero at first. It is given back when the device closes or the arena is collected. */
export class Arena {
  /** @internal */
  constructor(
    /** @internal */ readonly native: NativeArena,
    readonly bytes: number,
  ) {}

  /** Copies bytes into the arena at a byte offset. */
  async write(offset: number, data: ArrayBufferView): Promise<void> {
    this.checkRange(offset, data.byteLength)
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    for (let start = 0; start < bytes.length || start === 0; start += CHUNK_BYTES) {
      await guardedAsync(async () => this.native.write(offset + start, bytes.subarray(start, start + CHUNK_BYTES)))
    }
  }

  /** Before anything is copied, or allocated for it: what crosses in pieces must not be half done. */
  private checkRange(offset: number, length: number): void {
    const received = `but received ${length} bytes at offset ${offset}`
    const details = { offset, length, bytes: this.bytes }
    if (![offset, length].every((size) => Number.isSafeInteger(size) && size >= 0))
      throw new NativeError('INPUT_INVALID', `expected a whole number of at least 0 for offset and length ${received}`, details)
    if (offset + length > this.bytes)
      throw new NativeError('INPUT_INVALID', `expected a range inside the arena of ${this.bytes} bytes ${received}`, details)
  }

  /** A copy of `length` bytes at a byte offset. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    this.checkRange(offset, length)
    const bytes = new Uint8Array(length)
    for (let start = 0; start < length || start === 0; start += CHUNK_BYTES) {
      await guardedAsync(async () => this.native.read(offset + start, bytes.subarray(start, start + CHUNK_BYTES)))
    }
    return bytes
  }

  /** `length` bytes at a byte offset, in pieces that lie in `buffer`: each is valid until the next one is asked for. */
  async *chunks(offset: number, length: number, buffer = new Uint8Array(CHUNK_BYTES)): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < length; start += buffer.length) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, length - start))
      await guardedAsync(async () => this.native.read(offset + start, chunk))
      yield chunk
    }
  }

  /**
   * Reads `elements` numbers of a file into the arena at a byte offset: as float32, or with `to` as bfloat16,
   * rounded to the nearest where the file has them wider.
   *
   * @throws NativeError IO_FAILED when the file is shorter than that.
   */
  load(offset: number, source: FileNumbers): Promise<void> {
    return guardedAsync(async () => this.native.load(offset, { to: 'f32', ...source }))
  }
}

/** Numbers of a file, one after the other. */
export interface FileNumbers {
  fileDescriptor: number
  /** Bytes. */
  fileOffset: number
  elements: number
  /** How the file has them. */
  dtype: Dtype
  /** How the arena is to have them; f32 when absent. */
  to?: ComputeDtype
}

/** What one run of a program is given. */
export interface RunOptions {
  /** One typed array for each input of the program. */
  inputs?: RunRequest['inputs']
  /** One number for each scalar that the program's attributes name. */
  scalars?: RunRequest['scalars']
  /** Stops the run before its next operation; what the program writes is then half done. */
  signal?: AbortSignal | undefined
}

/** A program that a device has checked and can run. */
export class CompiledProgram {
  /** @internal */
  constructor(private readonly native: NativeProgram) {}

  /**
   * Runs the program on the device's own thread, after what is already queued there, and gives its outputs.
   *
   * @throws NativeError INPUT_INVALID before anything is written, when an input is missing, has the wrong length or a
   * value out of range; DEVICE_CLOSED; an AbortError (DOMException) when `signal` stops it.
   */
  async run(options: RunOptions = {}): Promise<Record<string, Float32Array>> {
    const { signal } = options
    signal?.throwIfAborted()
    const job = guarded(() => this.native.run({ inputs: options.inputs ?? {}, scalars: options.scalars ?? {} }))
    signal?.addEventListener('abort', job.cancel, { once: true })
    try {
      return await guardedAsync(() => job.promise)
    } finally {
      signal?.removeEventListener('abort', job.cancel)
    }
  }
}

/** A processor that runs programs, with its own thread and memory. Open one with {@link openDevice}. */
export class Device {
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(
    private readonly native: NativeDevice,
    readonly name: string,
  ) {}

  /**
   * What the device is: threads, instruction set (`portable`, `avx2`, `avx512`, `avx512bf16`, `amx`; `neon`, `neonbf16`; or `sm_90` and the like), bytes of
   * working memory, and for a CUDA device a sentence about it, the bytes that were free when it was opened, and how many matrix products its
   * library has refused since: another kernel does them, which takes a thousand times as long.
   */
  get info(): DeviceInfo {
    const { isa, closed: _, ...known } = this.native.info
    return { ...known, instructionSet: isa }
  }

  /** @throws NativeError OUT_OF_MEMORY, DEVICE_CLOSED */
  allocate(bytes: number, { memory = 'device' }: { memory?: MemoryKind } = {}): Arena {
    if (bytes > Number.MAX_SAFE_INTEGER)
      throw new NativeError('OUT_OF_MEMORY', `cannot allocate an arena of ${bytes} bytes`, { bytes })
    return new Arena(
      guarded(() => this.native.allocate(bytes, memory)),
      bytes,
    )
  }

  /**
   * Checks a program against its arenas: arity, dtypes, shapes, that every tensor lies inside its arena, the limits of the device's
   * kernels, and that operations of different queues which may run at the same time touch no memory together. Arenas may be those of
   * other devices: memory of the host is for all operations of the CPU, all else for those that only move memory. While a program runs,
   * other devices wait for the arenas that it writes to.
   *
   * @throws NativeError PROGRAM_INVALID naming the operation and the operand
   */
  compile(program: ProgramDescription, arenas: readonly Arena[]): CompiledProgram {
    if (!Array.isArray(arenas)) throw new NativeError('PROGRAM_INVALID', 'expected an array of arenas')
    return new CompiledProgram(
      guarded(() =>
        this.native.compile(
          program,
          arenas.map((arena: Arena) => arena.native),
        ),
      ),
    )
  }

  /**
   * The floating-point operations a second that all threads together reach in multiply-adds on registers, measured now: the
   * ceiling of this device's matrix products. For bf16, of bfloat16 numbers summed in float32. On a CUDA device, in a large
   * matrix product; `small` makes that a small one, which takes no time and says nothing.
   */
  measureMultiplyAddRate(dtype: 'f32' | 'bf16' = 'f32', { small = false } = {}): Promise<number> {
    return guardedAsync(() =>
      dtype === 'bf16' ? this.native.measureBf16MultiplyAddRate(small) : this.native.measureMultiplyAddRate(small),
    )
  }

  /** The bytes a second that all threads together move in z ← z/2 + x over large arrays, measured now. */
  measureUpdateRate({ small = false } = {}): Promise<number> {
    return guardedAsync(() => this.native.measureUpdateRate(small))
  }

  /**
   * The bytes a second that all threads together read of a large array, measured now: the ceiling of a step of generation, which reads
   * every weight. On a CUDA device, as {@link measureUpdateRate}.
   */
  measureReadRate({ small = false } = {}): Promise<number> {
    return guardedAsync(() => this.native.measureReadRate(small))
  }

  /** Finishes what is queued, then gives the memory of all arenas back. Closing twice does no harm. */
  close(): Promise<void> {
    this.closing ??= guardedAsync(() => this.native.close())
    return this.closing
  }
}

/**
 * Opens a device: `cpu`, or `cuda`, `cuda:1`, … There is no silent change to another device.
 *
 * The environment variable LIMO_CPU (`portable`, `avx2`, `avx512`, `avx512bf16`, `amx`; on ARM `neon`, `neonbf16`) forces an instruction set of the CPU
 * backend, one that `limo-native doctor` lists.
 * `cuda-emulated` runs the CUDA backend's kernels in an emulator on the CPU, slowly, for tests; only a checkout builds it.
 *
 * @throws NativeError ADDON_UNAVAILABLE, DEVICE_UNAVAILABLE
 * @example
 * const device = await openDevice('cpu', { threads: 2 })
 */
export async function openDevice(name = 'cpu', options: DeviceOptions = {}): Promise<Device> {
  const addon = loadAddon()
  const { opening } = deviceOf(name)
  if (opening.kind !== 'cpu') return openCuda(name, opening)
  const isa = process.env.LIMO_CPU
  const threads = options.threads ?? availableParallelism()
  return guarded(() => new Device(new addon.Device({ ...opening, threads, ...(isa ? { isa } : {}) }), name))
}

/**
 * Bytes of memory of a CUDA device, without opening it; undefined where there is none of that name, or no addon. The emulated one
 * has the process's.
 */
export function cudaMemoryBytes(name: string): number | undefined {
  if (name === 'cuda-emulated') return process.availableMemory()
  try {
    const { opening } = deviceOf(name)
    return opening.kind === 'cuda' ? loadAddon().describeCuda(false).memoryBytes[opening.ordinal] : undefined
  } catch (error) {
    if (error instanceof NativeError && error.code === 'ADDON_UNAVAILABLE') return undefined
    throw error
  }
}

function openCuda(name: string, opening: DeviceOpening): Device {
  const addon = loadAddon()
  const { reason } = opening.kind === 'cuda' ? addon.describeCuda(false) : { reason: '' }
  const unavailable = (why: string, cause?: unknown) =>
    new NativeError(
      'DEVICE_UNAVAILABLE',
      `expected a CUDA device for "${name}" but ${why}. Use --device cpu.`,
      { device: name },
      { cause },
    )
  if (reason !== '') throw unavailable(reason)
  try {
    return guarded(() => new Device(new addon.Device(opening), name))
  } catch (error) {
    if (error instanceof NativeError && error.code === 'DEVICE_UNAVAILABLE') throw unavailable(error.message, error)
    throw error
  }
}
