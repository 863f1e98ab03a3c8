import { isJsonObject, type JsonObject } from '../config/json-object.js'

export type Role = 'system' | 'user' | 'assistant' | 'tool'

/** A call of a tool that an assistant turn makes. */
export interface ToolCall {
  /** By which its result names it. */
  id?: string
  name: string
  arguments: JsonObject
}

/** One message of a conversation. */
export interface Turn {
  role: Role
  content: string
  /** What the model thinks before it writes `content`, where a record has it apart. */
  reasoning?: string
  toolCalls?: readonly ToolCall[]
  /** Of a participant, or of the tool whose result it is. */
  name?: string
  /** The call whose result it is. */
  toolCallId?: string
  /** Whether the record says itself that an assistant turn is to be learnt, or is not. */
  scored?: boolean
  /** A turn of a `prompt`, whose `completion` is what is learnt. */
  isPrompt?: true
}

/** What a model writes in a turn, its reasoning as DeepSeek-R1 and Qwen3 write it. */
export function inlineText({ reasoning, content }: Pick<Turn, 'reasoning' | 'content'>): string {
  return reasoning === undefined ? content : `<think>\n${withoutBreaks(reasoning)}\n</think>\n\n${content}`
}

function withoutBreaks(text: string): string {
  return text.replace(/^\n+|\n+$/g, '')
}

/** Every text of a turn: its reasoning, its content, its calls, and the names and ids that templates may write. */
export function textsOfTurn(turn: Turn): string[] {
  const texts: string[] = []
  mapTexts(turn, (text) => {
    texts.push(text)
    return text
  })
  return texts
}

/** The turn with every text of it changed. */
export function mapTexts(turn: Turn, change: (text: string) => string): Turn {
  const { reasoning, toolCalls, name, toolCallId } = turn
  const changed = { ...turn }
  if (name !== undefined) changed.name = change(name)
  if (toolCallId !== undefined) changed.toolCallId = change(toolCallId)
  if (reasoning !== undefined) changed.reasoning = change(reasoning)
  changed.content = change(turn.content)
  if (toolCalls !== undefined) {
    changed.toolCalls = toolCalls.map((call) => ({
      ...(call.id !== undefined && { id: change(call.id) }),
      name: change(call.name),
      arguments: mapStrings(call.arguments, change) as JsonObject,
    }))
  }
  return changed
}

function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((inner) => mapStrings(inner, change))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [change(key), mapStrings(inner, change)]))
}
