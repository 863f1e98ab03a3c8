import { isJsonObject, type JsonObject } from '../config/json-object.js'
import type { JsonRow, RowPlace } from './rows/row.js'
import { describe, invalidRecord, parseList } from './rows/row-fields.js'

/** A problem, perhaps with its chain and its answer; further columns of its source are kept. */
export interface ProblemRow {
  question: string
  solution?: string
  answer?: string
  [column: string]: unknown
}

/** Names of a source's columns, where they are not among the known ones. */
export interface ProblemColumns {
  question?: string
  solution?: string
  answer?: string
}

/** Known names, the first that a row has. */
const known: Record<keyof ProblemColumns, readonly string[]> = {
  question: ['question', 'problem', 'prompt', 'instruction', 'query', 'input'],
  solution: ['solution', 'generation', 'reasoning', 'response', 'output', 'completion', 'chain'],
  answer: ['answer', 'final_answer', 'expected_answer', 'ground_truth', 'target'],
}

/**
 * A row with its columns named as LIMO's. GSM8K's `answer`, which ends in `#### N`, is chain and answer in one; alpaca's `input`
 * belongs to its `instruction`; numbers become text; `messages` and `conversations` give their first user turn and their last
 * assistant turn.
 *
 * Throws DATA_INVALID_RECORD where there is no question, or a text is something else.
 */
export function parseProblemRow({ place, value }: JsonRow, columns: ProblemColumns = {}): ProblemRow {
  if (!isJsonObject(value)) {
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the row.')
  }
  const row: ProblemRow = { ...value, question: '' }
  const messages = parseMessages(value.messages ?? value.conversations, place)
  row.question = messages?.question ?? readQuestion(row, value, columns, place)
  const solution = messages?.solution ?? textOf(row, value, 'solution', columns, place)
  const answer = textOf(row, value, 'answer', columns, place)
  const marked = answer === undefined ? undefined : markedAnswer(answer)
  const isChain = marked !== undefined && marked.before.trim() !== ''
  setText(row, 'solution', solution ?? (isChain ? answer : undefined))
  setText(row, 'answer', marked?.answer ?? answer)
  return row
}

/** The value of a column by any of its names; the column itself goes where it has another name than LIMO's. */
function take(row: ProblemRow, value: JsonObject, name: keyof ProblemColumns, columns: ProblemColumns): unknown {
  const column = columns[name] ?? known[name].find((candidate) => value[candidate] != null && value[candidate] !== '')
  if (column === undefined) return undefined
  if (column !== name && columns[name] === undefined) delete row[column]
  return value[column]
}

function readQuestion(row: ProblemRow, value: JsonObject, columns: ProblemColumns, place: RowPlace): string {
  const question = asText(take(row, value, 'question', columns))
  if (question === undefined || question.trim() === '') {
    const problem = `expected a question (${known.question.join(', ')} or messages) but received {${Object.keys(value).join(', ')}}`
    throw invalidRecord(place, problem, 'Name its column with columns in the config, or remove the row.')
  }
  const isAlpaca = columns.question === undefined && value.instruction === question && typeof value.input === 'string'
  if (!isAlpaca) return question
  delete row.input
  return [question, value.input].filter((text) => text !== '').join('\n')
}

function textOf(
  row: ProblemRow,
  value: JsonObject,
  name: 'solution' | 'answer',
  columns: ProblemColumns,
  place: RowPlace,
): string | undefined {
  const taken = take(row, value, name, columns)
  const text = asText(taken)
  if (text !== undefined || taken == null) return text
  throw invalidRecord(
    place,
    `expected the ${name} to be text or a number but received ${describe(taken)}`,
    'Mend or remove the row.',
  )
}

/** The answer after the last `####`, to the end of its line, and what stands before it; undefined where there is none. */
export function markedAnswer(text: string): { before: string; answer: string } | undefined {
  const at = text.lastIndexOf('####')
  if (at < 0) return undefined
  const answer = text
    .slice(at + 4)
    .trim()
    .split('\n', 1)[0]!
    .trim()
  return answer === '' ? undefined : { before: text.slice(0, at), answer }
}

function setText(row: ProblemRow, column: 'solution' | 'answer', text: string | undefined): void {
  if (text === undefined || text.trim() === '') delete row[column]
  else row[column] = text
}

/** Whole numbers beyond 2⁵³ have lost digits before they came here. */
function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return String(value)
  if (Array.isArray(value) && value.length === 1) return asText(value[0])
  return undefined
}

function parseMessages(value: unknown, place: RowPlace): { question: string; solution?: string } | undefined {
  const list = parseList(value)
  if (!Array.isArray(list)) return undefined
  const turns = list.filter(isJsonObject).map((turn) => ({
    role: String(turn.role ?? turn.from),
    content: asText(turn.content ?? turn.value) ?? '',
  }))
  const question = turns.find(({ role }) => role === 'user' || role === 'human')?.content
  const solution = turns.findLast(({ role }) => role === 'assistant' || role === 'gpt')?.content
  if (question === undefined || question.trim() === '') {
    throw invalidRecord(place, 'expected a user turn with text but received none', 'Mend or remove the row.')
  }
  return { question, ...(solution !== undefined && { solution }) }
}
