import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { packageDependencies } from '../package-root.js'

/**
 * SHA-256 of a file's content, '' where there is none. With `folder`, that of a large file is kept there with its size, dates and
 * inode, so that it is only read again when one of them has changed.
 */
export async function digestOfFile(path: string, folder?: string): Promise<string> {
  const status = await stat(path, { bigint: true }).catch(() => undefined)
  if (status === undefined || !status.isFile()) return ''
  const { size, mtimeNs, ctimeNs, ino, dev } = status
  const isKept = folder !== undefined && size > 1n << 26n
  const identity = [resolve(path), size, mtimeNs, ctimeNs, ino, dev].map(String)
  const memo = join(folder ?? '', `digest-${createHash('sha256').update(identity[0]!).digest('hex')}.json`)
  if (isKept) {
    // A torn file counts as absent.
    const known = await readFile(memo, 'utf8')
      .then(JSON.parse)
      .catch(() => undefined)
    if (JSON.stringify(known?.identity) === JSON.stringify(identity)) return String(known.digest)
  }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array)
  const digest = hash.digest('hex')
  // A change within the clock's granularity would leave the dates as they are.
  const isSettled = BigInt(Date.now()) * 1_000_000n - ctimeNs > 2_000_000_000n
  if (isKept && isSettled) await writeMemo(memo, JSON.stringify({ identity, digest })).catch(() => {})
  return digest
}

async function writeMemo(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomUUID()}`
  await writeFile(temporary, text)
  await rename(temporary, path)
}

/**
 * A digest of the modules in folders of this package, with those below them, and of the libraries that it uses: the code that has made a
 * file.
 */
export async function digestOfCode(...folders: readonly URL[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([packageDependencies, process.versions.unicode]))
  for (const folder of folders) {
    const modules = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.js')).sort()
    for (const name of modules) hash.update(await readFile(new URL(name, folder)))
  }
  return hash.digest('hex')
}
