import type { Benchmark } from './benchmark.js'
import type { Protocol } from './protocol.js'
import { type PublishedAccuracy, publishedAccuracy } from './published-accuracy.js'
import type { EvalResult } from './result.js'
import { accuracyOf, mean, type ProblemScore, passRates } from './scores.js'

/** Scores of a model on a benchmark. */
export interface BenchmarkSummary {
  benchmark: string
  problems: number
  /** Answers to each problem. */
  samples: number
  temperature: number
  /** The mean share of right answers, which is pass@1. */
  accuracy: number
  standardError: number
  /** pass@k by k. */
  passAtK: Record<number, number>
  meanTokens: number
  /** The share of answers that came to the limit of tokens. */
  cutOff: number
  /** The share of answers in which no answer was found. */
  unanswered: number
  /** LIMO's published accuracies on a benchmark of that name, by the version of the paper. */
  published?: PublishedAccuracy
}

export function summarize(benchmark: Benchmark, protocol: Protocol, results: readonly EvalResult[]): BenchmarkSummary {
  const scores = [...scoresOf(results).values()]
  const published = publishedAccuracy(benchmark.name)
  const share = (holds: (result: EvalResult) => boolean) => results.filter(holds).length / Math.max(1, results.length)
  return {
    benchmark: benchmark.name,
    problems: benchmark.problems.length,
    samples: protocol.samples,
    temperature: protocol.sampling.temperature,
    ...accuracyOf(scores),
    passAtK: passRates(scores),
    meanTokens: mean(results.map(({ completionTokens }) => completionTokens)),
    cutOff: share(({ finishReason }) => finishReason === 'length'),
    unanswered: share(({ extracted }) => extracted === null),
    ...(published !== undefined && { published }),
  }
}

/** The score of each problem by its number. */
export function scoresOf(results: readonly EvalResult[]): Map<number, ProblemScore> {
  const scores = new Map<number, ProblemScore>()
  for (const { index, correct } of results) {
    const score = scores.get(index) ?? { samples: 0, correct: 0 }
    scores.set(index, { samples: score.samples + 1, correct: score.correct + (correct ? 1 : 0) })
  }
  return scores
}
