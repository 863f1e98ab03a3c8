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
  const { mean: accuracy, standardError } = meanWithError(scores.map(shareOf))
  return { accuracy, standardError }
}

/**
 * How much more of the answers are right in b than in a, the two scores of each problem being paired, and the standard error of that:
 * of differences d, √(Σ(d − d̄)² / (n − 1) / n). It is smaller than that of two accuracies apart where the same problems are hard for
 * both (Miller, "Adding Error Bars to Evals", arXiv:2411.00640, 2024, on paired differences).
 */
export function pairedDifference(pairs: readonly { a: ProblemScore; b: ProblemScore }[]): {
  difference: number
  standardError: number
} {
  const { mean: difference, standardError } = meanWithError(pairs.map(({ a, b }) => shareOf(b) - shareOf(a)))
  return { difference, standardError }
}

/** The share of a problem's answers that are right. */
export function shareOf({ samples, correct }: ProblemScore): number {
  return correct / samples
}

function meanWithError(values: readonly number[]): { mean: number; standardError: number } {
  const middle = mean(values)
  if (values.length < 2) return { mean: middle, standardError: 0 }
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
  return { mean: middle, standardError: Math.sqrt(variance / values.length) }
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
