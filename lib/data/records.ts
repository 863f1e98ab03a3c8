import { isJsonObject, type JsonObject } from '../config/json-object.js'
import { type ColumnMapping, parseConversation, type Turn } from './conversation.js'
import { unpaddedRange } from './padding.js'
import { type Column, columnOf } from './row-columns.js'
import { rowWeight, withoutLossMask } from './row-weight.js'
import type { JsonRow, RowPlace } from './rows/row.js'
import { describe, invalidRecord, parseList, type Row } from './rows/row-fields.js'

export type { ColumnMapping, Role, Turn } from './conversation.js'

/** A conversation that ends with an assistant turn. */
export interface ChatRecord {
  kind: 'chat'
  /** `chains.jsonl:17` */
  place: string
  turns: Turn[]
  /** Definitions of the tools that the turns may call. */
  tools?: JsonObject[]
  /** Whether the row says itself that nothing of it is to be learnt. */
  isUnlearnt?: true
  /** Columns, and keys of turns as `messages[].name`, that have something in them and that nobody reads. */
  unread?: string[]
}

/** A row that was tokenized elsewhere. */
export interface TokenizedRecord {
  kind: 'tokens'
  place: string
  inputIds: number[]
  /** Aligned with `inputIds` as Hugging Face has them: `labels[t]` is scored at position t − 1; −100 is not scored. */
  labels: number[]
  isUnlearnt?: true
  unread?: string[]
}

export type TrainingRecord = ChatRecord | TokenizedRecord

/**
 * Turns a row into a record. Without `mapping`, a record's own columns say what it is, by any of the names in `columnNames`:
 *
 *     {question, solution, …}            LIMO: question → user, solution → assistant
 *     {question, answer}                 GSM8K: question → user, answer → assistant
 *     {instruction, input, output, …}    alpaca, with system and history
 *     {conversations: [{from, value}]}   ShareGPT
 *     {messages: [{role, content}]}      OpenAI
 *     {input_ids, labels}                already tokenized
 *
 * Throws DATA_INVALID_RECORD and DATA_EMPTY_TURN, which name file and line and have them in `details`.
 */
export function parseRecord({ place, value }: JsonRow, mapping: ColumnMapping | undefined): TrainingRecord {
  if (!isJsonObject(value)) {
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the record.')
  }
  const ids = mapping === undefined ? columnOf(value, 'inputIds') : undefined
  const row = ids === undefined ? value : withoutLossMask(value, place)
  // A mapping says all that is read.
  const { isLearnt, read } = mapping === undefined ? rowWeight(row, place) : { isLearnt: true, read: [] }
  const { unread: others, ...record } = ids === undefined ? parseChat(row, mapping, place) : parseTokenRow(row, ids, place)
  const unread = others.filter((name) => !read.includes(name))
  return { ...record, ...(!isLearnt && { isUnlearnt: true }), ...(unread.length > 0 && { unread }) }
}

/** A record, and the names of what nobody has read of its row. */
type Parsed<T extends TrainingRecord> = Omit<T, 'unread'> & { unread: string[] }

function parseChat(row: Row, mapping: ColumnMapping | undefined, place: RowPlace): Parsed<ChatRecord> {
  const { turns, tools, unread } = parseConversation(row, mapping, place)
  return { kind: 'chat', place: place.text, turns, ...(tools && { tools }), unread }
}

function parseTokenRow(row: Row, ids: Column, place: RowPlace): Parsed<TokenizedRecord> {
  const labels = columnOf(row, 'labels')
  const unread = Object.keys(row).filter((name) => ![ids.name, labels?.name, ...tokenizerColumns].includes(name))
  const { inputIds, labels: all, ...record } = parseTokens(ids, labels, place)
  const { start, end } = unpaddedRange(row, inputIds.length, place)
  return { ...record, inputIds: inputIds.slice(start, end), labels: all.slice(start, end), unread }
}

/** What tokenizers write beside the ids. */
const tokenizerColumns = ['attention_mask', 'token_type_ids', 'position_ids']

function parseTokens(ids: Column, labelColumn: Column | undefined, place: RowPlace): TokenizedRecord {
  const inputIds = integers(ids, place, { allowed: 'a token id', inRange: (id) => id >= 0 })
  const labels = integers(labelColumn ?? { name: 'labels', value: undefined }, place, {
    allowed: 'a token id or -100',
    inRange: (label) => label >= 0 || label === -100,
  })
  if (inputIds.length !== labels.length) {
    throw invalidRecord(
      place,
      `expected as many labels as input_ids but received ${labels.length} labels for ${inputIds.length} input_ids`,
      'Labels are aligned with input_ids, with -100 for tokens that are not scored.',
    )
  }
  return { kind: 'tokens', place: place.text, inputIds, labels }
}

function integers(
  { name, value }: Column,
  place: RowPlace,
  { allowed, inRange }: { allowed: string; inRange: (value: number) => boolean },
): number[] {
  const values = parseList(value)
  if (!Array.isArray(values) || values.length === 0) {
    throw invalidRecord(place, `expected ${name} to be a list of integers but received ${describe(values)}`, 'Mend the record.')
  }
  const bad = values.findIndex((number) => !Number.isInteger(number) || !inRange(number) || number >= 2 ** 31)
  if (bad < 0) return values
  throw invalidRecord(
    place,
    `expected ${name}[${bad}] to be ${allowed} but received ${describe(values[bad])}`,
    'Tokenize the record anew.',
  )
}
