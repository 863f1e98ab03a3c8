import { DataError } from '../errors.js'
import type { RowPlace } from './rows/row.js'
import { invalidRecord } from './rows/row-fields.js'
import { type Role, type Turn, textsOfTurn } from './turn.js'

/** An assistant turn that only calls tools belongs to the assistant turn before it, as ShareGPT's function_call to a gpt turn. */
export function joinCalls(turns: readonly Turn[]): Turn[] {
  const joined: Turn[] = []
  for (const turn of turns) {
    const previous = joined.at(-1)
    const onlyCalls = turn.toolCalls !== undefined && turn.content.trim() === '' && turn.reasoning === undefined
    if (onlyCalls && previous?.role === 'assistant' && previous.scored === turn.scored) {
      joined[joined.length - 1] = { ...previous, toolCalls: [...(previous.toolCalls ?? []), ...turn.toolCalls!] }
    } else joined.push(turn)
  }
  return joined
}

/** system? then user, assistant, user, assistant, …; tool results stand after an assistant turn and before the next one. */
const rolesAfter: Readonly<Record<Role | 'start', readonly Role[]>> = {
  start: ['system', 'user'],
  system: ['user'],
  user: ['assistant'],
  assistant: ['user', 'tool'],
  tool: ['tool', 'assistant'],
}

/** Throws DATA_INVALID_RECORD and DATA_EMPTY_TURN for turns that make no conversation that ends with an assistant turn. */
export function checkTurns(turns: Turn[], place: RowPlace): void {
  let previous: Role | 'start' = 'start'
  for (const [index, turn] of turns.entries()) {
    const { role, content, toolCalls, reasoning } = turn
    if (!rolesAfter[previous].includes(role)) {
      const after = previous === 'start' ? 'first' : `after ${previous === 'assistant' ? 'an' : 'a'} ${previous} turn`
      throw invalidRecord(
        place,
        `expected ${rolesAfter[previous].join(' or ')} ${after} but received ${role} as turn ${index + 1}`,
        'Merge or reorder the turns.',
      )
    }
    if (role !== 'assistant' && (toolCalls ?? reasoning) !== undefined) {
      const what = toolCalls === undefined ? 'reasoning' : 'tool calls'
      throw invalidRecord(
        place,
        `expected ${what} of the assistant but received them in turn ${index + 1} (${role})`,
        'Mend the record.',
      )
    }
    if (content.trim() === '' && toolCalls === undefined) {
      throw new DataError(
        'DATA_EMPTY_TURN',
        `${place.text}: expected text in turn ${index + 1} (${role}) but received none. Fill it in or remove the record.`,
        { ...place.details, turn: index + 1, role },
      )
    }
    // A lone surrogate: a tokenizer would silently replace it by U+FFFD.
    if (textsOfTurn(turn).some((text) => /\p{Surrogate}/u.test(text))) {
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
