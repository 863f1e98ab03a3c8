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

/** Random numbers that are made; longer arrays repeat them. A prime, so that no two rows of a matrix are the same. */
const DISTINCT = 4_194_301

/**
 * Numbers in [-scale, scale) that depend on the seed alone, rounded as `round` says: a benchmark on zeros measures nothing. A model has a
 * thousand million, of which some millions are drawn.
 */
export function randomValues(
  length: number,
  seed: number,
  { scale = 1, round = (values: Float32Array) => values } = {},
): Float32Array {
  const drawn = new Float32Array(Math.min(length, DISTINCT))
  let state = (seed * 2654435761 + 12345) | 0
  for (let i = 0; i < drawn.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    drawn[i] = (state / 2 ** 31) * scale
  }
  const rounded = round(drawn)
  if (length <= DISTINCT) return rounded
  const values = new Float32Array(length)
  values.set(rounded)
  for (let done = DISTINCT; done < length; done *= 2) values.copyWithin(done, 0, Math.min(done, length - done))
  return values
}

/** Whole numbers in [0, bound) that depend on the seed alone. */
export function randomIds(length: number, bound: number, seed: number): Int32Array {
  return Int32Array.from(randomValues(length, seed), (value) => Math.floor(((value + 1) / 2) * bound) % bound)
}
