import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot, packageVersion } from '../package-root.js'
import type { BenchCeilings } from './row.js'

/** Where and when rows were measured: the line before them in `bench --json`. */
export interface BenchRecord extends BenchCeilings {
  version: string
  /** Of a clone: its commit, with `+` where files differ from it. */
  commit?: string
  /** ISO 8601, UTC. */
  date: string
  node: string
  processor: string
  cores: number
  memoryBytes: number
  /** Processes that were running or waiting in the minute before, on average. */
  load: number
}

/** Describes this machine at this moment. */
export async function recordOf(ceilings: BenchCeilings): Promise<BenchRecord> {
  const commit = await commitOfClone()
  return {
    ...{
      version: packageVersion,
      ...(commit !== undefined && { commit }),
      date: new Date().toISOString(),
      node: process.version,
    },
    ...{ processor: processorName(), cores: availableParallelism(), memoryBytes: totalmem(), load: loadavg()[0]! },
    ...ceilings,
  }
}

export function processorName(): string {
  return cpus()[0]?.model.trim() ?? 'unknown processor'
}

/** A sentence where other processes had more than a quarter of the cores in the last minute. */
export function busyText(): string | undefined {
  const [load, cores] = [loadavg()[0]!, availableParallelism()]
  if (load <= cores / 4) return undefined
  return `This machine is busy (load ${load.toFixed(1)} on ${cores} ${cores === 1 ? 'core' : 'cores'}): expect slower and less even times.`
}

async function commitOfClone(): Promise<string | undefined> {
  if (!existsSync(join(packageRoot, '.git'))) return undefined
  try {
    const git = async (...args: string[]) => (await promisify(execFile)('git', ['-C', packageRoot, ...args])).stdout.trim()
    const commit = await git('rev-parse', '--short', 'HEAD')
    return (await git('status', '--porcelain', '--untracked-files=no')) === '' ? commit : `${commit}+`
  } catch {
    return undefined
  }
}
