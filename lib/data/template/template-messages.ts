import type { JsonObject } from '../../config/json-object.js'
import { inlineText, type ToolCall, type Turn } from '../turn.js'
import { templateFailed } from './template-failed.js'

/** A turn as templates read it, with the keys that Transformers documents. */
export interface TemplateMessage {
  role: string
  content: string | null
  tool_calls?: { id?: string; type: 'function'; function: { name: string; arguments: JsonObject | string } }[]
  name?: string
  tool_call_id?: string
  [reasoningKey: string]: unknown
}

/** What a template does with a turn that has more than text, as its source tells. */
export class TemplateMessages {
  /** The keys that it reads a turn's reasoning from. */
  readonly #reasoningKeys: readonly string[]
  /** Whether it knows thoughts as a part of the text. */
  readonly #knowsThink: boolean
  readonly #knowsCalls: boolean
  readonly #knowsTools: boolean
  /** Whether it writes the arguments of a call as JSON itself, and so wants them as an object. */
  readonly #writesArguments: boolean
  readonly #wantsNullContent: boolean
  readonly #writesResponseTags: boolean

  constructor(source: string) {
    const reads = (key: string) => new RegExp(`(\\.|['"])${key}\\b`).test(source)
    this.#reasoningKeys = ['reasoning_content', 'reasoning', 'thinking'].filter(reads)
    this.#knowsThink = /<\/?think>/.test(source)
    this.#knowsCalls = reads('tool_calls')
    this.#knowsTools = /\btools\b/.test(source)
    this.#writesArguments = /arguments['"\])]*\s*(\||\.items)|\bin\s+[\w.]*arguments\b/.test(source)
    this.#writesResponseTags = source.includes('<tool_response>')
    this.#wantsNullContent = /(\.|['"])content['"\]]*\s+is\s+(not\s+)?none/.test(source)
  }

  /** Throws TEMPLATE_FAILED for a turn that has what the template has no place for. */
  of(turns: readonly Turn[], place: string): TemplateMessage[] {
    return turns.flatMap((turn, index) => {
      const own = this.#writesResponseTags ? withoutResponseTags(turn) : [turn]
      return own.map((result) => this.#message(result, index, place))
    })
  }

  #message(turn: Turn, index: number, place: string): TemplateMessage {
    const { role, content, reasoning, toolCalls, name, toolCallId } = turn
    const message: TemplateMessage = {
      role,
      content,
      ...(name !== undefined && { name }),
      ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
    }
    if (reasoning !== undefined) {
      if (this.#reasoningKeys.length > 0) for (const key of this.#reasoningKeys) message[key] = reasoning
      else if (this.#knowsThink) message.content = inlineText(turn)
      else {
        throw templateFailed(
          place,
          `the chat template has no place for the reasoning of turn ${index + 1}. Write it into the text as the model is to write ` +
            'it (<think> … </think> before the answer is usual), or name a template that knows it, as qwen3. A column reasoning that is ' +
            'the whole response should be called solution',
        )
      }
    }
    if (toolCalls !== undefined) {
      if (!this.#knowsCalls) {
        throw templateFailed(
          place,
          `the chat template has no place for the tool calls of turn ${index + 1}. Write them into the text, or name a template that ` +
            'knows them, as qwen',
        )
      }
      message.tool_calls = toolCalls.map((call) => this.#call(call))
      if (content === '' && this.#wantsNullContent) message.content = null
    }
    return message
  }

  /** Throws TEMPLATE_FAILED where the template has no place for definitions of tools. */
  checkTools(tools: readonly JsonObject[] | undefined, place: string): void {
    if (tools !== undefined && !this.#knowsTools) throw noPlaceForTools(place)
  }

  #call({ id, name, arguments: args }: ToolCall) {
    const written = this.#writesArguments ? args : JSON.stringify(args)
    return { ...(id !== undefined && { id }), type: 'function' as const, function: { name, arguments: written } }
  }
}

/** Results of tools that have Hermes's tags already, one or several, for a template that writes these tags itself. */
function withoutResponseTags(turn: Turn): Turn[] {
  if (turn.role !== 'tool' || !/^\s*(<tool_response>.*?<\/tool_response>\s*)+$/s.test(turn.content)) return [turn]
  const results = turn.content.matchAll(/<tool_response>\n?(.*?)\n?<\/tool_response>/gs)
  return Array.from(results, ([, content]) => ({ ...turn, content: content! }))
}

export function noPlaceForTools(place: string): Error {
  return templateFailed(
    place,
    "the chat template has no place for definitions of tools. Leave template out where the model's own writes them, name one that " +
      'does, as qwen, or write them into the system turn',
  )
}
