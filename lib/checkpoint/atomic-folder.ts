import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { failpoint } from '../failpoint.js'
import {
  activeTemporary,
  asideName,
  isActiveTemporary,
  moveInPlace,
  parseTemporaryName,
  type Sink,
  syncFolder,
  temporaryName,
  thisHost,
  writeFailed,
  writeNewFile,
} from './durable-file.js'
import { type Manifest, manifestName } from './manifest.js'
import { readChunks } from './read-chunks.js'

/** Puts files into a folder that nobody sees until it is whole. Names are relative, with `/`. */
export interface FolderWriter {
  writeFile(name: string, produce: (sink: Sink) => Promise<void>): Promise<void>
  writeText(name: string, text: string): Promise<void>
  /** Copies a file's bytes, following symbolic links. */
  copyFile(name: string, source: string): Promise<void>
}

/**
 * Makes the folder `target` as one: `fill` writes into a temporary folder next to it (`.name.tmp-pid-host`), every file and
 * folder is fsynced, with `manifest` a `manifest.json` with the size and hash of every file goes in last, then one rename
 * publishes it and the parent is fsynced. A folder of that name is replaced.
 *
 * Throws what `fill` throws, or a CheckpointError `WRITE_FAILED`; the temporary folder is then removed and what was there
 * before is intact.
 */
export async function publishFolder(
  target: string,
  fill: (writer: FolderWriter) => Promise<void>,
  options: { manifest: boolean } = { manifest: false },
): Promise<void> {
  const temporary = temporaryName(target)
  await activeTemporary(temporary, async () => {
    await makeFolder(temporary)
    const files: Manifest['files'] = {}
    const folders = new Set([temporary])
    const writer: FolderWriter = {
      async writeFile(name, produce) {
        const path = join(temporary, name)
        await makeFolder(dirname(path))
        folders.add(dirname(path))
        files[name] = await writeNewFile(path, produce)
      },
      writeText: (name, text) => writer.writeFile(name, (sink) => sink(Buffer.from(text))),
      copyFile: (name, source) =>
        writer.writeFile(name, async (sink) => {
          for await (const chunk of readChunks(source)) await sink(chunk)
        }),
    }
    await fill(writer)
    if (options.manifest) await writer.writeText(manifestName, `${JSON.stringify({ files }, null, 2)}\n`)
    for (const folder of folders) await syncFolder(folder)
    await replaceFolder(temporary, target)
  })
}

/** Makes a folder and its parents, durably. Throws a CheckpointError `WRITE_FAILED`. */
export async function makeFolder(path: string): Promise<void> {
  await makeWithParents(resolve(path)).catch((cause) => {
    throw writeFailed(cause, path)
  })
}

/** Not Node's own `recursive`, which never returns where a file system denies a folder with ENOENT, as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  if ((await makeUnderParent(path)) === undefined) return
  if (dirname(path) !== path) await makeWithParents(dirname(path))
  const denied = await makeUnderParent(path)
  if (denied) throw denied
}

/** Returns the error that says there is no parent, if there is none. */
async function makeUnderParent(path: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path)
    await syncFolder(dirname(path))
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException
    if (error.code === 'ENOENT') return error
    if (error.code !== 'EEXIST' || !(await stat(path)).isDirectory()) throw cause
  }
  return undefined
}

/** A rename cannot replace a folder that has files: the old one steps aside first, and comes back if it was the last word. */
async function replaceFolder(temporary: string, target: string): Promise<void> {
  const aside = asideName(target)
  await rm(aside, { recursive: true, force: true })
  const hadOld = await rename(target, aside).then(
    () => true,
    () => false,
  )
  failpoint('aside')
  try {
    await moveInPlace(temporary, target)
  } catch (cause) {
    if (hadOld) await rename(aside, target)
    throw cause
  }
  if (hadOld) await rm(aside, { recursive: true, force: true })
}

/**
 * Tidies what killed runs left in a folder: their temporary files and folders are removed; a folder that had stepped aside
 * for a new one that never came is put back. Those of living processes stay, and of other hosts those that were written to lately. Throws a CheckpointError `WRITE_FAILED`.
 */
export async function removeStaleTemporaries(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [] as string[])
  for (const name of names) {
    const left = parseTemporaryName(name)
    const path = join(folder, name)
    if (left === undefined || isActiveTemporary(path)) continue
    const isOfThisHost = left.host === undefined || left.host === thisHost
    if (isOfThisHost ? isOtherLivingProcess(left.process) : await wasTouchedLately(path)) continue
    const { kind, published } = left
    try {
      if (kind === 'old' && !names.includes(published)) await rename(path, join(folder, published))
      else await rm(path, { recursive: true, force: true })
    } catch (cause) {
      throw writeFailed(cause, path)
    }
  }
}

/** Whether a process of another host is at work: its number says nothing here, but what is being written is new. */
const LATELY_MS = 3_600_000

async function wasTouchedLately(path: string): Promise<boolean> {
  const inside = await readdir(path, { recursive: true }).catch(() => [] as string[])
  const times = await Promise.all(
    [path, ...inside.map((name) => join(path, name))].map((one) =>
      stat(one).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  )
  return Date.now() - Math.max(...times) < LATELY_MS
}

/** In a container a dead run often had the number of this process: what this process is not writing itself is stale. */
function isOtherLivingProcess(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
