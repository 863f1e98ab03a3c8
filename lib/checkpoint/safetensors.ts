import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { isJsonObject, lfsPointer } from '../config/json-object.js'
import { CheckpointError } from '../errors.js'
import { jsonKeys } from './json-keys.js'

/** Bits of one element of each dtype that a header may name; weights are trained from F32, BF16 and F16. */
const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

export type SafetensorsDtype = keyof typeof dtypeBits

/** Where a tensor lies: `byteLength` bytes of `file` (absolute path) from `byteOffset`, counted from the file's start. */
export interface TensorEntry {
  name: string
  dtype: SafetensorsDtype
  shape: number[]
  file: string
  byteOffset: number
  byteLength: number
}

/** The longest header that safetensors' own reader takes. */
const maxHeaderBytes = 100_000_000

/**
 * Reads the header of a safetensors file: 8 bytes little-endian length, that many bytes of JSON, then the tensors.
 *
 * Everything is checked against the file's size before anything is allocated for it: header length, dtypes, shapes,
 * offsets in bounds, no overlaps, no holes, no repeated names.
 * Throws a CheckpointError: `SAFETENSORS_MALFORMED`, `MODEL_NOT_FOUND` where there is no file, `IO_FAILED` where it cannot be read.
 */
export async function readHeader(path: string): Promise<{ entries: Map<string, TensorEntry>; metadata: Record<string, string> }> {
  const { text, headerBytes, dataBytes } = await readHeaderText(path)
  const header = parseHeader(text, path)
  const entries = new Map<string, TensorEntry>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(value, path)
    else entries.set(name, checkEntry(name, value, path, 8 + headerBytes, dataBytes))
  }
  checkCoverage([...entries.values()], path, 8 + headerBytes, dataBytes)
  return { entries, metadata }
}

async function readHeaderText(path: string): Promise<{ text: string; headerBytes: number; dataBytes: number }> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const { size } = await file.stat()
    if (size < 8) throw malformed(path, `expected at least 8 bytes but the file has ${size}`)
    const headerBytes = Number((await readExactly(file, 0, 8, path)).readBigUInt64LE())
    const limit = Math.min(maxHeaderBytes, size - 8)
    if (headerBytes > limit && (await readExactly(file, 0, Math.min(64, size), path)).toString('latin1').startsWith(lfsPointer))
      throw malformed(path, 'expected weights but received a pointer of Git LFS: run "git lfs pull" in the folder')
    if (headerBytes > limit) throw malformed(path, `expected a header of at most ${limit} bytes but it claims ${headerBytes}`)
    const bytes = await readExactly(file, 8, headerBytes, path)
    return { text: decodeUtf8(bytes, path), headerBytes, dataBytes: size - 8 - headerBytes }
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const message = missing
      ? `${path} does not exist: is the download complete?`
      : `cannot read ${path}: ${(cause as Error).message}`
    throw new CheckpointError(missing ? 'MODEL_NOT_FOUND' : 'IO_FAILED', message, { file: path }, { cause })
  } finally {
    await file?.close()
  }
}

async function readExactly(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) throw malformed(path, `expected ${length} bytes at ${position} but the file ends after ${filled}`)
    filled += bytesRead
  }
  return bytes
}

function decodeUtf8(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformed(path, 'expected a header in UTF-8')
  }
}

function parseHeader(text: string, path: string): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw malformed(path, `expected JSON in the header: ${(cause as Error).message}`)
  }
  if (!isJsonObject(header)) throw malformed(path, 'expected a JSON object as header')
  for (const { key, repeated } of jsonKeys(text)) {
    if (repeated) throw malformed(path, `expected every name once but "${key}" is repeated`)
  }
  return header
}

function checkMetadata(value: unknown, path: string): Record<string, string> {
  if (!isJsonObject(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    throw malformed(path, 'expected __metadata__ to map strings to strings')
  }
  return value as Record<string, string>
}

function checkEntry(name: string, value: unknown, path: string, dataStart: number, dataBytes: number): TensorEntry {
  const wrong = (problem: string) => malformed(path, `tensor "${name}": ${problem}`)
  if (!isJsonObject(value)) throw wrong('expected an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeBits, dtype)) throw wrong(`unknown dtype ${JSON.stringify(dtype)}`)
  if (!Array.isArray(shape) || !shape.every(isCount)) throw wrong('expected shape to be a list of non-negative integers')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw wrong('expected data_offsets to be two non-negative integers')
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end || end > dataBytes) {
    throw wrong(
      `expected offsets in order within ${dataBytes} bytes of data but received ${begin}..${end}: is the file truncated?`,
    )
  }
  const needed = tensorBytes(dtype as SafetensorsDtype, shape)
  if (needed !== end - begin) {
    throw wrong(`shape [${shape.join(', ')}] of ${dtype} needs ${needed} bytes but its offsets span ${end - begin}`)
  }
  return {
    name,
    dtype: dtype as SafetensorsDtype,
    shape,
    file: resolve(path),
    byteOffset: dataStart + begin,
    byteLength: end - begin,
  }
}

/** Checks that the tensors fill the data from its first byte to its last, each byte once. */
function checkCoverage(entries: TensorEntry[], path: string, dataStart: number, dataBytes: number): void {
  let end = dataStart
  for (const entry of entries.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength)) {
    if (entry.byteOffset < end) throw malformed(path, `tensor "${entry.name}" overlaps the one before it`)
    if (entry.byteOffset > end)
      throw malformed(path, `${entry.byteOffset - end} bytes before tensor "${entry.name}" belong to none`)
    end = entry.byteOffset + entry.byteLength
  }
  if (end !== dataStart + dataBytes) throw malformed(path, `the last ${dataStart + dataBytes - end} bytes belong to no tensor`)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function malformed(path: string, problem: string): CheckpointError {
  return new CheckpointError('SAFETENSORS_MALFORMED', `${problem} (${path})`, { file: path })
}

/** Bytes of a tensor of this dtype and shape; NaN where they overflow 2^53 or are no whole number. */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number {
  let bits: number = dtypeBits[dtype]
  for (const size of shape) bits = Number.isSafeInteger(bits * size) ? bits * size : Number.NaN
  return bits % 8 === 0 ? bits / 8 : Number.NaN
}
