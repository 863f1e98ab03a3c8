import { isJsonObject, type JsonObject } from '../config/json-object.js'
import type { JsonRow } from '../data/rows/row.js'
import { describe, invalidRecord, parseList } from '../data/rows/row-fields.js'

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
  /** `pool.jsonl:17` */
  source: string
  /** What the stages found out about it, by the stage's name. */
  curation?: JsonObject
  [column: string]: unknown
}

/** Names of a source's columns, where they are not among the known ones. */
export interface CurateColumns {
  question?: string
  solution?: string
  answer?: string
  attempts?: string
}

/** Known names, the first that a row has. */
const known: Record<keyof CurateColumns, readonly string[]> = {
  question: ['question', 'problem', 'prompt', 'instruction', 'query', 'input'],
  solution: ['solution', 'generation', 'reasoning', 'response', 'output', 'completion', 'chain'],
  answer: ['answer', 'final_answer', 'expected_answer', 'ground_truth', 'target'],
  attempts: ['attempts'],
}

/**
 * A row with its columns named as LIMO's. GSM8K's `answer`, which ends in `#### N`, is chain and answer in one; numbers
 * become text (`27.0` is `27`); `messages` and `conversations` give their first user turn and their last assistant turn.
 *
 * Throws DATA_INVALID_RECORD where there is no question.
 */
export function parseCurateRow({ place, value }: JsonRow, columns: CurateColumns = {}): CurateRow {
  if (!isJsonObject(value)) {
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the row.')
  }
  const row: CurateRow = { ...value, question: '', source: typeof value.source === 'string' ? value.source : place.text }
  // What an earlier curation said of it, where it is that.
  if (!isJsonObject(value.curation)) delete row.curation
  delete row.dropped
  const taken = (name: keyof CurateColumns) => {
    const column = columns[name] ?? known[name].find((candidate) => value[candidate] != null && value[candidate] !== '')
    if (column === undefined) return undefined
    if (column !== name && columns[name] === undefined) delete row[column]
    return value[column]
  }
  const messages = parseMessages(value.messages ?? value.conversations)
  const question = messages?.question ?? asText(taken('question'))
  if (question === undefined || question.trim() === '') {
    const problem = `expected a question (${known.question.join(', ')} or messages) but received {${Object.keys(value).join(', ')}}`
    throw invalidRecord(place, problem, 'Name its column with columns in the config, or remove the row.')
  }
  row.question = question
  const solution = messages?.solution ?? asText(taken('solution'))
  const answer = asText(taken('answer'))
  const marked = answer === undefined ? null : /^([\s\S]*?)\n?####\s*(.+?)\s*$/.exec(answer)
  setText(row, 'solution', solution ?? (marked === null || marked[1]!.trim() === '' ? undefined : answer))
  setText(row, 'answer', marked?.[2] ?? answer)
  const attempts = parseAttempts(parseList(taken('attempts')))
  if (attempts === undefined) delete row.attempts
  else row.attempts = attempts
  return row
}

function setText(row: CurateRow, column: 'solution' | 'answer', text: string | undefined): void {
  if (text === undefined || text.trim() === '') delete row[column]
  else row[column] = text
}

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (Array.isArray(value) && value.length === 1) return asText(value[0])
  return undefined
}

function parseMessages(value: unknown): { question: string; solution?: string } | undefined {
  const list = parseList(value)
  if (!Array.isArray(list)) return undefined
  const turns = list.filter(isJsonObject).map((turn) => ({
    role: String(turn.role ?? turn.from),
    content: asText(turn.content ?? turn.value) ?? '',
  }))
  const question = turns.find(({ role }) => role === 'user' || role === 'human')?.content
  const solution = turns.findLast(({ role }) => role === 'assistant' || role === 'gpt')?.content
  return question === undefined ? undefined : { question, ...(solution !== undefined && { solution }) }
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
