import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError } from '../errors.js'

/** Folders that this process works in. */
const own = new Set<string>()

/**
 * Keeps other runs out of an output folder until the function that is returned is called. The lock of a process that is no
 * more is taken over. Throws a CheckpointError OUTPUT_EXISTS where another run is at work.
 */
export async function lockOutput(folder: string, name: string): Promise<() => Promise<void>> {
  const path = join(folder, `.limo-${name}.lock`)
  for (let attempt = 0; ; attempt++) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(`${process.pid}\n`)
      await file.close()
      own.add(path)
      return async () => {
        own.delete(path)
        await rm(path, { force: true })
      }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    }
    const holder = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10)
    const isAlive = own.has(path) || (holder !== process.pid && isRunning(holder))
    if (isAlive || attempt > 2) {
      throw new CheckpointError(
        'OUTPUT_EXISTS',
        `expected to work in ${folder} alone but process ${holder} does. Wait for it, choose another folder, or remove ${path} if it does not.`,
        { folder, process: holder },
      )
    }
    await rm(path, { force: true })
  }
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
