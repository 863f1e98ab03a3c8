/** Outcome of one problem: how many of its answers are right. */
export interface ProblemScore {
  samples: number
  correct: number
}

/**
 * The probability that at least one of k answers is right, estimated without bias from n of which c are: 1 − C(n−c, k)/C(n, k)
 * (Chen et al., "Evaluating Large Language Models Trained on Code", 2021).
 */
export function passAtK(n: number, c: number, k: number): number {
  if (k > n) throw new RangeError(`expected k of at most n = ${n} but received ${k}`)
  if (n - c < k) return 1
  let none = 1
  for (let i = n - c + 1; i <= n; i++) none *= 1 - k / i
  return 1 - none
}

/** The mean share of right answers and its standard error over problems, which are drawn; their answers are not independent. */
export function accuracyOf(scores: readonly ProblemScore[]): { accuracy: number; standardError: number } {
  const shares = scores.map(({ samples, correct }) => correct / samples)
  const accuracy = mean(shares)
  if (shares.length < 2) return { accuracy, standardError: 0 }
  const variance = shares.reduce((sum, share) => sum + (share - accuracy) ** 2, 0) / (shares.length - 1)
  return { accuracy, standardError: Math.sqrt(variance / shares.length) }
}

/** pass@k of a set for k = 1, 2, 4, … up to the answers of each problem. */
export function passRates(scores: readonly ProblemScore[]): Record<number, number> {
  const most = Math.min(...scores.map(({ samples }) => samples))
  const rates: Record<number, number> = {}
  for (let k = 1; k <= most; k *= 2) rates[k] = mean(scores.map(({ samples, correct }) => passAtK(samples, correct, k)))
  return rates
}

export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
