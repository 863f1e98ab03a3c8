import { readFile } from 'node:fs/promises'
import { ConfigError } from '../errors.js'
import type { BaselineResult, BenchRow } from './row.js'

/** The rows of an earlier `bench --json`. */
export interface Baseline {
  /** The row for the same thing, shape, type and number of threads. */
  compare(row: BenchRow): BaselineResult | undefined
  /** Its processor, where the file says it. */
  processor: string | undefined
}

/** @throws ConfigError CONFIG_INVALID_VALUE with file and line for what is not the output of `bench --json` */
export async function readBaseline(file: string): Promise<Baseline> {
  const invalid = (what: string) =>
    new ConfigError('CONFIG_INVALID_VALUE', `expected the output of bench --json for --baseline but ${what}`, { file })
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw invalid(`${file} cannot be read: ${error.message}`)
  })
  const times = new Map<string, number>()
  let processor: string | undefined
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const row = parseObject(line)
    if (!row) throw invalid(`${file}:${i + 1} is not a JSON object`)
    if (typeof row.processor === 'string') processor = row.processor
    if ((row.op ?? row.step) === undefined || row.peer !== undefined) continue
    if (typeof row.medianMs !== 'number' || !(row.medianMs > 0)) throw invalid(`${file}:${i + 1} has no medianMs`)
    times.set(keyOf(row as unknown as BenchRow), row.medianMs)
  }
  if (times.size === 0) throw invalid(`${file} has no rows`)
  return {
    processor,
    compare(row) {
      const medianMs = times.get(keyOf(row))
      return medianMs === undefined ? undefined : { medianMs, ratio: medianMs / row.medianMs }
    },
  }
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function keyOf({ op, step, direction, dtype, threads, shape }: BenchRow): string {
  return JSON.stringify([op, step, direction, dtype, threads, shape])
}
