import type { JsonObject } from '../../config/json-object.js'
import type { Turn } from '../turn.js'
import type { RenderTemplate } from './jinja-template.js'
import { noPlaceForTools, type TemplateMessages } from './template-messages.js'

/** A template, and how it reads turns. */
export interface TurnRenderer {
  render: RenderTemplate
  messages: TemplateMessages
}

/** What a conversation is rendered with, beside its turns. */
export interface ChatVariables {
  enableThinking?: boolean | undefined
  /** Definitions of tools that the turns may call. */
  tools?: readonly JsonObject[] | undefined
  /** Has the built-in templates of reasoning models keep the thoughts of all turns. */
  keepThoughts?: boolean | undefined
}

/** One conversation with what it is rendered by. */
export class ChatRendering {
  readonly #renderer: TurnRenderer

  /** Throws TEMPLATE_FAILED, naming `place`, for tools that the template has no place for. */
  constructor(
    renderer: TurnRenderer,
    readonly turns: readonly Turn[],
    readonly place: string,
    readonly variables: ChatVariables,
  ) {
    this.#renderer = renderer
    renderer.messages.checkTools(variables.tools, place)
  }

  /** Throws TEMPLATE_FAILED for definitions of tools that change nothing in the text of all turns: a template may only ask for them. */
  checkToolsWritten(): void {
    if (this.variables.tools === undefined) return
    const without = new ChatRendering(this.#renderer, this.turns, this.place, { ...this.variables, tools: undefined })
    if (this.run(this.turns) === without.run(this.turns)) throw noPlaceForTools(this.place)
  }

  /** The same with other turns. */
  with(turns: readonly Turn[]): ChatRendering {
    return new ChatRendering(this.#renderer, turns, this.place, this.variables)
  }

  /** The text of some turns. Throws TEMPLATE_FAILED. */
  run(turns: readonly Turn[], addGenerationPrompt = false): string {
    const { enableThinking, tools, keepThoughts } = this.variables
    const variables = {
      add_generation_prompt: addGenerationPrompt,
      ...(enableThinking !== undefined && { enable_thinking: enableThinking }),
      ...(tools !== undefined && { tools }),
      ...(keepThoughts === true && { keep_thoughts: true }),
    }
    return this.#renderer.render(this.#renderer.messages.of(turns, this.place), variables, this.place)
  }
}
