import { open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { CheckpointError } from '../errors.js'
import { writeFailed } from './durable-file.js'

/** A lock of another host is renewed so often; whether its process lives cannot be asked. */
const RENEWED_MS = 15_000
/**
 * Age at which a lock is stale: the machine that held it is gone. Clocks of hosts that share a disk agree to a fraction of
 * that.
 */
const STALE_MS = 120_000

/** Holder of a lock: process ids are reused, so with the start time of the process. */
interface Holder {
  host: string
  process: number
  started: string
}

/** Folders that this thread works in. */
const own = new Set<string>()

/**
 * Keeps other runs out of an output folder, those of other hosts on a shared disk too, until the function that is returned is called.
 * The lock of a process that is no more is taken over. Throws a CheckpointError: OUTPUT_EXISTS where another run is at work, WRITE_FAILED.
 */
export async function lockOutput(folder: string, name: string): Promise<() => Promise<void>> {
  const path = join(folder, `.limo-${name}.lock`)
  for (let attempt = 0; ; attempt++) {
    try {
      const file = await open(path, 'wx')
      const holder: Holder = { host: hostname(), process: process.pid, started: await startOf('self') }
      await file.writeFile(`${JSON.stringify(holder)}\n`)
      await file.close()
      return hold(path)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw writeFailed(cause, path)
    }
    const holder = await readHolder(path)
    if (attempt > 2 || own.has(path) || (await isAlive(holder, path))) {
      const who = holder === undefined ? 'another process' : `process ${holder.process} on ${holder.host}`
      throw new CheckpointError(
        'OUTPUT_EXISTS',
        `expected to work in ${folder} alone but ${who} does. Wait for it, choose another folder, or remove ${path} if it does not.`,
        { folder, ...holder },
      )
    }
    await rm(path, { force: true })
  }
}

function hold(path: string): () => Promise<void> {
  own.add(path)
  const timer = setInterval(() => utimes(path, new Date(), new Date()).catch(() => {}), RENEWED_MS)
  timer.unref()
  return async () => {
    clearInterval(timer)
    own.delete(path)
    await rm(path, { force: true })
  }
}

/** Undefined for what is no lock, as what is being written, or one of an earlier release. */
async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const { host, process, started } = JSON.parse(await readFile(path, 'utf8'))
    return typeof host === 'string' && Number.isSafeInteger(process) ? { host, process, started: String(started) } : undefined
  } catch {
    return undefined
  }
}

async function isAlive(holder: Holder | undefined, path: string): Promise<boolean> {
  if (holder?.host === hostname()) return isRunning(holder.process) && (await startOf(holder.process)) === holder.started
  const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs
  // A lock without a holder is either being written, which takes moments, or torn.
  return age < (holder === undefined ? 1000 : STALE_MS)
}

/** The moment at which a process was started, in ticks since the machine was; '' where the system does not say. */
async function startOf(process: number | 'self'): Promise<string> {
  // pid (command) state …: the command may have spaces and parentheses; the 20th field after it.
  const text = await readFile(`/proc/${process}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
