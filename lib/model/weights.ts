import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { TensorEntry } from '../checkpoint/safetensors.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { CheckpointError, LimoError } from '../errors.js'
import { dtypeBytes } from '../graph/tensor.js'
import type { ComputeDtype, Dtype } from '../native/addon-types.js'
import { type Arena, CHUNK_BYTES } from '../native/device.js'
import type { PlacedWeight } from '../plan/parameters.js'

const nativeDtypes: Partial<Record<string, Dtype>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' }

/** Where weights come from or go to: an arena, where in it their layout begins, and the type that they have there. */
export interface ArenaRegion {
  arena: Arena
  /** Bytes. */
  offset: number
  /** f32 when absent. Those of bf16 lie at half of their offsets in the layout. */
  dtype?: ComputeDtype
}

/**
 * Reads weights from their files straight into the arena, in the type that the region has. `entryName` maps the Hugging
 * Face name of a weight to its name in the files (`exp_avg.<name>` for moments).
 *
 * @throws CheckpointError IO_FAILED naming the tensor and the file
 */
export async function loadRegion(
  region: ArenaRegion,
  weights: Iterable<PlacedWeight>,
  entries: ReadonlyMap<string, TensorEntry>,
  entryName: (name: string) => string = (name) => name,
  signal?: AbortSignal,
): Promise<void> {
  const to = region.dtype ?? 'f32'
  const files = new OpenFiles()
  try {
    for (const part of weights) {
      const entry = findEntry(entries, entryName(part.name), part)
      const elements = part.bytes / 4
      for (let first = 0; first < elements; first += READ_AT_ONCE) {
        signal?.throwIfAborted()
        const offset = region.offset + (part.offset / 4 + first) * dtypeBytes(to)
        const count = Math.min(READ_AT_ONCE, elements - first)
        await files.load({ arena: region.arena, offset, dtype: to }, entry, { first, elements: count })
      }
    }
  } finally {
    await files.close()
  }
}

/** Numbers between two looks at the signal: a second or less. */
const READ_AT_ONCE = 64 << 20

function findEntry(entries: ReadonlyMap<string, TensorEntry>, name: string, part: PlacedWeight): TensorEntry {
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

  /** Reads some numbers of a tensor to a place in an arena. */
  async load(
    place: Required<ArenaRegion>,
    entry: TensorEntry,
    { first, elements }: { first: number; elements: number },
  ): Promise<void> {
    const dtype = nativeDtypes[entry.dtype]!
    try {
      const file = this.#files.get(entry.file) ?? (await open(entry.file, 'r'))
      this.#files.set(entry.file, file)
      const fileOffset = entry.byteOffset + first * dtypeBytes(dtype)
      await place.arena.load(place.offset, { fileDescriptor: file.fd, fileOffset, elements, dtype, to: place.dtype })
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

/** Writers of weights of a region, under the names that `entryName` gives, a chunk at a time. */
export function regionWriters(
  region: ArenaRegion,
  weights: Iterable<PlacedWeight>,
  entryName: (name: string) => string = (name) => name,
): TensorWriter[] {
  const isHalf = region.dtype === 'bf16'
  const bytesOf = (float32Bytes: number) => (isHalf ? float32Bytes / 2 : float32Bytes)
  // One buffer for all of them: a checkpoint must not need memory that the plan does not know of.
  const buffer = new Uint8Array(CHUNK_BYTES)
  return Array.from(weights, (part) => ({
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
