import { isJsonObject, type JsonObject } from '../config/json-object.js'
import { parseProblemRow } from '../data/problem-row.js'
import { columnOf, type RowColumns } from '../data/row-columns.js'
import type { JsonRow, RowPlace } from '../data/rows/row.js'
import { parseList } from '../data/rows/row-fields.js'

/** One recorded attempt at a problem. */
export interface Attempt {
  correct: boolean
  model?: string
  solution?: string
}

/** A problem, perhaps with a chain, as the stages hand it on; further columns of its source are kept. */
export interface CurateRow {
  question: string
  solution?: string
  answer?: string
  attempts?: Attempt[]
  /** Its source (`pool.jsonl:17`), and the findings of the stages by their names. */
  curation: Curation
  [column: string]: unknown
}

export interface Curation {
  place: string
  /** Its source in an earlier curation. */
  origin?: string
  quality?: { score: number; length: number; [part: string]: unknown }
  difficulty?: { solved: { solved: number; attempts: number; model?: string }[] }
  [stage: string]: unknown
}

/** Names of a source's columns, where they are not among the known ones. */
export type CurateColumns = Pick<RowColumns, 'question' | 'solution' | 'answer' | 'attempts'>

/** A problem with what earlier stages found out about it. Errors as those of `parseProblemRow`. */
export function parseCurateRow(source: JsonRow, columns: CurateColumns = {}): CurateRow {
  const problem = parseProblemRow(source, columns)
  const row: CurateRow = { ...problem, curation: readCuration(problem.curation, source.place) }
  // Written by an earlier curation, with a reason.
  if (isJsonObject(row.dropped) && typeof row.dropped.stage === 'string') delete row.dropped
  const attempts = parseAttempts(parseList(columnOf(source.value as JsonObject, 'attempts', columns)?.value))
  if (attempts === undefined) delete row.attempts
  else row.attempts = attempts
  return row
}

/** Findings of an earlier curation that are valid: a later stage may use them. */
function readCuration(value: unknown, { text: place }: RowPlace): Curation {
  if (!isJsonObject(value)) return { place }
  const { place: earlier, origin = earlier, quality, difficulty } = value
  const isNumber = (number: unknown) => typeof number === 'number' && Number.isFinite(number) && number >= 0
  const hasQuality = isJsonObject(quality) && isNumber(quality.score) && isNumber(quality.length)
  const isSolved = (entry: unknown) => isJsonObject(entry) && isNumber(entry.solved) && isNumber(entry.attempts)
  const hasDifficulty = isJsonObject(difficulty) && Array.isArray(difficulty.solved) && difficulty.solved.every(isSolved)
  return {
    place,
    ...(typeof origin === 'string' && { origin }),
    ...(hasQuality && { quality: quality as Curation['quality'] & object }),
    ...(hasDifficulty && { difficulty: difficulty as Curation['difficulty'] & object }),
  }
}

/** Attempts are objects with `correct`, or plain verdicts; others are left out. */
export function parseAttempts(value: unknown): Attempt[] | undefined {
  if (!Array.isArray(value)) return undefined
  return value.flatMap((attempt) => {
    if (typeof attempt === 'boolean' || attempt === 0 || attempt === 1) return [{ correct: Boolean(attempt) }]
    if (!isJsonObject(attempt)) return []
    const { correct, model, solution } = attempt
    if (typeof correct !== 'boolean' && correct !== 0 && correct !== 1) return []
    return [
      {
        correct: Boolean(correct),
        ...(typeof model === 'string' && { model }),
        ...(typeof solution === 'string' && solution !== '' && { solution }),
      },
    ]
  })
}
