import { createReadStream } from 'node:fs'
import { CheckpointError } from '../errors.js'

/** The bytes of a file, 1 MiB at a time. Throws a CheckpointError `IO_FAILED`. */
export async function* readChunks(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 })
  } catch (cause) {
    throw new CheckpointError('IO_FAILED', `cannot read ${path}: ${(cause as Error).message}`, { file: path }, { cause })
  }
}
