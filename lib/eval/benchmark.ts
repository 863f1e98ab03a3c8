import { basename, dirname } from 'node:path'
import { type ProblemColumns, parseProblemRow } from '../data/problem-row.js'
import { findEvaluationFiles } from '../data/rows/data-files.js'
import { readRows } from '../data/rows/rows.js'
import { DataError } from '../errors.js'

/** One problem of a benchmark. */
export interface Problem {
  /** Its row in the benchmark, from 0. */
  index: number
  question: string
  answer: string
}

/** A set of problems with their answers. */
export interface Benchmark {
  name: string
  files: string[]
  problems: Problem[]
}

/** In which columns problems are, and how many are read. */
export interface BenchmarkOptions {
  columns?: ProblemColumns
  /** Only so many problems, the first ones. */
  limit?: number | undefined
}

/**
 * Reads benchmarks, each a file, glob or dataset folder of rows with a question and an answer in any of their usual columns. They are named
 * by their files, `test.jsonl` and other splits by their folder.
 *
 * Throws DATA_NOT_FOUND, DATA_MALFORMED, DATA_INVALID_RECORD naming file and line, DATA_EMPTY.
 */
export async function readBenchmarks(paths: readonly string[], options: BenchmarkOptions = {}): Promise<Benchmark[]> {
  const benchmarks: Benchmark[] = []
  for (const path of paths) {
    const files = await findEvaluationFiles(path)
    const problems: Problem[] = []
    for (const file of files) await readProblems(file, problems, options)
    if (problems.length === 0) throw new DataError('DATA_EMPTY', `expected problems in ${path} but it has none.`, { file: path })
    benchmarks.push({ name: freeName(benchmarkName(path), benchmarks), files, problems })
  }
  return benchmarks
}

async function readProblems(
  file: string,
  problems: Problem[],
  { columns, limit = Number.POSITIVE_INFINITY }: BenchmarkOptions,
): Promise<void> {
  if (problems.length >= limit) return
  for await (const row of readRows(file)) {
    const { question, answer } = parseProblemRow(row, columns)
    if (answer === undefined) {
      const { text, details } = row.place
      throw new DataError(
        'DATA_INVALID_RECORD',
        `${text}: expected an answer to grade by but received none. Add a column answer.`,
        details,
      )
    }
    problems.push({ index: problems.length, question, answer })
    if (problems.length >= limit) return
  }
}

/** Names of splits: the folder says what they are of, as in LIMO's `cn_math_2024/test.jsonl`. */
const splitName = /^(?:test|train|validation|valid|val|dev)$/i

function benchmarkName(path: string): string {
  const name = basename(path)
    .replace(/\.(gz|gzip|zst|zstd)$/i, '')
    .replace(/\.(jsonl|ndjson|json|csv|tsv|parquet)$/i, '')
  const folder = basename(dirname(path))
  return (splitName.test(name) && !/^\.*$/.test(folder) ? folder : name) || 'benchmark'
}

function freeName(name: string, others: readonly Benchmark[]): string {
  const taken = new Set(others.map((other) => other.name))
  for (let number = 2, free = name; ; number++) {
    if (!taken.has(free)) return free
    free = `${name}-${number}`
  }
}
