import { readFile } from 'node:fs/promises'
import { isJsonObject } from '../config/json-object.js'
import { parseMessages } from '../data/message-turns.js'
import { Reading } from '../data/reading.js'
import type { Turn } from '../data/turn.js'
import { DataError } from '../errors.js'

/**
 * A conversation in a JSON file: a list of turns as training reads them, or an object with such a list as `messages`.
 *
 * Throws a DataError DATA_NOT_FOUND, DATA_MALFORMED or DATA_INVALID_RECORD.
 */
export async function readMessages(path: string): Promise<Turn[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new DataError(
      'DATA_NOT_FOUND',
      `cannot read the messages in ${path}: ${(cause as Error).message}`,
      { file: path },
      { cause },
    )
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new DataError('DATA_MALFORMED', `${path}: expected JSON: ${(cause as Error).message}`, { file: path }, { cause })
  }
  const messages = isJsonObject(json) ? json.messages : json
  if (Array.isArray(messages) && messages.length > 0) {
    const reading = new Reading({ messages }, { text: path, details: { file: path, line: 1 } })
    return parseMessages({ name: 'messages', value: messages }, undefined, reading)
  }
  throw new DataError(
    'DATA_INVALID_RECORD',
    `${path}: expected a list of messages {"role": "user", "content": "…"}, roles system, user, assistant or tool, at least one.`,
    { file: path },
  )
}
