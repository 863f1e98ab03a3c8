import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { CheckpointError, LimoError } from '../errors.js'
import { failpoint } from '../failpoint.js'

/** Takes bytes in order; the caller may reuse its buffer once the promise is fulfilled. */
export type Sink = (chunk: Uint8Array) => Promise<void>

/** A written file: size and SHA-256 (hex), hashed on the way to the disk. */
export interface WrittenFile {
  bytes: number
  sha256: string
}

/** Hashing is synchronous; 1 MiB takes about a millisecond, so the event loop stays free between slices. */
const sliceBytes = 1 << 20

/** Writes a new file from what `produce` puts into its sink and fsyncs it. Throws `WRITE_FAILED`; a torn file may be left. */
export async function writeNewFile(path: string, produce: (sink: Sink) => Promise<void>): Promise<WrittenFile> {
  const hash = createHash('sha256')
  let bytes = 0
  let file: FileHandle | undefined
  try {
    file = await open(path, 'wx')
    const handle = file
    await produce(async (chunk) => {
      for (let from = 0; from < chunk.byteLength; from += sliceBytes) {
        const slice = chunk.subarray(from, from + sliceBytes)
        hash.update(slice)
        await writeWhole(handle, slice)
        bytes += slice.byteLength
      }
    })
    failpoint('file')
    await file.sync()
  } catch (cause) {
    throw writeFailed(cause, path)
  } finally {
    await file?.close()
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength; ) {
    written += (await file.write(bytes, written, bytes.byteLength - written)).bytesWritten
  }
}

/**
 * Writes or replaces a file as one: to a temporary name beside it, fsync, rename, fsync of the folder.
 * Throws a CheckpointError `WRITE_FAILED`; what was there before is then intact.
 */
export async function writeFileAtomically(path: string, produce: (sink: Sink) => Promise<void>): Promise<WrittenFile> {
  const temporary = temporaryName(path)
  return activeTemporary(temporary, async () => {
    const written = await writeNewFile(temporary, produce)
    await moveInPlace(temporary, path)
    return written
  })
}

/** A file's temporary name: hidden, beside it, with the process that writes it and its host. */
export function temporaryName(path: string): string {
  return nameOfThisProcess(path, 'tmp')
}

/** The name of what steps aside for a new folder, which comes back where that one never comes. */
export function asideName(path: string): string {
  return nameOfThisProcess(path, 'old')
}

function nameOfThisProcess(path: string, kind: 'tmp' | 'old'): string {
  return join(dirname(path), `.${basename(path)}.${kind}-${process.pid}-${thisHost}`)
}

/** This machine in file names: on a shared disk another one may have a process of the same number. */
export const thisHost = hostname()
  .replaceAll(/[^\w.-]/g, '_')
  .slice(0, 64)

/** A name of that kind: what is to be published, and by whom. A release before hosts were named left none. */
export function parseTemporaryName(
  name: string,
): { published: string; kind: 'tmp' | 'old'; process: number; host: string | undefined } | undefined {
  const [, published, kind, process, host] = /^\.(.+)\.(tmp|old)-(\d+)(?:-([\w.-]+))?$/.exec(name) ?? []
  return published === undefined ? undefined : { published, kind: kind as 'tmp' | 'old', process: Number(process), host }
}

const active = new Set<string>()

/** Whether this process is writing to that temporary name now. */
export function isActiveTemporary(path: string): boolean {
  return active.has(path)
}

/** Runs `write` with a temporary name to itself; whatever is left of the name is removed before and after. */
export async function activeTemporary<T>(temporary: string, write: () => Promise<T>): Promise<T> {
  if (active.has(temporary)) {
    throw new CheckpointError('WRITE_FAILED', `${temporary} is being written by this process already`, { file: temporary })
  }
  active.add(temporary)
  try {
    await rm(temporary, { recursive: true, force: true })
    return await write()
  } catch (cause) {
    throw writeFailed(cause, temporary)
  } finally {
    // Best effort: a failure to tidy up must not hide the error that led here, and the next start tidies again.
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    active.delete(temporary)
  }
}

/** Renames and makes the rename itself durable. */
export async function moveInPlace(from: string, to: string): Promise<void> {
  try {
    failpoint('rename')
    await rename(from, to)
    failpoint('renamed')
    await syncFolder(dirname(to))
  } catch (cause) {
    throw writeFailed(cause, to)
  }
}

/** Makes the entries of a folder durable. Windows has no such call, and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const remedies: Record<string, string> = {
  ENOSPC:
    'the disk is full: free some space (a run keeps fewer checkpoints with save_total_limit) and start again; a run goes on from its last checkpoint',
  EDQUOT:
    'the disk quota is used up: free some space (a run keeps fewer checkpoints with save_total_limit) and start again; a run goes on from its last checkpoint',
  EACCES: 'no permission to write there: choose another folder, or change the owner of this one',
  EPERM: 'no permission to write there: choose another folder, or change the owner of this one',
  EROFS: 'the file system is read-only: choose another folder',
  EEXIST: 'a file has that name already: choose another folder',
  ENOTDIR: 'a part of the path is a file, not a folder: choose another folder',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
}

/** A file system error as a `WRITE_FAILED` that names path and remedy; anything else is returned as it came. */
export function writeFailed(cause: unknown, path: string): unknown {
  const error = cause as NodeJS.ErrnoException
  if (error instanceof LimoError || !(error instanceof Error) || error.errno === undefined) return cause
  const remedy = remedies[error.code ?? ''] ?? 'what was there before is intact'
  // The name that the user gave, without that of the temporary file or folder beside it.
  const asked = path.replace(/(^|\/)\.([^/]+)\.(?:tmp|old)-\d+(?=\/|$)/, '$1$2')
  const message = `could not write ${asked} (${error.code}): ${remedy}`
  return new CheckpointError('WRITE_FAILED', message, { file: path, reason: error.code }, { cause })
}
