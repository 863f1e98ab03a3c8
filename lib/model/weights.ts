import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { TensorEntry } from '../checkpoint/safetensors.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { CheckpointError, LimoError } from '../errors.js'
import { castOp } from '../graph/ops/elementwise.js'
import { dtypeBytes } from '../graph/tensor.js'
import type { ComputeDtype, Dtype, OpDescription } from '../native/addon-types.js'
import { type Arena, CHUNK_BYTES, type Device } from '../native/device.js'
import type { ParameterLayout, ParameterPart } from './parameters.js'

const nativeDtypes: Partial<Record<string, Dtype>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' }

/** Where the weights of a layout come from or go to: an arena, and the place of the layout in it; float32 unless said. */
export interface ArenaRegion {
  arena: Arena
  /** Bytes. */
  offset: number
}

/**
 * Reads every weight of the layout from its file straight into the arena, as float32. `entryName` maps the Hugging Face
 * name of a weight to its name in the files (`exp_avg.<name>` for moments).
 *
 * @throws CheckpointError IO_FAILED naming the tensor and the file
 */
export async function loadRegion(
  region: ArenaRegion,
  layout: ParameterLayout,
  entries: ReadonlyMap<string, TensorEntry>,
  entryName: (name: string) => string = (name) => name,
  signal?: AbortSignal,
): Promise<void> {
  const files = new OpenFiles()
  try {
    for (const part of layout.parts.values()) {
      signal?.throwIfAborted()
      const entry = findEntry(entries, entryName(part.name), part)
      const place = { arena: region.arena, offset: region.offset + part.offset }
      await files.load(place, entry, { first: 0, elements: part.bytes / 4 })
    }
  } finally {
    await files.close()
  }
}

/** Numbers that are rounded at a time: what they take in float32 is all the memory besides the arena. */
const ROUNDED_AT_ONCE = 4 << 20

/**
 * Reads every weight of the layout into an arena as bfloat16, each at half its offset in the layout, without holding the model in
 * float32.
 *
 * @throws CheckpointError IO_FAILED naming the tensor and the file
 */
export async function loadRounded(
  device: Device,
  arena: Arena,
  layout: ParameterLayout,
  entries: ReadonlyMap<string, TensorEntry>,
  signal?: AbortSignal,
): Promise<void> {
  const files = new OpenFiles()
  const largest = Math.max(...[...layout.parts.values()].map(({ bytes }) => bytes / 4))
  const room = device.allocate(4 * Math.min(ROUNDED_AT_ONCE, largest))
  try {
    for (const part of layout.parts.values()) {
      const entry = findEntry(entries, part.name, part)
      for (let first = 0; first < part.bytes / 4; first += ROUNDED_AT_ONCE) {
        signal?.throwIfAborted()
        const elements = Math.min(ROUNDED_AT_ONCE, part.bytes / 4 - first)
        await files.load({ arena: room, offset: 0 }, entry, { first, elements })
        const offset = part.offset / 2 + 2 * first
        const operands: OpDescription['operands'] = {
          out: { arena: 1, offset, dtype: 'bf16', shape: [elements] },
          x: { arena: 0, offset: 0, dtype: 'f32', shape: [elements] },
        }
        const ops = [{ op: castOp.name, operands, attributes: {} }]
        await device.compile({ maxTokens: 0, maxSequences: 0, ops, inputs: {}, outputs: {} }, [room, arena]).run()
      }
    }
  } finally {
    await files.close()
  }
}

function findEntry(entries: ReadonlyMap<string, TensorEntry>, name: string, part: ParameterPart): TensorEntry {
  const entry = entries.get(name)
  if (!entry) throw new CheckpointError('TENSOR_MISSING', `expected a tensor ${name} but the files have none`, { tensor: name })
  if (String(entry.shape) !== String(part.shape) || !nativeDtypes[entry.dtype]) {
    throw new CheckpointError(
      'TENSOR_MISMATCH',
      `expected ${name} as [${part.shape}] in F32, BF16 or F16 but received [${entry.shape}] in ${entry.dtype} (${entry.file})`,
      { tensor: name, file: entry.file },
    )
  }
  return entry
}

/** The files of a model's weights, each opened once. */
class OpenFiles {
  readonly #files = new Map<string, FileHandle>()

  /** Reads some numbers of a tensor to a place in an arena, as float32. */
  async load(place: ArenaRegion, entry: TensorEntry, { first, elements }: { first: number; elements: number }): Promise<void> {
    const dtype = nativeDtypes[entry.dtype]!
    try {
      const file = this.#files.get(entry.file) ?? (await open(entry.file, 'r'))
      this.#files.set(entry.file, file)
      const fileOffset = entry.byteOffset + first * dtypeBytes(dtype)
      await place.arena.load(place.offset, { fileDescriptor: file.fd, fileOffset, elements, dtype })
    } catch (cause) {
      if (cause instanceof LimoError && cause.code !== 'IO_FAILED') throw cause
      throw new CheckpointError(
        'IO_FAILED',
        `cannot read ${entry.name} from ${entry.file} (in ${dirname(entry.file)}): ${(cause as Error).message}`,
        { tensor: entry.name, file: entry.file },
        { cause },
      )
    }
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close()
  }
}

/** Writers of every weight of a region, under the names that `entryName` gives, a chunk at a time. */
export function regionWriters(
  region: ArenaRegion & { dtype?: ComputeDtype },
  layout: ParameterLayout,
  entryName: (name: string) => string = (name) => name,
): TensorWriter[] {
  const isHalf = region.dtype === 'bf16'
  const bytesOf = (float32Bytes: number) => (isHalf ? float32Bytes / 2 : float32Bytes)
  // One buffer for all of them: a checkpoint must not need memory that the plan does not know of.
  const buffer = new Uint8Array(CHUNK_BYTES)
  return [...layout.parts.values()].map((part) => ({
    name: entryName(part.name),
    dtype: isHalf ? 'BF16' : 'F32',
    shape: part.shape,
    byteLength: bytesOf(part.bytes),
    async write(sink) {
      for await (const chunk of region.arena.chunks(region.offset + bytesOf(part.offset), bytesOf(part.bytes), buffer))
        await sink(chunk)
    },
  }))
}
