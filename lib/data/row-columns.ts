import { isJsonObject } from '../config/json-object.js'
import { parseList, type Row } from './rows/row-fields.js'
import type { Role } from './turn.js'
import { reasoningKeys } from './turn-keys.js'

export type { Role } from './turn.js'

/*
 * The names of columns. Conversations to train on (conversation.ts) and problems to curate and to grade
 * (problem-row.ts) are two views of the same columns; a name is known to both as soon as it is here.
 */

/** The role of a column, and the names that such columns have. */
export const columnNames = {
  question: ['question', 'problem', 'instruction', 'prompt', 'query', 'input'],
  /** The chain. */
  solution: ['solution', 'generation', 'response', 'output', 'completion', 'chain'],
  /** What was thought before the solution, or the answer, that stands beside it; the chain itself where there is neither. */
  reasoning: reasoningKeys,
  answer: ['answer', 'final_answer', 'expected_answer', 'ground_truth', 'target'],
  /** Turns of a conversation. */
  messages: ['messages', 'conversations'],
  system: ['system', 'system_prompt'],
  /** The text that an `instruction` is about, on a line after it: alpaca's, and Dolly's. */
  query: ['input', 'context'],
  /** Earlier [prompt, response] pairs of an `instruction`. */
  history: ['history'],
  inputIds: ['input_ids'],
  labels: ['labels'],
  /** Recorded attempts at the question. */
  attempts: ['attempts'],
  /** A model's response, in files of completions to grade. */
  completion: ['completion', 'response', 'generation', 'generated_text', 'prediction', 'output', 'text'],
  /** Definitions of the tools that the turns may call. */
  tools: ['tools'],
  /** Columns that are not read: a row may have them as long as nothing is in them. */
  images: [],
  videos: [],
  audios: [],
} as const satisfies Record<string, readonly string[]>

export type ColumnRole = keyof typeof columnNames

/** Names of a source's columns, where they are not among the known ones. */
export type RowColumns = { [role in ColumnRole]?: string }

export interface Column {
  name: string
  value: unknown
}

/**
 * The column of a row with a role: the one that `columns` names, or else the first known one with something in it, or else the first
 * known one that is there.
 */
export function columnOf(row: Row, role: ColumnRole, columns: RowColumns = {}): Column | undefined {
  const known: readonly string[] = columnNames[role]
  const name = columns[role] ?? known.find((candidate) => isFilled(row[candidate])) ?? known.find((candidate) => candidate in row)
  return name === undefined ? undefined : { name, value: row[name] }
}

export function isFilled(value: unknown): boolean {
  return value != null && value !== ''
}

/** The column with what was thought. Some data sets say in one of that name whether there is a thought, or how long a one. */
export function thoughtOf(row: Row): (Column & { text: string }) | undefined {
  const column = columnOf(row, 'reasoning')
  const isSetting = /^\s*(on|off|true|false|yes|no|none|low|medium|high)?\s*$/i
  if (typeof column?.value !== 'string' || isSetting.test(column.value)) return undefined
  return { ...column, text: column.value }
}

/** Whether a question has its `query` and `history` in columns of their own. */
export function isInstruction(question: Column | undefined): boolean {
  return question?.name === 'instruction'
}

/** The roles of turns by their names: OpenAI's and ShareGPT's, which files mix. */
export const roleNames: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  function_call: 'assistant',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
}

/** ShareGPT's name of a turn that is tool calls. */
const callName = 'function_call'

/** The keys of a turn, those of OpenAI before those of ShareGPT. */
export const turnKeys = { role: ['role', 'from'], content: ['content', 'value'] } as const

/** The keys of a turn, and what its role is called, where a data set says so. */
export interface TurnTags {
  role: string
  content: string
  roles: Readonly<Record<string, Role>>
  /** The name of turns that are tool calls. */
  call: string
}

/** A turn as its row has it. */
export interface RowTurn {
  /** `messages[3]` */
  where: string
  message: unknown
  /** By what it is called; undefined where that is no role. */
  role: Role | undefined
  /** The keys of role and text, and what they hold. */
  tag: Column
  content: Column
  /** Whether its text is tool calls. */
  isCall: boolean
  /** The names that roles may have. */
  roles: readonly string[]
}

/** The turns in a column, undefined where it holds no list. */
export function turnsOf({ name, value }: Column, tags?: TurnTags): RowTurn[] | undefined {
  const messages = parseList(value)
  if (!Array.isArray(messages)) return undefined
  const roles = tags?.roles ?? roleNames
  return messages.map((message: unknown, index) => {
    const fields = isJsonObject(message) ? message : {}
    const field = (key: 'role' | 'content'): Column => {
      const known = name === 'conversations' ? turnKeys[key].toReversed() : turnKeys[key]
      const found = tags?.[key] ?? known.find((candidate) => fields[candidate] != null) ?? known[0]!
      return { name: found, value: fields[found] }
    }
    const tag = field('role')
    const role = typeof tag.value === 'string' && Object.hasOwn(roles, tag.value) ? roles[tag.value] : undefined
    const isCall = tag.value === (tags?.call ?? callName)
    return { where: `${name}[${index}]`, message, role, tag, content: field('content'), isCall, roles: Object.keys(roles) }
  })
}
