import { isJsonObject } from '../config/json-object.js'
import type { Reading } from './reading.js'
import { type Column, type RowTurn, type TurnTags, turnsOf } from './row-columns.js'
import { describe, hasContent, invalidRecord, parseList } from './rows/row-fields.js'
import type { Turn } from './turn.js'
import { callsOfText, knownTurnKeys, namesOf, reasoningOf, scoredOf, textOfParts, toolCallsOf } from './turn-keys.js'

/** The turns in a column of messages. Throws DATA_INVALID_RECORD. */
export function parseMessages(column: Column, tags: TurnTags | undefined, reading: Reading): Turn[] {
  reading.take(column)
  const turns = turnsOf(column, tags)
  if (turns !== undefined) return turns.map((turn) => parseTurn(turn, column.name, reading))
  const problem = `expected ${column.name} to be a list of turns but received ${describe(parseList(column.value))}`
  throw invalidRecord(reading.place, problem, 'Mend the record.')
}

function parseTurn({ where, message, role, tag, content, isCall, roles }: RowTurn, column: string, reading: Reading): Turn {
  const { place } = reading
  if (!isJsonObject(message)) {
    throw invalidRecord(place, `expected ${where} to be an object but received ${describe(message)}`, 'Mend the record.')
  }
  if (role === undefined) {
    throw invalidRecord(
      place,
      `expected ${where}.${tag.name} to be one of ${roles.join(', ')} but received ${describe(tag.value)}`,
      'Rename the role, or map it with tags in a dataset_info.json.',
    )
  }
  for (const key of Object.keys(message)) {
    const isRead = key === tag.name || key === content.name || knownTurnKeys.includes(key)
    if (!isRead && hasContent(message[key])) reading.unreadKeys.add(`${column}[].${key}`)
  }
  const whole = { fields: message, where, place }
  const [reasoning, toolCalls, scored] = [reasoningOf(whole), toolCallsOf(whole), scoredOf(whole, role)]
  const given = toolCalls !== undefined && content.value == null ? '' : content.value
  const parts = Array.isArray(given)
    ? textOfParts(given, `${where}.${content.name}`, place)
    : { content: given, reasoning: undefined }
  if (typeof parts.content !== 'string') {
    throw invalidRecord(
      place,
      `expected ${where}.${content.name} to be a string but received ${describe(content.value)}`,
      'Mend or remove the record.',
    )
  }
  const called = isCall && toolCalls === undefined ? callsOfText(parts.content, `${where}.${content.name}`, place) : undefined
  const thought = reasoning ?? parts.reasoning
  const calls = toolCalls ?? called?.toolCalls
  return {
    role,
    content: called?.content ?? parts.content,
    ...(thought !== undefined && { reasoning: thought }),
    ...(calls !== undefined && { toolCalls: calls }),
    ...namesOf(whole),
    ...(scored !== undefined && { scored }),
  }
}
