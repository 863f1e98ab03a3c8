import { isJsonObject, type JsonObject } from '../config/json-object.js'
import type { DataError } from '../errors.js'
import { checkTurns, joinCalls } from './check-turns.js'
import { parseMessages } from './message-turns.js'
import { Reading } from './reading.js'
import {
  type Column,
  type ColumnRole,
  columnNames,
  columnOf,
  isFilled,
  isInstruction,
  type Role,
  type TurnTags,
  thoughtOf,
} from './row-columns.js'
import type { RowPlace } from './rows/row.js'
import { describe, hasContent, invalidRecord, parseList, type Row } from './rows/row-fields.js'
import type { Turn } from './turn.js'
import { parseTools } from './turn-keys.js'

export type { Role, Turn } from './turn.js'

/** The roles of the columns that `dataset_info.json` may name, by LLaMA-Factory's keys. */
export const mappedRoles = {
  prompt: 'question',
  query: 'query',
  response: 'solution',
  system: 'system',
  history: 'history',
  messages: 'messages',
  tools: 'tools',
  images: 'images',
  videos: 'videos',
  audios: 'audios',
} as const satisfies Record<string, ColumnRole>

/** Where the text of a record stands, for files that `dataset_info.json` describes. */
export interface ColumnMapping {
  /** Turns in one column, or a question and its solution in two. */
  formatting: 'alpaca' | 'sharegpt'
  columns: { [key in keyof typeof mappedRoles]?: string }
  /** The known names when absent. */
  tags?: TurnTags | undefined
}

/** A conversation as a row has it. */
export interface Conversation {
  turns: Turn[]
  /** Definitions of tools, each `{type: 'function', function}`. */
  tools?: JsonObject[]
  /** Columns, and keys of turns, with something in them that nobody reads. */
  unread: string[]
}

/**
 * The conversation of a row, found by `mapping` or else by the row's own columns. Its turns alternate and end with an assistant
 * turn. Throws DATA_INVALID_RECORD and DATA_EMPTY_TURN.
 */
export function parseConversation(row: Row, mapping: ColumnMapping | undefined, place: RowPlace): Conversation {
  const reading = new Reading(row, place)
  const columnFor = (role: 'tools' | 'images' | 'videos' | 'audios') =>
    mapping === undefined ? columnOf(row, role) : mappedColumn(row, role, mapping)
  for (const role of ['images', 'videos', 'audios'] as const) {
    const column = columnFor(role)
    if (column === undefined || !hasContent(column.value)) continue
    throw invalidRecord(place, `expected text alone but received ${role} in the column ${column.name}`, 'Remove the record.')
  }
  const tools = parseTools(reading.take(columnFor('tools')), place)
  const turns = joinCalls(mapping === undefined ? parseByColumns(reading) : parseMapped(reading, mapping))
  checkTurns(turns, place)
  // The answer beside a solution is what `data check` and evaluation hold the response against.
  if (mapping === undefined) reading.take(columnOf(row, 'answer'))
  return { turns, ...(tools && { tools }), unread: reading.unread() }
}

/** The columns that make a conversation. */
interface ConversationColumns {
  system: Column | undefined
  history: Column | undefined
  question: Column
  query: Column | undefined
  reasoning: Column | undefined
  solution: Column
}

function parseByColumns(reading: Reading): Turn[] {
  const { row, place } = reading
  const messages = columnOf(row, 'messages')
  const question = columnOf(row, 'question')
  const system = reading.take(columnOf(row, 'system'))
  if (messages !== undefined && (isFilled(messages.value) || question === undefined)) {
    return withSystem(system, parseMessages(messages, undefined, reading), place)
  }
  const hasOwnColumns = isInstruction(question)
  const solution = responseOf(row, hasOwnColumns ? 'output' : 'solution')
  if (question === undefined || solution === undefined) throw noColumns(row, place)
  const own = (role: 'history' | 'query') => (hasOwnColumns ? columnOf(row, role) : undefined)
  const thought = thoughtOf(row)
  const reasoning = thought?.text === solution.value ? undefined : thought
  if (isTurns(question.value) || isTurns(solution.value)) {
    return withSystem(system, parsePrompt(question, solution, reading), place)
  }
  return parseColumns({ system, history: own('history'), question, query: own('query'), reasoning, solution }, reading)
}

/** A system turn of the conversation's own wins, as in LLaMA-Factory. */
function withSystem(system: Column | undefined, turns: Turn[], place: RowPlace): Turn[] {
  return turns[0]?.role === 'system' ? turns : [...systemTurn(system, place), ...turns]
}

function isTurns(value: unknown): boolean {
  const list = parseList(value)
  return Array.isArray(list) && list.length > 0 && list.every(isJsonObject)
}

/** TRL's rows: the turns of a prompt, which are not learnt, and those of its completion; either may be a text. */
function parsePrompt(prompt: Column, completion: Column, reading: Reading): Turn[] {
  const turnsIn = (column: Column, role: Role): Turn[] =>
    isTurns(column.value)
      ? parseMessages(column, undefined, reading)
      : [{ role, content: requiredText(reading.take(column)!, reading.place) }]
  const before = turnsIn(prompt, 'user').map((turn): Turn => (turn.role === 'assistant' ? { ...turn, isPrompt: true } : turn))
  return [...before, ...turnsIn(completion, 'assistant')]
}

/**
 * The solution; without one the answer, before which the reasoning was thought; without both the reasoning. An empty column `expected` is an
 * empty response, whatever else there is.
 */
function responseOf(row: Row, expected: 'solution' | 'output'): Column | undefined {
  const solution = columnOf(row, 'solution')
  if (solution !== undefined && (isFilled(solution.value) || solution.name === expected)) return solution
  const answer = columnOf(row, 'answer')
  const thought = isFilled(answer?.value) ? undefined : thoughtOf(row)
  return thought ?? answer ?? solution ?? (expected === 'output' ? { name: expected, value: undefined } : undefined)
}

function noColumns(row: Row, place: RowPlace): DataError {
  return invalidRecord(
    place,
    'expected the columns {question, solution}, {question, answer}, {instruction, output}, {conversations}, {messages} or ' +
      `{input_ids, labels} but received {${Object.keys(row).join(', ')}}`,
    `Rename the columns, or map them in a dataset_info.json. A question may be called ${columnNames.question.join(', ')}; ` +
      `a solution ${columnNames.solution.join(', ')}.`,
  )
}

/** The column that a mapping names for a role, if it names one. */
function mappedColumn(row: Row, key: keyof typeof mappedRoles, { columns }: ColumnMapping): Column | undefined {
  const name = columns[key]
  return name === undefined ? undefined : { name, value: row[name] }
}

function parseMapped(reading: Reading, mapping: ColumnMapping): Turn[] {
  const { row, place } = reading
  const { formatting, columns, tags } = mapping
  const mapped = (key: keyof typeof mappedRoles) => mappedColumn(row, key, mapping)
  if (formatting === 'alpaca') {
    const question = mapped('prompt') ?? { name: 'instruction', value: row.instruction }
    const solution = mapped('response') ?? { name: 'output', value: row.output }
    const [system, history, query] = [reading.take(mapped('system')), mapped('history'), mapped('query')]
    return parseColumns({ system, history, question, query, reasoning: undefined, solution }, reading)
  }
  const name = columns.messages ?? 'conversations'
  const turns = parseMessages({ name, value: row[name] }, tags, reading)
  return withSystem(reading.take(mapped('system')), turns, place)
}

/** `query` is added to the prompt on a line of its own, as LLaMA-Factory does. */
function parseColumns(columns: ConversationColumns, reading: Reading): Turn[] {
  const { place } = reading
  const { system, history, question, query, reasoning, solution } = columns
  for (const column of [history, question, query, reasoning, solution]) reading.take(column)
  const turns = systemTurn(system, place)
  for (const [prompt, response] of history === undefined ? [] : parseHistory(history, place)) {
    turns.push({ role: 'user', content: prompt }, { role: 'assistant', content: response })
  }
  const texts = [requiredText(question, place), optionalText(query, place)]
  turns.push({ role: 'user', content: texts.filter((text) => text !== '').join('\n') })
  const thought = optionalText(reasoning, place)
  turns.push({ role: 'assistant', content: requiredText(solution, place), ...(thought !== '' && { reasoning: thought }) })
  return turns
}

function systemTurn(system: Column | undefined, place: RowPlace): Turn[] {
  const content = optionalText(system, place)
  return content === '' ? [] : [{ role: 'system', content }]
}

function requiredText({ name, value }: Column, place: RowPlace): string {
  if (typeof value === 'string') return value
  throw invalidRecord(place, `expected ${name} to be a string but received ${describe(value)}`, 'Mend or remove the record.')
}

function optionalText(column: Column | undefined, place: RowPlace): string {
  return column?.value == null ? '' : requiredText(column, place)
}

function parseHistory({ name, value }: Column, place: RowPlace): [string, string][] {
  const history = parseList(value ?? [])
  const isPair = (pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string')
  if (Array.isArray(history) && history.every(isPair)) return history
  throw invalidRecord(
    place,
    `expected ${name} to be a list of [prompt, response] pairs but received ${describe(history)}`,
    'Mend or remove the record.',
  )
}
