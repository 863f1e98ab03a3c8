import { isJsonObject, type JsonObject } from '../config/json-object.js'
import type { RowPlace } from './rows/row.js'
import { describe, hasContent, hasUnwritable, invalidRecord } from './rows/row-fields.js'
import type { Role, ToolCall, Turn } from './turn.js'

/*
 * The keys of a turn beside its role and its text: what the model thought, which tools it calls, whether it is learnt. A key that is in
 * none of these lists is not read, which is said once for each file (file-notes.ts).
 */

/** Keys, and columns of a row, with what a model thought before it answered. */
export const reasoningKeys = ['reasoning_content', 'reasoning', 'thinking'] as const

const callKeys = ['tool_calls', 'function_call'] as const

/** Keys that say whether a turn is learnt: OpenAI's `weight`, then those of trainers. */
const scoredKeys = ['weight', 'train', 'training', 'trainable', 'loss', 'loss_mask'] as const

/** Keys that templates of tools may write. */
const nameKeys = ['name', 'tool_call_id'] as const

export const knownTurnKeys: readonly string[] = [...reasoningKeys, ...callKeys, ...scoredKeys, ...nameKeys]

/** A turn's message, and how messages name it. */
export interface Message {
  fields: JsonObject
  /** `messages[3]` */
  where: string
  place: RowPlace
}

/** The reasoning of a turn, undefined where there is none. Throws DATA_INVALID_RECORD. */
export function reasoningOf({ fields, where, place }: Message): string | undefined {
  const found = reasoningKeys.filter((key) => hasContent(fields[key]))
  const texts = found.map((key) => {
    const value = fields[key]
    if (typeof value === 'string') return value
    throw invalidRecord(
      place,
      `expected ${where}.${key} to be a string but received ${describe(value)}`,
      'Mend or remove the record.',
    )
  })
  // Servers write the same text under an old and a new name.
  if (texts.some((text) => text !== texts[0])) {
    throw invalidRecord(place, `expected one reasoning in ${where} but received ${found.join(' and ')}`, 'Remove one of them.')
  }
  return texts[0]
}

/** The name of a turn, and of the call that it answers. Throws DATA_INVALID_RECORD. */
export function namesOf({ fields, where, place }: Message): Pick<Turn, 'name' | 'toolCallId'> {
  for (const key of nameKeys) {
    if (!hasContent(fields[key]) || typeof fields[key] === 'string') continue
    const problem = `expected ${where}.${key} to be a string but received ${describe(fields[key])}`
    throw invalidRecord(place, problem, 'Mend or remove the record.')
  }
  const { name, tool_call_id: toolCallId } = fields
  return {
    ...(hasContent(name) && { name: name as string }),
    ...(hasContent(toolCallId) && { toolCallId: toolCallId as string }),
  }
}

/** The tool calls of a turn, undefined where there are none. Throws DATA_INVALID_RECORD. */
export function toolCallsOf({ fields, where, place }: Message): ToolCall[] | undefined {
  const found = callKeys.find((key) => hasContent(fields[key]))
  if (found === undefined) return undefined
  const value = fields[found]
  return callsIn(typeof value === 'string' ? parsed(value) : value, { what: `${where}.${found}`, place })
}

/** ShareGPT's function_call turn: a call, or a list of calls, as JSON text; LLaMA-Factory lets a thought stand before it. */
export function callsOfText(text: string, what: string, place: RowPlace): { content: string; toolCalls: ToolCall[] } {
  const [, content, json] = /^(\s*<think>.*?<\/think>)?(.*)$/s.exec(text)!
  return { content: content?.trim() ?? '', toolCalls: callsIn(parsed(json!), { what, place }) }
}

function callsIn(value: unknown, { what, place }: { what: string; place: RowPlace }): ToolCall[] {
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((entry) => {
    const call = isJsonObject(entry) && isJsonObject(entry.function) ? entry.function : entry
    const { name, arguments: given } = isJsonObject(call) ? call : {}
    const id = isJsonObject(entry) && typeof entry.id === 'string' && entry.id !== '' ? { id: entry.id } : {}
    const args = argumentsOf(given)
    if (hasUnwritable(args)) {
      const problem = `expected ${what} to have arguments that JSON can write but received NaN or Infinity`
      throw invalidRecord(place, problem, 'Mend or remove the record.')
    }
    checkKeyOrder(args, what, place)
    if (typeof name === 'string' && name !== '' && isJsonObject(args)) return { ...id, name, arguments: args }
    const remedy = 'Mend the call, or write it as text into an assistant turn.'
    throw invalidRecord(place, `expected ${what} to be {name, arguments} with an object but received ${describe(entry)}`, remedy)
  })
}

/** The arguments of a call, as an object or as its JSON; servers write an empty text where there are none. */
function argumentsOf(given: unknown): unknown {
  if (typeof given !== 'string') return given ?? {}
  return given.trim() === '' ? {} : (parsed(given) ?? {})
}

/** Definitions of tools, each as OpenAI has them, or as bare as LLaMA-Factory's. Throws DATA_INVALID_RECORD. */
export function parseTools(column: { name: string; value: unknown } | undefined, place: RowPlace): JsonObject[] | undefined {
  if (column === undefined || !hasContent(column.value)) return undefined
  const { name, value } = column
  const list = typeof value === 'string' ? parsed(value) : value
  if (Array.isArray(list) && list.length === 0) return undefined
  const tools = (Array.isArray(list) ? list : []).map((tool: unknown) => {
    const definition = isJsonObject(tool) && isJsonObject(tool.function) ? tool.function : tool
    return isJsonObject(definition) && typeof definition.name === 'string'
      ? { type: 'function', function: definition }
      : undefined
  })
  checkKeyOrder(tools, name, place)
  if (tools.length > 0 && !tools.includes(undefined) && !hasUnwritable(tools)) return withoutNullProperties(tools) as JsonObject[]
  const remedy = 'Mend it, or write the tools into the system turn.'
  throw invalidRecord(
    place,
    `expected ${name} to be a list of {name, description, parameters} but received ${describe(list)}`,
    remedy,
  )
}

/** Throws DATA_INVALID_RECORD for keys that JavaScript has in another order than their file: numbers before all others. */
function checkKeyOrder(value: unknown, what: string, place: RowPlace): void {
  if (typeof value !== 'object' || value === null) return
  const keys = Object.keys(value)
  const numbers = Array.isArray(value) ? [] : keys.filter((key) => /^(0|[1-9]\d{0,9})$/.test(key))
  if (numbers.length > 0 && numbers.length < keys.length) {
    const problem = `expected ${what} to have keys that are names, or all of them numbers, but received ${describe(value)}`
    throw invalidRecord(place, problem, 'Keys that are numbers lose their place among others here: rename them.')
  }
  for (const inner of Object.values(value)) checkKeyOrder(inner, what, place)
}

/** Definitions without properties that are null: Arrow gives each tool the parameters of all tools, and null for those it does not have. */
function withoutNullProperties(value: unknown, key?: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNullProperties(item))
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).filter(([, inner]) => key !== 'properties' || inner !== null)
  return Object.fromEntries(entries.map(([name, inner]) => [name, withoutNullProperties(inner, name)]))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Whether a turn says that it is to be learnt; undefined where it says nothing. Throws DATA_INVALID_RECORD. */
export function scoredOf({ fields, where, place }: Message, role: Role): boolean | undefined {
  const found = scoredKeys.filter((key) => fields[key] != null)
  const flags = found.map((key) => {
    const value = fields[key]
    if (value === 0 || value === false) return false
    if (value === 1 || value === true) return true
    const remedy = 'A turn is learnt or is not: shares of a weight are not known here.'
    throw invalidRecord(place, `expected ${where}.${key} to be 0, 1, true or false but received ${describe(value)}`, remedy)
  })
  if (flags.length === 0) return undefined
  if (flags.some((flag) => flag !== flags[0])) {
    throw invalidRecord(
      place,
      `expected one answer from ${where} but received ${found.join(' and ')} at odds`,
      'Remove one of them.',
    )
  }
  // A weight of 1 is what a turn has by itself; the others ask for it to be learnt.
  const asked = found.find((key) => key !== 'weight')
  if (role !== 'assistant' && flags[0] && asked !== undefined) {
    const remedy = `Remove ${asked}, or set train_on_prompt: true to learn all text.`
    throw invalidRecord(
      place,
      `expected only assistant turns to be learnt but received ${where}.${asked} in a ${role} turn`,
      remedy,
    )
  }
  return role === 'assistant' ? flags[0] : undefined
}

/** The text of a turn that comes in parts; thoughts among them are its reasoning. Throws DATA_INVALID_RECORD. */
export function textOfParts(
  parts: readonly unknown[],
  where: string,
  place: RowPlace,
): { content: string; reasoning: string | undefined } {
  const [content, reasoning]: [string[], string[]] = [[], []]
  for (const [index, part] of parts.entries()) {
    const { type, text, thinking } = isJsonObject(part) ? part : {}
    if (typeof part === 'string') content.push(part)
    else if (isTextType(type) && typeof text === 'string') content.push(text)
    else if (type === 'thinking' && typeof thinking === 'string') reasoning.push(thinking)
    else {
      const received = typeof type === 'string' && !isTextType(type) ? `one of type ${describe(type)}` : describe(part)
      throw invalidRecord(
        place,
        `expected ${where}[${index}] to be a part with text but received ${received}`,
        'Remove the record.',
      )
    }
  }
  return { content: content.join(''), reasoning: reasoning.length === 0 ? undefined : reasoning.join('') }
}

/** OpenAI's chat has parts of text; its responses tell those of the user and of the model apart. */
function isTextType(type: unknown): boolean {
  return type === 'text' || type === 'input_text' || type === 'output_text'
}
