import { isJsonObject } from '../config/json-object.js'
import { DataError } from '../errors.js'
import type { RowPlace } from './rows/row.js'
import { describe, hasContent, invalidRecord, optionalText, parseList, type Row, requiredText } from './rows/row-fields.js'

export type Role = 'system' | 'user' | 'assistant' | 'tool'

/** One message of a conversation. */
export interface Turn {
  role: Role
  content: string
}

/** Where the text of a record stands, for files whose columns have other names: LLaMA-Factory's `columns` and `tags`. */
export interface ColumnMapping {
  formatting: 'alpaca' | 'sharegpt'
  columns: Partial<Record<ColumnName, string>>
  tags: TurnTags
}

type ColumnName = 'prompt' | 'query' | 'response' | 'system' | 'history' | 'messages' | UnreadColumn

/** Columns that a row may have as long as nothing is in them. */
const unreadColumns = ['tools', 'images', 'videos', 'audios'] as const
type UnreadColumn = (typeof unreadColumns)[number]

/** The keys of a turn, and what its role is called. */
export interface TurnTags {
  role: string
  content: string
  roles: Readonly<Record<string, Role>>
}

export const shareGptTags: TurnTags = {
  role: 'from',
  content: 'value',
  // user, assistant and tool are what many public ShareGPT files have instead of the original tags
  roles: {
    human: 'user',
    user: 'user',
    gpt: 'assistant',
    assistant: 'assistant',
    system: 'system',
    function_call: 'assistant',
    observation: 'tool',
    tool: 'tool',
  },
}

export const messagesTags: TurnTags = {
  role: 'role',
  content: 'content',
  roles: { system: 'system', developer: 'system', user: 'user', assistant: 'assistant', tool: 'tool' },
}

const alpacaColumns = { prompt: 'instruction', query: 'input', response: 'output', system: 'system', history: 'history' }

/**
 * The turns of a row, found by `mapping` or else by the row's own columns. A conversation alternates and ends with an
 * assistant turn. Throws DATA_INVALID_RECORD and DATA_EMPTY_TURN.
 */
export function parseConversation(row: Row, mapping: ColumnMapping | undefined, place: RowPlace): Turn[] {
  for (const name of unreadColumns) {
    const column = mapping?.columns[name] ?? (mapping === undefined && name === 'tools' ? name : undefined)
    if (column !== undefined && hasContent(row[column])) throw unread(name, column, place)
  }
  const turns = mapping === undefined ? parseByColumns(row, place) : parseMapped(row, mapping, place)
  checkTurns(turns, place)
  return turns
}

function unread(name: UnreadColumn, column: string, place: RowPlace): DataError {
  if (name === 'tools') {
    const problem = `expected no tool definitions but received the column ${column}`
    return invalidRecord(place, problem, 'Write them into the system turn.')
  }
  return invalidRecord(place, `expected text alone but received ${name} in the column ${column}`, 'Remove the record.')
}

function parseByColumns(row: Row, place: RowPlace): Turn[] {
  if ('messages' in row) return parseMessages(row, { column: 'messages', tags: messagesTags }, place)
  if ('conversations' in row) return parseMessages(row, { column: 'conversations', tags: shareGptTags }, place)
  if ('question' in row && 'solution' in row) return parseAlpaca(row, { prompt: 'question', response: 'solution' }, place)
  if ('question' in row && 'answer' in row) return parseAlpaca(row, { prompt: 'question', response: 'answer' }, place)
  if ('instruction' in row) return parseAlpaca(row, alpacaColumns, place)
  throw invalidRecord(
    place,
    'expected the columns {question, solution}, {question, answer}, {instruction, output}, {conversations}, {messages} or ' +
      `{input_ids, labels} but received {${Object.keys(row).join(', ')}}`,
    'Rename the columns, or map them in a dataset_info.json.',
  )
}

function parseMapped(row: Row, { formatting, columns, tags }: ColumnMapping, place: RowPlace): Turn[] {
  if (formatting === 'alpaca') return parseAlpaca(row, columns, place)
  const system = columns.system === undefined ? '' : optionalText(row, columns.system, place)
  const turns = parseMessages(row, { column: columns.messages ?? 'conversations', tags }, place)
  return system === '' ? turns : [{ role: 'system', content: system }, ...turns]
}

/** Question and response in columns; `query` is added to the prompt on a line of its own, as LLaMA-Factory does. */
function parseAlpaca(row: Row, columns: ColumnMapping['columns'], place: RowPlace): Turn[] {
  const turns: Turn[] = []
  const system = columns.system === undefined ? '' : optionalText(row, columns.system, place)
  if (system !== '') turns.push({ role: 'system', content: system })
  for (const [prompt, response] of columns.history === undefined ? [] : parseHistory(row, columns.history, place)) {
    turns.push({ role: 'user', content: prompt }, { role: 'assistant', content: response })
  }
  const prompt = requiredText(row, columns.prompt ?? alpacaColumns.prompt, place)
  const query = columns.query === undefined ? '' : optionalText(row, columns.query, place)
  turns.push({ role: 'user', content: [prompt, query].filter((text) => text !== '').join('\n') })
  turns.push({ role: 'assistant', content: requiredText(row, columns.response ?? alpacaColumns.response, place) })
  return turns
}

function parseHistory(row: Row, column: string, place: RowPlace): [string, string][] {
  const history = parseList(row[column] ?? [])
  const isPair = (pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string')
  if (Array.isArray(history) && history.every(isPair)) return history
  throw invalidRecord(
    place,
    `expected ${column} to be a list of [prompt, response] pairs but received ${describe(history)}`,
    'Mend or remove the record.',
  )
}

function parseMessages(row: Row, { column, tags }: { column: string; tags: TurnTags }, place: RowPlace): Turn[] {
  const messages = parseList(row[column])
  if (!Array.isArray(messages)) {
    throw invalidRecord(place, `expected ${column} to be a list of turns but received ${describe(messages)}`, 'Mend the record.')
  }
  return messages.map((message: unknown, index) => parseMessage(message, `${column}[${index}]`, tags, place))
}

function parseMessage(message: unknown, where: string, tags: TurnTags, place: RowPlace): Turn {
  if (!isJsonObject(message)) {
    throw invalidRecord(place, `expected ${where} to be an object but received ${describe(message)}`, 'Mend the record.')
  }
  for (const key of ['tool_calls', 'function_call', 'reasoning_content']) {
    if (hasContent(message[key])) {
      throw invalidRecord(
        place,
        `expected all text of ${where} in ${tags.content} but received ${key}`,
        'Write it into the text.',
      )
    }
  }
  const role = message[tags.role]
  const known = typeof role === 'string' && Object.hasOwn(tags.roles, role) ? tags.roles[role] : undefined
  if (known === undefined) {
    const expected = Object.keys(tags.roles).join(', ')
    throw invalidRecord(
      place,
      `expected ${where}.${tags.role} to be one of ${expected} but received ${describe(role)}`,
      'Rename the role, or map it with tags in a dataset_info.json.',
    )
  }
  const content = message[tags.content]
  if (typeof content === 'string') return { role: known, content }
  throw invalidRecord(
    place,
    `expected ${where}.${tags.content} to be a string but received ${describe(content)}`,
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
    // A tokenizer would make U+FFFD of it in silence.
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
