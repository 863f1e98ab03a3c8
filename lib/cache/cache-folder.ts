import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** Age at which entries that no run has used are removed, and temporary folders of killed processes. */
const KEEP_DAYS = 30
const KEEP_TEMPORARY_DAYS = 3
const dayMs = 86_400_000

export const temporaryPrefix = 'temporary-'

/** `LIMO_CACHE_DIR`, or limo-native in the folder that the system has for caches. */
export function userCacheFolder(): string {
  const { LIMO_CACHE_DIR: own, XDG_CACHE_HOME: caches } = process.env
  if (own !== undefined && own !== '') return resolve(own)
  return join(caches === undefined || caches === '' ? join(homedir(), '.cache') : caches, 'limo-native', 'examples')
}

let substitute: Promise<string> | undefined

/** The folder itself or, where it cannot be written, one temporary folder, which goes with the process. */
export async function writableFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true })
    await rm(await mkdtemp(join(folder, temporaryPrefix)), { recursive: true })
    return folder
  } catch {
    substitute ??= mkdtemp(join(tmpdir(), 'limo-native-')).then((temporary) => {
      process.on('exit', () => rmSync(temporary, { recursive: true, force: true }))
      return temporary
    })
    return substitute
  }
}

/** Removes entries that are not used any more. A run that has one open can still read it. */
export async function removeUnused(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const isEntry = /^[0-9a-f]{64}$/.test(name)
    if (!isEntry && !name.startsWith(temporaryPrefix)) continue
    // A folder's own date does not change when a file in it is written to.
    const used = await stat(join(path, isEntry ? 'manifest.json' : 'tokens.bin')).catch(() => stat(path).catch(() => undefined))
    const keepMs = (isEntry ? KEEP_DAYS : KEEP_TEMPORARY_DAYS) * dayMs
    if (used !== undefined && Date.now() - used.mtimeMs > keepMs) await rm(path, { recursive: true, force: true })
  }
}
