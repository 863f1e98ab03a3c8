import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as v from 'valibot'
import { CheckpointError } from '../errors.js'
import { readChunks } from './read-chunks.js'

/** The file that is written last into a checkpoint: what is listed in it was on the disk before. */
export const manifestName = 'manifest.json'

/** Size and SHA-256 (hex) of every other file of the folder, by relative name. */
export interface Manifest {
  files: Record<string, { bytes: number; sha256: string }>
}

const manifestSchema = v.object({
  files: v.record(
    // Relative and inside of the folder: no empty, "." or ".." part.
    v.pipe(v.string(), v.regex(/^(?!\.{0,2}(\/|$))[^/\\]+(\/(?!\.{0,2}(\/|$))[^/\\]+)*$/)),
    v.object({
      bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
      sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    }),
  ),
})

/** Reads the manifest of a folder. Throws a CheckpointError `CHECKPOINT_CORRUPT` where it is missing or malformed. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, manifestName)
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw corrupt(
      path,
      missing ? 'the checkpoint was not written to its end' : `expected JSON: ${(cause as Error).message}`,
      cause,
    )
  }
  const result = v.safeParse(manifestSchema, json)
  if (!result.success) throw corrupt(path, `expected the files of a checkpoint: ${result.issues[0].message}`)
  return result.output
}

/** Checks that every listed file is there and has its size. Throws a CheckpointError `CHECKPOINT_CORRUPT` naming the file. */
export async function checkSizes(folder: string, manifest: Manifest): Promise<void> {
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const path = join(folder, name)
    const status = await stat(path).catch((cause) => {
      throw corrupt(path, 'the manifest lists it but it cannot be read', cause)
    })
    if (status.size !== bytes) throw corrupt(path, `expected ${bytes} bytes but it has ${status.size}`)
  }
}

/** Checks the contents of every listed file. Throws a CheckpointError `CHECKPOINT_CORRUPT` naming the file. */
export async function checkHashes(folder: string, manifest: Manifest): Promise<void> {
  for (const [name, { sha256 }] of Object.entries(manifest.files)) {
    const path = join(folder, name)
    const hash = createHash('sha256')
    try {
      for await (const chunk of readChunks(path)) hash.update(chunk)
    } catch (cause) {
      throw corrupt(path, `it cannot be read: ${(cause as Error).message}`, cause)
    }
    if (hash.digest('hex') !== sha256) throw corrupt(path, 'its contents are not those that were written')
  }
}

/** `CHECKPOINT_CORRUPT` for a file of a checkpoint that is not what was written. */
export function corrupt(path: string, problem: string, cause?: unknown): CheckpointError {
  const message = `${path}: ${problem}. Resume from an earlier checkpoint`
  return new CheckpointError('CHECKPOINT_CORRUPT', message, { file: path, problem: `${basename(path)}: ${problem}` }, { cause })
}
