import type { Turn } from '../conversation.js'
import { markTurns, type SpelledTokens } from '../tokenizer/spelled-tokens.js'
import type { TextSegment } from '../tokenizer/tokenizer.js'
import { type RenderTemplate, templateFailed } from './jinja-template.js'
import { whiteSpace } from './python-strip.js'

export interface RenderedSegment extends TextSegment {
  scored: boolean
}

/** A conversation as the model sees it. The texts of the segments, one after another, are `text`. */
export interface RenderedChat {
  text: string
  segments: RenderedSegment[]
}

export interface RenderOptions {
  /** Scores the last assistant turn only. */
  maskHistory?: boolean | undefined
  /** Scores all text, whoever wrote it. */
  trainOnPrompt?: boolean | undefined
  /** Given to templates as `enable_thinking`, which leave it out of account or have their own default where it is undefined. */
  enableThinking?: boolean | undefined
  /** Special tokens that are spelled out in a turn become ordinary text; without, they are those tokens. */
  spelledTokens?: SpelledTokens | undefined
}

/** Frame: the text that a template puts around an assistant turn, after the prompt. */
interface Frame {
  before: string
  after: string
  /** The part of `after` that ends the turn. */
  endLength: number
}

/** Probe: rendered in place of a turn's text, it shows the frame that the template puts around it. */
const probe = 'limo-native-probe'
/** Size of the cache of frames; a template with more different frames is probed anew each time. */
const maxFrames = 8

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
  readonly #render: RenderTemplate
  /** Tokens that may end a turn. */
  readonly #endMarkers: readonly string[]
  readonly #source: string
  readonly #frames: Frame[] = []

  constructor(render: RenderTemplate, source: string, endMarkers: readonly string[]) {
    this.#render = render
    this.#source = source
    this.#endMarkers = endMarkers
  }

  /** Throws TEMPLATE_FAILED, naming `place`. */
  render(turns: readonly Turn[], place: string, options: RenderOptions): RenderedChat {
    const chat = new Conversation(this.#render, turns, place, options)
    const text = chat.run(turns)
    const segments: RenderedSegment[] = []
    let written = 0
    const write = (end: number, scored: boolean) => {
      segments.push({ text: text.slice(written, end), scored: scored || options.trainOnPrompt === true })
      written = end
    }
    for (const [index, turn] of turns.entries()) {
      const isLast = index === turns.length - 1
      if (turn.role !== 'assistant' || (options.maskHistory === true && !isLast)) continue
      const through = isLast ? text : chat.run(turns.slice(0, index + 1))
      const { start, end } = this.#findSpan(through, index, turn, chat)
      expectPrefix(text, through.slice(0, end), place, {
        what: `turn ${index + 1} otherwise when turns follow it`,
        remedy:
          'Set mask_history: true to learn the last turn only, make it one record for each assistant turn that is to be ' +
          'learnt, or change the template',
      })
      write(start, false)
      write(end, true)
    }
    if (written < text.length) write(text.length, false)
    this.#guard(chat, text, segments, options)
    return { text, segments }
  }

  /** The prompt at inference: the turns and the beginning of an answer, as one segment. Throws TEMPLATE_FAILED. */
  prompt(turns: readonly Turn[], place: string, options: RenderOptions): RenderedChat {
    const chat = new Conversation(this.#render, turns, place, options)
    const text = chat.run(turns, true)
    const segments: RenderedSegment[] = [{ text, scored: false }]
    this.#guard(chat, text, segments, options, true)
    return { text, segments }
  }

  /** The token that the template ends an assistant turn with, as text; undefined where it writes none. */
  endOfTurn(): string | undefined {
    const turns: Turn[] = [
      { role: 'user', content: '?' },
      { role: 'assistant', content: probe },
    ]
    const text = new Conversation(this.#render, turns, 'the end of a turn', {}).run(turns)
    return this.#endMarker(text.slice(text.lastIndexOf(probe) + probe.length))?.marker
  }

  #findSpan(through: string, index: number, turn: Turn, chat: Conversation): { start: number; end: number } {
    const before = chat.turns.slice(0, index)
    const prompt = chat.run(before, true)
    const thoughtRemedy =
      chat.options.enableThinking === false ? 'Take the thoughts out of the record, or leave out enable_thinking: false. ' : ''
    expectPrefix(through, prompt, chat.place, {
      what: `turn ${index + 1} unlike its generation prompt begins`,
      remedy: `${thoughtRemedy}Change the template so that add_generation_prompt writes the beginning of the turn, or set another one`,
    })
    // A cached frame that fits to the last character saves another probe.
    const known = this.#frames.find((frame) => fits(frame, through, prompt.length, turn.content))
    if (known !== undefined) {
      const start = prompt.length + headerLength(known.before, prompt, before, chat)
      return { start, end: through.length - known.after.length + known.endLength }
    }
    return this.#probe(through, prompt, before, turn, chat)
  }

  #probe(through: string, prompt: string, before: Turn[], turn: Turn, chat: Conversation): { start: number; end: number } {
    const probed = chat.run([...before, { role: 'assistant', content: probe }])
    const probeStart = probed.lastIndexOf(probe)
    const after = probed.slice(probeStart + probe.length)
    const body = through.slice(prompt.length, through.length - after.length)
    // templates trim texts and set their own line breaks, so white space is left out of the comparison
    if (probeStart < 0 || !through.endsWith(after) || !withoutSpace(body).endsWith(withoutSpace(turn.content))) {
      throw templateFailed(
        chat.place,
        `the chat template does not write all text of turn ${before.length + 1} (assistant). ` +
          'Change the template, or the text that it takes apart (a template may treat <think> … </think> specially)',
      )
    }
    const endLength = this.#endMarker(after)?.end ?? 0
    const header = probed.startsWith(prompt) ? probed.slice(prompt.length, probeStart) : ''
    const isWritten = body.startsWith(header)
    for (const frameBefore of new Set(['', header])) {
      const frame = { before: frameBefore, after, endLength }
      if (this.#frames.length < maxFrames && fits(frame, through, prompt.length, turn.content)) this.#frames.push(frame)
    }
    const start = prompt.length + (isWritten ? headerLength(header, prompt, before, chat) : 0)
    return { start, end: through.length - after.length + endLength }
  }

  /** The first token in `after` that may end a turn, and where it ends. */
  #endMarker(after: string): { marker: string; end: number } | undefined {
    const found = this.#endMarkers
      .filter((marker) => after.includes(marker))
      .map((marker) => ({ marker, end: after.indexOf(marker) + marker.length }))
    return found.reduce<(typeof found)[number] | undefined>(
      (first, next) => (first && first.end <= next.end ? first : next),
      undefined,
    )
  }

  /** Says of each segment where special tokens are spelled out: seen from another rendering, with marks before them. */
  #guard(
    chat: Conversation,
    text: string,
    segments: RenderedSegment[],
    { spelledTokens }: RenderOptions,
    addGenerationPrompt = false,
  ): void {
    const marked = spelledTokens && markTurns(chat.turns, spelledTokens, this.#source)
    if (marked === undefined) return
    const parts = chat.run(marked.turns, addGenerationPrompt).split(marked.mark)
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

/** One conversation with what it is rendered by. */
class Conversation {
  readonly turns: readonly Turn[]
  readonly place: string
  readonly options: RenderOptions
  readonly #render: RenderTemplate

  constructor(render: RenderTemplate, turns: readonly Turn[], place: string, options: RenderOptions) {
    this.#render = render
    this.turns = turns
    this.place = place
    this.options = options
  }

  run(turns: readonly Turn[], addGenerationPrompt = false): string {
    const { enableThinking } = this.options
    const thinking = enableThinking === undefined ? {} : { enable_thinking: enableThinking }
    return this.#render(turns, { add_generation_prompt: addGenerationPrompt, ...thinking }, this.place)
  }
}

function fits({ before, after }: Frame, through: string, start: number, content: string): boolean {
  return (
    through.length === start + before.length + content.length + after.length &&
    through.endsWith(after) &&
    through.startsWith(before, start) &&
    through.startsWith(content, start + before.length)
  )
}

/** A template that knows no add_generation_prompt leaves the header of the turn to be skipped after the prompt. */
function headerLength(header: string, prompt: string, before: Turn[], chat: Conversation): number {
  return header.trim() !== '' && chat.run(before) === prompt ? header.length : 0
}

const spaces = new RegExp(`[\\s${whiteSpace}]+`, 'g')

function withoutSpace(text: string): string {
  return text.replace(spaces, '')
}

function expectPrefix(text: string, prefix: string, place: string, { what, remedy }: { what: string; remedy: string }): void {
  if (text.startsWith(prefix)) return
  let at = 0
  while (at < prefix.length && text[at] === prefix[at]) at += 1
  const excerpt = (from: string) => JSON.stringify(from.slice(Math.max(0, at - 20), at + 40))
  throw templateFailed(
    place,
    `the chat template renders ${what}: expected ${excerpt(prefix)} but received ${excerpt(text)}. ${remedy}`,
  )
}
