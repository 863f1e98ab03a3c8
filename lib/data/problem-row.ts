import { lastBoxed } from '../answer/boxed.js'
import { isJsonObject, type JsonObject } from '../config/json-object.js'
import {
  type Column,
  columnNames,
  columnOf,
  isFilled,
  isInstruction,
  type RowColumns,
  type RowTurn,
  thoughtOf,
  turnsOf,
} from './row-columns.js'
import type { JsonRow, RowPlace } from './rows/row.js'
import { describe, invalidRecord } from './rows/row-fields.js'
import { inlineText } from './turn.js'
import { textOfParts } from './turn-keys.js'

/** A problem, perhaps with its chain and its answer; further columns of its source are kept. */
export interface ProblemRow {
  question: string
  solution?: string
  answer?: string
  [column: string]: unknown
}

/** Names of a source's columns, where they are not among the known ones. */
export type ProblemColumns = Pick<RowColumns, 'question' | 'solution' | 'answer'>

/**
 * A row with its columns named as LIMO's, from any of the names in `columnNames`. An `answer` that ends in GSM8K's `#### N`, or is prose
 * with a box, is chain and answer in one; alpaca's `input` belongs to its `instruction`; numbers become text; `messages` and `conversations` give their first user
 * turn and their last assistant turn.
 *
 * Throws DATA_INVALID_RECORD where there is no question, or a text is something else.
 */
export function parseProblemRow({ place, value }: JsonRow, columns: ProblemColumns = {}): ProblemRow {
  if (!isJsonObject(value)) {
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the row.')
  }
  const row: ProblemRow = { ...value, question: '' }
  const messages = readMessages(value, place)
  row.question = messages?.question ?? readQuestion(row, value, columns, place)
  const written = messages?.solution ?? textOf(row, value, 'solution', columns, place)
  const answer = textOf(row, value, 'answer', columns, place)
  const solution = written ?? takeThought(row, value, answer)
  const marked = answer === undefined ? undefined : (markedAnswer(answer) ?? boxedAnswer(answer))
  const isChain = marked !== undefined && marked.before.trim() !== ''
  setText(row, 'solution', solution ?? (isChain ? answer : undefined))
  setText(row, 'answer', marked?.answer ?? answer)
  return row
}

/** A column by any of its names, if there is something in it; the column itself goes where it has another name than LIMO's. */
function take(row: ProblemRow, value: JsonObject, role: keyof ProblemColumns, columns: ProblemColumns): Column | undefined {
  const column = columnOf(value, role, columns)
  if (column === undefined || (columns[role] === undefined && !isFilled(column.value))) return undefined
  if (column.name !== role && columns[role] === undefined) delete row[column.name]
  return column
}

function readQuestion(row: ProblemRow, value: JsonObject, columns: ProblemColumns, place: RowPlace): string {
  const column = take(row, value, 'question', columns)
  const question = asText(column?.value)
  if (question === undefined || question.trim() === '') {
    const names = columnNames.question.join(', ')
    const problem = `expected a question (${names} or messages) but received {${Object.keys(value).join(', ')}}`
    throw invalidRecord(place, problem, 'Name its column with columns in the config, or remove the row.')
  }
  const query = columns.question === undefined && isInstruction(column) ? columnOf(value, 'query') : undefined
  if (typeof query?.value !== 'string') return question
  delete row[query.name]
  return [question, query.value].filter((text) => text !== '').join('\n')
}

function textOf(
  row: ProblemRow,
  value: JsonObject,
  role: 'solution' | 'answer',
  columns: ProblemColumns,
  place: RowPlace,
): string | undefined {
  const taken = take(row, value, role, columns)?.value
  const text = asText(taken)
  if (text !== undefined || taken == null) return text
  throw invalidRecord(
    place,
    `expected the ${role} to be text or a number but received ${describe(taken)}`,
    'Mend or remove the row.',
  )
}

/** The whole response, as training writes it, where what was thought has a column of its own and nothing but the answer is beside it. */
function takeThought(row: ProblemRow, value: JsonObject, answer: string | undefined): string | undefined {
  const thought = thoughtOf(value)
  if (thought === undefined) return undefined
  delete row[thought.name]
  return answer === undefined ? thought.text : inlineText({ reasoning: thought.text, content: answer })
}

/**
 * GSM8K's answer, after `####` in the last line, and what stands before it; undefined where there is none. A heading of Markdown's,
 * which has text below it, is none.
 */
export function markedAnswer(text: string): { before: string; answer: string } | undefined {
  const whole = text.trimEnd()
  const at = whole.lastIndexOf('####')
  const answer = whole.slice(at + 4).trim()
  return at < 0 || answer === '' || answer.includes('\n') ? undefined : { before: whole.slice(0, at), answer }
}

/** The answer in the last box of a chain that stands in the answer's column. */
function boxedAnswer(text: string): { before: string; answer: string } | undefined {
  const box = lastBoxed(text)
  const before = box && text.slice(0, box.start)
  return before === undefined || !/[a-zA-Z]{2}/.test(before) ? undefined : { before, answer: box!.content.trim() }
}

function setText(row: ProblemRow, column: 'solution' | 'answer', text: string | undefined): void {
  if (text === undefined || text.trim() === '') delete row[column]
  else row[column] = text
}

/** Whole numbers beyond 2⁵³ are read as text already, with all of their digits. */
function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (Array.isArray(value) && value.length === 1) return asText(value[0])
  return undefined
}

function readMessages(value: JsonObject, place: RowPlace): { question: string; solution?: string } | undefined {
  const column = columnOf(value, 'messages')
  const turns = column === undefined ? undefined : turnsOf(column)
  if (turns === undefined) return undefined
  const textOfTurn = (turn: RowTurn | undefined) => {
    if (turn === undefined) return undefined
    const { name, value: content } = turn.content
    const isInParts = Array.isArray(content) && content.some(isJsonObject)
    return isInParts ? textOfParts(content, `${turn.where}.${name}`, place).content : (asText(content) ?? '')
  }
  const question = textOfTurn(turns.find(({ role }) => role === 'user'))
  const solution = textOfTurn(turns.findLast(({ role }) => role === 'assistant'))
  if (question === undefined || question.trim() === '') {
    throw invalidRecord(place, 'expected a user turn with text but received none', 'Mend or remove the row.')
  }
  return { question, ...(solution !== undefined && { solution }) }
}
