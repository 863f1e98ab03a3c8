import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import type { Turn } from '../data/conversation.js'
import { DataError } from '../errors.js'

const turn = v.object({ role: v.picklist(['system', 'user', 'assistant', 'tool']), content: v.string() })
const conversation = v.union([v.array(turn), v.object({ messages: v.array(turn) })])

/**
 * A conversation in a JSON file: a list of `{role, content}`, or an object with such a list as `messages`.
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
  const result = v.safeParse(conversation, json)
  const turns = result.success ? (Array.isArray(result.output) ? result.output : result.output.messages) : []
  if (turns.length > 0) return turns
  throw new DataError(
    'DATA_INVALID_RECORD',
    `${path}: expected a list of messages {"role": "user", "content": "…"}, roles system, user, assistant or tool, at least one.`,
    { file: path },
  )
}
