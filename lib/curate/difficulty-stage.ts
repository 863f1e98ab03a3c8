import type { Attempt } from './curate-row.js'
import type { DropReason, StageContext } from './stage.js'
import { textKey } from './text.js'

/** A criterion: how often a model may have solved a problem. */
export interface DifficultyCriterion {
  /** Only attempts of this model; all models when absent. */
  model?: string | undefined
  /** Number of attempts that count, the first ones recorded; all when absent. */
  attempts?: number | undefined
  min: number
  max: number
}

export interface DifficultyOptions {
  criteria: DifficultyCriterion[]
  /** Action for problems with fewer recorded attempts than a criterion asks for. */
  missing: 'keep' | 'drop'
}

/** Attempts that were recorded apart from the rows, by normalised question. */
export type RecordedAttempts = ReadonlyMap<string, Attempt[]>

/**
 * Keeps the problems that were solved between `min` and `max` times out of so many attempts, by every criterion. The paper: not
 * solved in 4 attempts by a small model, then 1 to 3 times in 32 by a strong one.
 */
export async function runDifficulty(
  { rows, out, signal }: StageContext,
  { criteria, missing }: DifficultyOptions,
  recorded: RecordedAttempts,
): Promise<void> {
  const histogram = new Map<string, number>()
  for await (const row of rows()) {
    signal?.throwIfAborted()
    // Attempts in the row, or else those recorded apart. Not both: they may be the same ones.
    const attempts = row.attempts ?? recorded.get(textKey(row.question)) ?? []
    const counts = criteria.map((criterion) => countSolved(attempts, criterion))
    for (const { solved, attempts } of counts) {
      const key = `${solved} of ${attempts}`
      histogram.set(key, (histogram.get(key) ?? 0) + 1)
    }
    const reason = reasonToDrop({ criteria, missing }, counts)
    if (reason !== undefined) out.drop(row, reason)
    else out.keep(row, { solved: counts.map((solved, index) => ({ ...modelOf(criteria[index]!), ...solved })) })
  }
  const mostFirst = [...histogram].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  out.summary.facts = { solved: Object.fromEntries(mostFirst.slice(0, MOST_COUNTS)) }
}

/** Histogram of how often problems were solved, for the report. */
const MOST_COUNTS = 200

interface Solved {
  solved: number
  attempts: number
}

const modelOf = ({ model }: DifficultyCriterion) => (model === undefined ? {} : { model })

function reasonToDrop({ criteria, missing }: DifficultyOptions, counts: readonly Solved[]): DropReason | undefined {
  for (const [index, { model, attempts: wanted = 1, min, max }] of criteria.entries()) {
    const { solved, attempts } = counts[index]!
    const by = model === undefined ? '' : ` by ${model}`
    if (attempts < wanted) {
      if (missing === 'keep') continue
      return { code: 'no attempts', message: `expected ${wanted} recorded attempts${by} but there are ${attempts}`, attempts }
    }
    const times = `solved${by} ${solved} of ${attempts} times`
    if (solved < min) return { code: 'too hard', message: `too hard: ${times}, less than ${min}`, solved, attempts }
    if (solved > max) return { code: 'too easy', message: `too easy: ${times}, more than ${max}`, solved, attempts }
  }
  return undefined
}

function countSolved(all: readonly Attempt[], { model, attempts: most = Infinity }: DifficultyCriterion): Solved {
  const own = all.filter((attempt) => model === undefined || attempt.model === model).slice(0, most)
  return { solved: own.filter(({ correct }) => correct).length, attempts: own.length }
}
