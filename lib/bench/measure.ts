/** Milliseconds that one call took in `runs` runs: their median, the shortest, and the one that nine of ten do not exceed. */
export interface RunTimes {
  medianMs: number
  minMs: number
  p90Ms: number
  runs: number
}

/** Runs `body` for at least `minMs` and `minRuns` times, after one run that is not counted. */
export async function timeRuns(body: () => Promise<unknown>, options: { minRuns: number; minMs: number }): Promise<RunTimes> {
  await body()
  const times: number[] = []
  let total = 0
  while (times.length < options.minRuns || total < options.minMs) {
    const start = performance.now()
    await body()
    const elapsed = performance.now() - start
    times.push(elapsed)
    total += elapsed
  }
  return runTimes(times)
}

/** What `times` in milliseconds come to. */
export function runTimes(times: readonly number[]): RunTimes {
  const sorted = [...times].sort((a, b) => a - b)
  return { medianMs: medianOf(times), minMs: sorted[0]!, p90Ms: sorted[Math.ceil(0.9 * sorted.length) - 1]!, runs: times.length }
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

/** Numbers in [-1, 1) that depend on the seed alone: a benchmark on zeros measures nothing. */
export function randomValues(length: number, seed: number): Float32Array {
  const values = new Float32Array(length)
  let state = (seed * 2654435761 + 12345) | 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    values[i] = state / 2 ** 31
  }
  return values
}

/** Whole numbers in [0, bound) that depend on the seed alone. */
export function randomIds(length: number, bound: number, seed: number): Int32Array {
  return Int32Array.from(randomValues(length, seed), (value) => Math.floor(((value + 1) / 2) * bound) % bound)
}
