import { markTurns, type SpelledTokens } from '../tokenizer/spelled-tokens.js'
import type { TextSegment } from '../tokenizer/tokenizer.js'
import type { Turn } from '../turn.js'
import { type AddedText, addedText } from './added-text.js'
import { ChatRendering, type ChatVariables, type TurnRenderer } from './chat-rendering.js'
import type { RenderTemplate } from './jinja-template.js'
import { templateFailed } from './template-failed.js'
import { TemplateMessages } from './template-messages.js'
import { expectPrefix, TurnFinder } from './turn-spans.js'

export interface RenderedSegment extends TextSegment {
  scored: boolean
}

/** A conversation as the model sees it. The texts of the segments, one after another, are `text`. */
export interface RenderedChat {
  text: string
  segments: RenderedSegment[]
  /** Scored text that the template itself puts into a turn, as Qwen3's empty thought; the first of them. */
  added?: AddedText
}

export interface RenderOptions extends ChatVariables {
  /** Scores the last assistant turn only. */
  maskHistory?: boolean | undefined
  /** Scores all text, whoever wrote it. */
  trainOnPrompt?: boolean | undefined
  /** Special tokens that are spelled out in a turn become ordinary text; without, they are those tokens. */
  spelledTokens?: SpelledTokens | undefined
}

/**
 * Renders conversations and marks what the model has to write itself: the text of every assistant turn and its end-of-turn
 * token.
 *
 *     <|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n
 *     └────────────────────── prompt ────────────────────────┘└─ scored ─┘
 *
 * The prompt of a turn is what the template gives at inference, for the turns before it with `add_generation_prompt`.
 * The turn has to follow it unchanged, or the model would be trained on another context than it meets later.
 * A template with no end-of-turn token has none to score: tokens are never added to what a template writes.
 */
export class TurnScorer {
  readonly #renderer: TurnRenderer
  readonly #source: string
  readonly #finder: TurnFinder
  readonly #endMarkers: readonly string[]

  /** `endMarkers` are tokens that may end a turn. */
  constructor(render: RenderTemplate, source: string, endMarkers: readonly string[]) {
    this.#renderer = { render, messages: new TemplateMessages(source) }
    this.#source = source
    this.#finder = new TurnFinder(endMarkers)
    this.#endMarkers = endMarkers
  }

  /** Throws TEMPLATE_FAILED, naming `place`. */
  render(turns: readonly Turn[], place: string, options: RenderOptions): RenderedChat {
    const last = turns.length - 1
    const flags = turns.map((turn, index) => isScored(turn, index === last, options))
    const keepThoughts = flags.filter((flag) => flag !== undefined).length > 1
    const chat = new ChatRendering(this.#renderer, turns, place, { ...options, keepThoughts })
    chat.checkToolsWritten()
    const spans = flags.map((scored, index) => (scored === undefined ? undefined : this.#finder.find(chat, index)))
    const lastSpan = spans.at(-1)
    const text = lastSpan?.text ?? chat.run(turns)
    const segments: RenderedSegment[] = []
    let written = 0
    const write = (end: number, scored: boolean) => {
      segments.push({ text: text.slice(written, end), scored })
      written = end
    }
    let added: AddedText | undefined
    for (const [index, turn] of turns.entries()) {
      const [span, scored] = [spans[index], flags[index] === true]
      if (span === undefined) continue
      expectPrefix(text, span.text.slice(0, span.end), place, {
        what: `turn ${index + 1} otherwise when turns follow it`,
        remedy:
          'Set mask_history: true to learn the last turn only, make it one record for each assistant turn that is to be ' +
          'learnt, or change the template',
      })
      write(span.start, options.trainOnPrompt === true)
      write(span.end, scored)
      if (scored) added ??= addedText(span, turn, this.#endMarkers)
    }
    if (written < text.length) write(text.length, options.trainOnPrompt === true)
    this.#guard(chat, text, segments, options, (marked) =>
      lastSpan?.isComposed === true ? this.#finder.compose(marked, last)?.text : marked.run(marked.turns),
    )
    return { text, segments, ...(added !== undefined && { added }) }
  }

  /** The prompt at inference: the turns and the beginning of an answer, as one segment. Throws TEMPLATE_FAILED. */
  prompt(turns: readonly Turn[], place: string, options: RenderOptions): RenderedChat {
    const chat = new ChatRendering(this.#renderer, turns, place, options)
    const text = chat.run(turns, true)
    const segments: RenderedSegment[] = [{ text, scored: false }]
    this.#guard(chat, text, segments, options, (marked) => marked.run(marked.turns, true))
    return { text, segments }
  }

  /** The token that ends an assistant turn, as text; undefined where the template writes none. Throws TEMPLATE_FAILED. */
  endOfTurn(): string | undefined {
    return this.#finder.endOfTurn(new ChatRendering(this.#renderer, [], 'the end of a turn', {}))
  }

  /** Tokens that begin an assistant turn, as text. Throws TEMPLATE_FAILED. */
  openings(): string[] {
    return this.#finder.openings(new ChatRendering(this.#renderer, [], 'the beginning of a turn', {}))
  }

  /** Says of each segment where special tokens are spelled out: seen from another rendering, with marks before them. */
  #guard(
    chat: ChatRendering,
    text: string,
    segments: RenderedSegment[],
    { spelledTokens }: RenderOptions,
    run: (marked: ChatRendering) => string | undefined,
  ): void {
    const marked = spelledTokens && markTurns(chat.turns, spelledTokens, this.#source)
    if (marked === undefined) return
    const parts = (run(chat.with(marked.turns)) ?? '').split(marked.mark)
    if (parts.join('') !== text) {
      throw templateFailed(
        chat.place,
        'the chat template takes the text of a turn apart in which a special token is spelled out, so it cannot be told from ' +
          'one that the template writes. Take it out of the text',
      )
    }
    const positions: number[] = []
    let at = 0
    for (const part of parts.slice(0, -1)) {
      at += part.length
      positions.push(at)
    }
    let start = 0
    for (const segment of segments) {
      const end = start + segment.text.length
      const inside = positions.filter((position) => start <= position && position < end).map((position) => position - start)
      if (inside.length > 0) segment.spelledAt = inside
      start = end
    }
  }
}

/** Whether a turn is scored; undefined where its text is scored as what is around it and need not be found. */
function isScored(turn: Turn, isLast: boolean, { maskHistory, trainOnPrompt }: RenderOptions): boolean | undefined {
  if (turn.role !== 'assistant') return undefined
  if (turn.scored === false) return trainOnPrompt === true ? false : undefined
  if ((maskHistory === true && !isLast) || (turn.isPrompt === true && trainOnPrompt !== true)) return undefined
  return true
}
