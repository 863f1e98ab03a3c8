import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { TensorEntry } from '../checkpoint/safetensors.js'
import type { TensorWriter } from '../checkpoint/safetensors-writer.js'
import { CheckpointError, LimoError } from '../errors.js'
import type { ParameterLayout, ParameterPart } from '../model/parameters.js'
import type { ComputeDtype, Dtype } from '../native/addon-types.js'
import { type Arena, CHUNK_BYTES } from '../native/device.js'

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
  const files = new Map<string, FileHandle>()
  try {
    for (const part of layout.parts.values()) {
      signal?.throwIfAborted()
      await loadPart(region, part, findEntry(entries, entryName(part.name), part), files)
    }
  } finally {
    for (const file of files.values()) await file.close()
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

async function loadPart(
  region: ArenaRegion,
  part: ParameterPart,
  entry: TensorEntry,
  files: Map<string, FileHandle>,
): Promise<void> {
  try {
    let file = files.get(entry.file)
    if (!file) {
      file = await open(entry.file, 'r')
      files.set(entry.file, file)
    }
    await region.arena.load(region.offset + part.offset, {
      fileDescriptor: file.fd,
      fileOffset: entry.byteOffset,
      elements: part.bytes / 4,
      dtype: nativeDtypes[entry.dtype]!,
    })
  } catch (cause) {
    if (cause instanceof LimoError && cause.code !== 'IO_FAILED') throw cause
    throw new CheckpointError(
      'IO_FAILED',
      `cannot read ${entry.name} from ${entry.file} (in ${dirname(entry.file)}): ${(cause as Error).message}`,
      {
        tensor: entry.name,
        file: entry.file,
      },
      { cause },
    )
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
