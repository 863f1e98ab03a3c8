import { isJsonObject } from '../config/json-object.js'
import { DataError } from '../errors.js'
import {
  type Column,
  type ColumnRole,
  columnNames,
  columnOf,
  isFilled,
  isInstruction,
  type Role,
  type RowTurn,
  type TurnTags,
  turnsOf,
} from './row-columns.js'
import type { RowPlace } from './rows/row.js'
import { describe, hasContent, invalidRecord, parseList, type Row } from './rows/row-fields.js'

export type { Role } from './row-columns.js'

/** One message of a conversation. */
export interface Turn {
  role: Role
  content: string
}

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

/**
 * The turns of a row, found by `mapping` or else by the row's own columns. A conversation alternates and ends with an
 * assistant turn. Throws DATA_INVALID_RECORD and DATA_EMPTY_TURN.
 */
export function parseConversation(row: Row, mapping: ColumnMapping | undefined, place: RowPlace): Turn[] {
  for (const role of ['tools', 'images', 'videos', 'audios'] as const) {
    const column = mapping === undefined ? columnOf(row, role) : mappedColumn(row, role, mapping)
    if (column !== undefined && hasContent(column.value)) throw unread(role, column.name, place)
  }
  const turns = mapping === undefined ? parseByColumns(row, place) : parseMapped(row, mapping, place)
  checkTurns(turns, place)
  return turns
}

function unread(role: string, column: string, place: RowPlace): DataError {
  if (role === 'tools') {
    const problem = `expected no tool definitions but received the column ${column}`
    return invalidRecord(place, problem, 'Write them into the system turn.')
  }
  return invalidRecord(place, `expected text alone but received ${role} in the column ${column}`, 'Remove the record.')
}

/** The columns that make a conversation. */
interface ConversationColumns {
  system: Column | undefined
  history: Column | undefined
  question: Column
  query: Column | undefined
  solution: Column
}

function parseByColumns(row: Row, place: RowPlace): Turn[] {
  const messages = columnOf(row, 'messages')
  const question = columnOf(row, 'question')
  const system = columnOf(row, 'system')
  if (messages !== undefined && (isFilled(messages.value) || question === undefined)) {
    const turns = parseMessages(messages, undefined, place)
    // A system turn of the conversation's own wins, as in LLaMA-Factory.
    return turns[0]?.role === 'system' ? turns : [...systemTurn(system, place), ...turns]
  }
  const hasOwnColumns = isInstruction(question)
  const solution = responseOf(row, hasOwnColumns ? 'output' : 'solution')
  if (question === undefined || solution === undefined) throw noColumns(row, place)
  if (solution.name === 'completion' && typeof row.label === 'boolean') {
    const problem = 'expected a response to learn from but received a completion with a label, which may be a bad one'
    throw invalidRecord(place, problem, 'Keep the rows with a good completion, and remove the column label.')
  }
  const own = (role: 'history' | 'query') => (hasOwnColumns ? columnOf(row, role) : undefined)
  return parseColumns({ system, history: own('history'), question, query: own('query'), solution }, place)
}

/** The solution or, where there is none, the answer. An empty column `expected` is an empty response, whatever else there is. */
function responseOf(row: Row, expected: 'solution' | 'output'): Column | undefined {
  const solution = columnOf(row, 'solution')
  if (solution !== undefined && (isFilled(solution.value) || solution.name === expected)) return solution
  return columnOf(row, 'answer') ?? solution ?? (expected === 'output' ? { name: expected, value: undefined } : undefined)
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

function parseMapped(row: Row, mapping: ColumnMapping, place: RowPlace): Turn[] {
  const { formatting, columns, tags } = mapping
  const mapped = (key: keyof typeof mappedRoles) => mappedColumn(row, key, mapping)
  if (formatting === 'alpaca') {
    const question = mapped('prompt') ?? { name: 'instruction', value: row.instruction }
    const solution = mapped('response') ?? { name: 'output', value: row.output }
    const [system, history, query] = [mapped('system'), mapped('history'), mapped('query')]
    return parseColumns({ system, history, question, query, solution }, place)
  }
  const name = columns.messages ?? 'conversations'
  return [...systemTurn(mapped('system'), place), ...parseMessages({ name, value: row[name] }, tags, place)]
}

/** `query` is added to the prompt on a line of its own, as LLaMA-Factory does. */
function parseColumns({ system, history, question, query, solution }: ConversationColumns, place: RowPlace): Turn[] {
  const turns = systemTurn(system, place)
  for (const [prompt, response] of history === undefined ? [] : parseHistory(history, place)) {
    turns.push({ role: 'user', content: prompt }, { role: 'assistant', content: response })
  }
  const texts = [requiredText(question, place), optionalText(query, place)]
  turns.push({ role: 'user', content: texts.filter((text) => text !== '').join('\n') })
  turns.push({ role: 'assistant', content: requiredText(solution, place) })
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

function parseMessages(column: Column, tags: TurnTags | undefined, place: RowPlace): Turn[] {
  const turns = turnsOf(column, tags)
  if (turns !== undefined) return turns.map((turn) => parseTurn(turn, place))
  const problem = `expected ${column.name} to be a list of turns but received ${describe(parseList(column.value))}`
  throw invalidRecord(place, problem, 'Mend the record.')
}

function parseTurn({ where, message, role, tag, content, roles }: RowTurn, place: RowPlace): Turn {
  if (!isJsonObject(message)) {
    throw invalidRecord(place, `expected ${where} to be an object but received ${describe(message)}`, 'Mend the record.')
  }
  for (const key of ['tool_calls', 'function_call', 'reasoning_content']) {
    if (hasContent(message[key])) {
      throw invalidRecord(
        place,
        `expected all text of ${where} in ${content.name} but received ${key}`,
        'Write it into the text.',
      )
    }
  }
  if (role === undefined) {
    throw invalidRecord(
      place,
      `expected ${where}.${tag.name} to be one of ${roles.join(', ')} but received ${describe(tag.value)}`,
      'Rename the role, or map it with tags in a dataset_info.json.',
    )
  }
  if (typeof content.value === 'string') return { role, content: content.value }
  throw invalidRecord(
    place,
    `expected ${where}.${content.name} to be a string but received ${describe(content.value)}`,
    'Mend or remove the record.',
  )
}

/** system? then user, assistant, user, assistant, …; tool results stand after an assistant turn and before the next one. */
const rolesAfter: Readonly<Record<Role | 'start', readonly Role[]>> = {
  start: ['system', 'user'],
  system: ['user'],
  user: ['assistant'],
  assistant: ['user', 'tool'],
  tool: ['tool', 'assistant'],
}

function checkTurns(turns: Turn[], place: RowPlace): void {
  let previous: Role | 'start' = 'start'
  for (const [index, { role, content }] of turns.entries()) {
    if (!rolesAfter[previous].includes(role)) {
      const after = previous === 'start' ? 'first' : `after ${previous === 'assistant' ? 'an' : 'a'} ${previous} turn`
      throw invalidRecord(
        place,
        `expected ${rolesAfter[previous].join(' or ')} ${after} but received ${role} as turn ${index + 1}`,
        'Merge or reorder the turns.',
      )
    }
    if (content.trim() === '') {
      throw new DataError(
        'DATA_EMPTY_TURN',
        `${place.text}: expected text in turn ${index + 1} (${role}) but received none. Fill it in or remove the record.`,
        { ...place.details, turn: index + 1, role },
      )
    }
    // A lone surrogate: a tokenizer would silently replace it by U+FFFD.
    if (/\p{Surrogate}/u.test(content)) {
      throw invalidRecord(
        place,
        `expected Unicode text in turn ${index + 1} (${role}) but received half a surrogate pair (\\ud800 to \\udfff)`,
        'Mend the text: a program has cut a character in two.',
      )
    }
    previous = role
  }
  if (previous === 'assistant') return
  throw invalidRecord(
    place,
    `expected an assistant turn at the end, because only those are scored, but received ${previous === 'start' ? 'no turns' : previous}`,
    'Add the response or remove the last turn.',
  )
}
