import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { Decompress } from 'fzstd'
import { lfsPointer } from '../../config/json-object.js'
import { DataError } from '../../errors.js'
import { rowPlace } from './row.js'
import { malformed } from './row-batch.js'

/** Magic numbers of compressed files. */
const magics = {
  gzip: [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
  parquet: [0x50, 0x41, 0x52, 0x31],
  arrow: [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31],
  zip: [0x50, 0x4b, 0x03, 0x04],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a],
  bzip2: [0x42, 0x5a, 0x68],
} as const

export type Compression = keyof typeof magics | 'none' | 'lfs'

/** Throws DATA_NOT_FOUND for what is no regular file. */
export async function compressionOf(path: string): Promise<Compression> {
  try {
    // Checked before opening: opening a pipe waits for a writer.
    const status = await stat(path)
    if (!status.isFile()) throw notReadable(path, status.isDirectory() ? 'it is a folder' : notAFile)
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(lfsPointer.length), position: 0 })
      return compressionOfBytes(buffer.subarray(0, bytesRead))
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause
    throw notReadable(path, reasonOf(cause), cause)
  }
}

/** Compression by magic number. */
export function compressionOfBytes(bytes: Uint8Array): Compression {
  const isMagic = (magic: readonly number[]) => magic.length <= bytes.length && magic.every((byte, at) => bytes[at] === byte)
  if (isSkippableFrame(bytes)) return 'zstd'
  if (Buffer.from(bytes.subarray(0, lfsPointer.length)).toString('latin1') === lfsPointer) return 'lfs'
  const found = Object.entries(magics).find(([, magic]) => isMagic(magic))
  return (found?.[0] as Compression | undefined) ?? 'none'
}

/** A zstd frame without data, which pzstd and others put first: its magic number is 0x184D2A50 to 0x184D2A5F, low byte first. */
function isSkippableFrame(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0]! >> 4 === 5 && bytes[1] === 0x2a && bytes[2] === 0x4d && bytes[3] === 0x18
}

const notAFile = 'it is a pipe or a device, which cannot be read more than once: write its rows to a file'

function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'it does not exist'
  return code === 'EACCES' || code === 'EPERM' ? 'you have no permission to read it' : message
}

export function notReadable(path: string, problem: string, cause?: unknown): DataError {
  const isThere = problem.includes('permission')
  const remedy = problem.includes('Git LFS')
    ? 'Run "git lfs pull" in its folder'
    : isThere
      ? `Change its permissions (chmod u+r ${path}), or copy it`
      : 'Check the path, and dataset_dir'
  const message = `expected a file of rows (JSONL, JSON, CSV or Parquet) at ${path}, but ${problem}. ${remedy}.`
  return new DataError('DATA_NOT_FOUND', message, { file: path }, { cause })
}

/** The bytes of a file, unpacked where it is gzip or zstd. Throws DATA_MALFORMED where what is packed is damaged or cut off. */
export async function* readBytes(path: string, compression: 'gzip' | 'zstd' | 'none'): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: 1 << 18 })
  try {
    if (compression === 'gzip') yield* file.pipe(createGunzip({ chunkSize: 1 << 18 })).on('close', () => file.destroy())
    else if (compression === 'zstd') yield* unpackZstd(file)
    else yield* file
  } catch (cause) {
    if (compression === 'none') throw notReadable(path, `reading it failed: ${(cause as Error).message}`, cause)
    // The library allocates the window before it knows whether it can.
    if (/Invalid (?:typed )?array (?:buffer )?length|window/i.test((cause as Error).message)) {
      const problem = 'expected zstd data with a window of at most 128 MiB but its window is larger, or it is damaged'
      throw malformed(rowPlace(path, 'line', 1), problem, 'Pack it again without --long=31 (or with --long=27).', { cause })
    }
    const problem = `expected ${compression} data but it is damaged or cut off (${(cause as Error).message})`
    throw malformed(rowPlace(path, 'line', 1), problem, 'Download or pack the file again.', { cause })
  } finally {
    file.destroy()
  }
}

async function* unpackZstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let unpacked: Uint8Array[] = []
  let isWhole = false
  // A copy: the library reuses its output buffer.
  const stream = new Decompress((chunk, isLast) => {
    isWhole = isLast ?? false
    if (chunk.length > 0) unpacked.push(chunk.slice())
  })
  for await (const chunk of chunks) {
    stream.push(chunk)
    yield* unpacked
    unpacked = []
  }
  stream.push(new Uint8Array(0), true)
  yield* unpacked
  if (!isWhole) throw new Error('unexpected end of file')
}
