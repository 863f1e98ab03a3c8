import { readBenchmarks } from '../eval/benchmark.js'
import { evaluate } from '../eval/evaluate.js'
import type { EvalResult } from '../eval/result.js'
import { TextGenerator } from '../generate/generator.js'

/** The longest chain with slips takes about 300 tokens, in a folder of an earlier release, whose tokens are bytes, 400. */
const MAX_NEW_TOKENS = 450

/** How many of the held out problems a model solves, and one that it does. */
export interface QuickstartScore {
  problems: number
  solved: number
  example: EvalResult | undefined
}

/**
 * Greedy answers to the problems of a file, or to the first `limit` of them, all in flight together. Throws what generating does; an
 * AbortError for `signal`.
 */
export async function scoreQuickstart(
  model: string,
  problemsPath: string,
  { limit, ...options }: { device: string; threads: number; limit?: number; signal?: AbortSignal },
): Promise<QuickstartScore> {
  const benchmarks = await readBenchmarks([problemsPath], { limit })
  const generator = await TextGenerator.load(model, { ...options, maxSequences: 100, maxLength: 1024 })
  const score: QuickstartScore = { problems: 0, solved: 0, example: undefined }
  try {
    const protocol = { system: '', samples: 1, sampling: { temperature: 0, maxNewTokens: MAX_NEW_TOKENS } }
    for await (const event of evaluate({ model, generator, benchmarks, protocol, signal: options.signal })) {
      if (event.type !== 'answer') continue
      score.problems += 1
      if (!event.result.correct) continue
      score.solved += 1
      score.example = moreTelling(score.example, event.result)
    }
  } finally {
    await generator.close()
  }
  return score
}

/** A problem in which the model found a slip of its own tells most, then the first one of the file. */
function moreTelling(known: EvalResult | undefined, next: EvalResult): EvalResult {
  if (known === undefined) return next
  const mended = (result: EvalResult) => result.completion.includes(', no)')
  if (mended(known) !== mended(next)) return mended(known) ? known : next
  return known.index <= next.index ? known : next
}
