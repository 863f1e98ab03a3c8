import { lastBoxed } from '../answer/boxed.js'
import { markedAnswer } from '../data/problem-row.js'
import { compareAnswers } from '../grader/compare-answers.js'
import type { CurateRow } from './curate-row.js'
import { type QualityOptions, QualityScorer } from './quality-score.js'
import type { StageContext, StageOutput } from './stage.js'

export interface QualityStageOptions extends QualityOptions {
  /** Whether the chain's answer must equal the row's. */
  checkAnswer: boolean
  /** Action for chains without `\boxed{}`, where the row has an answer. */
  missingAnswer: 'keep' | 'drop'
  /** Action for chains whose answer the grader cannot compare with the row's: it may be the same in other words. */
  undecided: 'keep' | 'drop'
  /** Chains with a lower score are dropped. */
  minScore: number
}

/**
 * Scores chains, and drops those whose last `\boxed{}` disagrees with the row's answer. A row with attempts that have solutions
 * becomes one row for each correct one.
 */
export async function runQuality({ rows, out, signal }: StageContext, options: QualityStageOptions): Promise<void> {
  const scorer = new QualityScorer(options)
  for await (const row of rows()) {
    signal?.throwIfAborted()
    for (const chain of chainsOf(row, out)) {
      const reason = wrongAnswer(chain, options)
      if (reason !== undefined) {
        out.drop(chain, reason)
        continue
      }
      const quality = scorer.score(chain.solution!)
      if (quality.score < options.minScore) {
        const scored = { ...chain, curation: { ...chain.curation, quality: { ...quality } } }
        out.drop(scored, { code: 'low score', message: `score ${quality.score}, below ${options.minScore}` })
        continue
      }
      out.keep(chain, { ...quality })
    }
  }
  const { weights, scales, words } = options
  out.summary.facts = { weights, scales, words }
}

/** The row itself where it has a chain; else its correct attempts, each as a row. Rows with neither are dropped. */
function chainsOf(row: CurateRow, out: StageOutput): CurateRow[] {
  const { attempts, ...rest } = row
  if (row.solution !== undefined) return [rest]
  const chains = (attempts ?? []).flatMap(({ correct, model, solution }, index) =>
    correct && solution !== undefined
      ? [
          {
            ...rest,
            solution,
            ...(model !== undefined && { model }),
            curation: { ...row.curation, place: `${row.curation.place} attempt ${index + 1}` },
          },
        ]
      : [],
  )
  if (chains.length === 0) {
    const message = attempts === undefined ? 'it has no solution' : 'none of its attempts is correct and has a solution'
    out.drop(row, { code: 'no chain', message })
  }
  return chains
}

function wrongAnswer({ solution, answer }: CurateRow, { checkAnswer, missingAnswer, undecided }: QualityStageOptions) {
  if (!checkAnswer || answer === undefined) return undefined
  const found = lastBoxed(solution!)?.content ?? markedAnswer(solution!)?.answer
  if (found === undefined) {
    if (missingAnswer === 'keep') return undefined
    const message = `expected the answer (${answer.slice(0, 60)}) in \\boxed{} but the chain has none`
    return { code: 'no answer', message, answer }
  }
  const { verdict } = compareAnswers(found, answer)
  if (verdict === 'same' || (verdict === 'undecided' && undecided === 'keep')) return undefined
  const [given, right] = [found.slice(0, 60), answer.slice(0, 60)]
  if (verdict === 'different')
    return { code: 'wrong answer', message: `it answers ${given} where ${right} is right`, found, answer }
  return { code: 'other answer', message: `it answers ${given}, which may not be ${right}`, found, answer }
}
