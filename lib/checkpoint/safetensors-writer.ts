import { CheckpointError } from '../errors.js'
import { type Sink, writeFileAtomically } from './durable-file.js'
import { type SafetensorsDtype, tensorBytes } from './safetensors.js'

/** A tensor to be written: `write` puts exactly `byteLength` bytes into the sink, in as many chunks as it likes. */
export interface TensorWriter {
  name: string
  dtype: SafetensorsDtype
  shape: number[]
  byteLength: number
  write: (sink: Sink) => Promise<void>
}

/**
 * Writes a safetensors file as one (temporary name, fsync, rename), a chunk at a time, never holding the whole.
 * The same tensors give the same bytes. Throws a CheckpointError `WRITE_FAILED`.
 */
export async function writeSafetensors(path: string, tensors: TensorWriter[], metadata?: Record<string, string>): Promise<void> {
  await writeFileAtomically(path, (sink) => produceSafetensors(tensors, sink, metadata))
}

/** Puts a safetensors file into a sink: wide dtypes first, so that every tensor is aligned, else in the order given. */
export async function produceSafetensors(tensors: TensorWriter[], sink: Sink, metadata?: Record<string, string>): Promise<void> {
  const width = (dtype: SafetensorsDtype) => tensorBytes(dtype, [1])
  const ordered = [...tensors].sort((a, b) => width(b.dtype) - width(a.dtype))
  await sink(encodeHeader(ordered, metadata))
  for (const tensor of ordered) {
    let written = 0
    await tensor.write(async (chunk) => {
      written += chunk.byteLength
      if (written > tensor.byteLength) throw wrongLength(tensor, written)
      await sink(chunk)
    })
    if (written !== tensor.byteLength) throw wrongLength(tensor, written)
  }
}

/** Length and JSON, padded with spaces to a multiple of 8 so that the first tensor is aligned. */
function encodeHeader(tensors: TensorWriter[], metadata?: Record<string, string>): Buffer {
  const members: string[] = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : []
  const names = new Set<string>()
  let end = 0
  for (const { name, dtype, shape, byteLength } of tensors) {
    if (names.has(name))
      throw new CheckpointError('TENSOR_UNEXPECTED', `tensor "${name}" is to be written twice`, { tensor: name })
    if (tensorBytes(dtype, shape) !== byteLength) throw wrongLength({ name, byteLength: tensorBytes(dtype, shape) }, byteLength)
    names.add(name)
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [end, end + byteLength] })}`)
    end += byteLength
  }
  const json = Buffer.from(`{${members.join(',')}}`)
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ')
  header.writeBigUInt64LE(BigInt(header.length - 8))
  json.copy(header, 8)
  return header
}

function wrongLength(tensor: { name: string; byteLength: number }, received: number): CheckpointError {
  const message = `expected ${tensor.byteLength} bytes for tensor "${tensor.name}" but received ${received}`
  return new CheckpointError('TENSOR_MISMATCH', message, { tensor: tensor.name, expected: tensor.byteLength, received })
}

/** One file of a model's weights. */
export interface Shard {
  file: string
  tensors: TensorWriter[]
}

/** The index of a model in several files, `model.safetensors.index.json`. */
export interface ShardIndex {
  metadata: { total_size: number }
  weight_map: Record<string, string>
}

/**
 * Splits tensors into files of at most `maxShardBytes` (a larger tensor gets a file to itself), in the order given and with
 * Hugging Face's names: `model.safetensors`, or `model-00001-of-0000N.safetensors` and an index.
 */
export function planShards(tensors: TensorWriter[], maxShardBytes = 5e9): { shards: Shard[]; index?: ShardIndex } {
  const groups: TensorWriter[][] = [[]]
  let groupBytes = 0
  for (const tensor of tensors) {
    if (groupBytes > 0 && groupBytes + tensor.byteLength > maxShardBytes) {
      groups.push([])
      groupBytes = 0
    }
    groups.at(-1)!.push(tensor)
    groupBytes += tensor.byteLength
  }
  if (groups.length === 1) return { shards: [{ file: 'model.safetensors', tensors: groups[0]! }] }
  const number = (n: number) => String(n).padStart(5, '0')
  const shards = groups.map((group, i) => ({
    file: `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
    tensors: group,
  }))
  const weights = shards.flatMap(({ file, tensors: group }) => group.map(({ name }) => [name, file] as const))
  const total_size = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0)
  return { shards, index: { metadata: { total_size }, weight_map: Object.fromEntries(weights) } }
}
