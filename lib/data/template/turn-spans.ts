import { inlineText, type Turn, textsOfTurn } from '../turn.js'
import type { ChatRendering } from './chat-rendering.js'
import { whiteSpace } from './python-strip.js'
import { templateFailed } from './template-failed.js'

/** An assistant turn in the text of the conversation up to its end. */
export interface TurnSpan {
  /** The conversation through this turn. */
  text: string
  /** What the model writes: from the end of its prompt through the token that ends the turn. */
  start: number
  end: number
  /** Whether the template leaves the thought out, so that the turn is put together here: see {@link TurnFinder}. */
  isComposed: boolean
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
 * Finds what the model writes of an assistant turn.
 *
 * The generation prompt may already have the beginning of the turn (Qwen3-Thinking, QwQ), or a template may open a thought in it
 * and leave thoughts out of turns (DeepSeek-R1-Distill). Then what the model writes is the turn without that beginning:
 *
 *     <｜User｜>1+1?<｜Assistant｜><think>\n          One and one.\n</think>\n\n2<｜end▁of▁sentence｜>
 *     └──────────── prompt ─────────────┘          └────────────── composed and scored ──────────┘
 */
export class TurnFinder {
  readonly #endMarkers: readonly string[]
  readonly #frames: Frame[] = []

  /** `endMarkers` are tokens that may end a turn. */
  constructor(endMarkers: readonly string[]) {
    this.#endMarkers = endMarkers
  }

  /** The token that the template ends an assistant turn with, as text; undefined where it writes none. Throws TEMPLATE_FAILED. */
  endOfTurn(chat: ChatRendering): string | undefined {
    const text = chat.run([
      { role: 'user', content: '?' },
      { role: 'assistant', content: probe },
    ])
    return this.#endMarker(text.slice(text.lastIndexOf(probe) + probe.length))?.marker
  }

  /** Throws TEMPLATE_FAILED where the turn does not follow its prompt, or the template loses a part of it. */
  find(chat: ChatRendering, index: number): TurnSpan {
    const turn = chat.turns[index]!
    const before = chat.turns.slice(0, index)
    const text = chat.run(chat.turns.slice(0, index + 1))
    const prompt = chat.run(before, true)
    if (!text.startsWith(prompt)) {
      const composed = this.compose(chat, index)
      if (composed !== undefined) return composed
      throw unlikePrompt(text, prompt, chat, index)
    }
    // A cached frame that fits to the last character saves another probe.
    const isPlain = turn.reasoning === undefined && turn.toolCalls === undefined
    const known = isPlain ? this.#frames.find((frame) => fits(frame, text, prompt.length, turn.content)) : undefined
    if (known !== undefined) {
      const start = prompt.length + headerLength(known.before, prompt, before, chat)
      return { text, start, end: text.length - known.after.length + known.endLength, isComposed: false }
    }
    return this.#probe(text, prompt, chat, index)
  }

  /**
   * The turn after a prompt that opens a thought, as its model writes it; undefined where the prompt opens none, or the template
   * puts something else before the turn. Throws TEMPLATE_FAILED for a turn without a thought.
   */
  compose(chat: ChatRendering, index: number): TurnSpan | undefined {
    const turn = chat.turns[index]!
    const before = chat.turns.slice(0, index)
    const prompt = chat.run(before, true)
    const opening = /<think>\s*$/.exec(prompt)?.[0]
    if (opening === undefined || turn.toolCalls !== undefined || chat.run(before).endsWith(opening)) return undefined
    const probed = chat.run([...before, { role: 'assistant', content: probe }])
    const probeStart = probed.lastIndexOf(probe)
    if (probeStart < 0 || probed.slice(0, probeStart) !== prompt.slice(0, -opening.length)) return undefined
    const rest = withoutOpening(inlineText(turn), opening)
    if (rest === undefined) {
      throw templateFailed(
        chat.place,
        `the chat template opens <think> where the model is to answer, but turn ${index + 1} (assistant) has no thought. ` +
          'Write <think> … </think> before its answer, or name a template that does not open it, as deepseek3',
      )
    }
    const after = probed.slice(probeStart + probe.length)
    const end = prompt.length + rest.length + (this.#endMarker(after)?.end ?? 0)
    return { text: prompt + rest + after, start: prompt.length, end, isComposed: true }
  }

  /** Tokens that the generation prompt adds, which begin an answer. */
  openings(chat: ChatRendering): string[] {
    const turns: Turn[] = [{ role: 'user', content: '?' }]
    const added = addedBy(chat.run(turns, true), chat, turns)
    return this.#endMarkers.filter((marker) => added.includes(marker))
  }

  #probe(text: string, prompt: string, chat: ChatRendering, index: number): TurnSpan {
    const turn = chat.turns[index]!
    const before = chat.turns.slice(0, index)
    const probed = chat.run([...before, { role: 'assistant', content: probe }])
    const probeStart = probed.lastIndexOf(probe)
    const afterProbe = probed.slice(probeStart + probe.length)
    const after = turn.toolCalls === undefined ? afterProbe : afterCalls(afterProbe, text, this.#endMarkers)
    const isWhole = () =>
      isWritten(turn, text.slice(prompt.length, text.length - after.length), () => addedBy(prompt, chat, before))
    if (probeStart < 0 || !text.endsWith(after) || !isWhole()) {
      const composed = this.compose(chat, index)
      if (composed !== undefined) return composed
      throw templateFailed(
        chat.place,
        `the chat template does not write all text of turn ${index + 1} (assistant). ` +
          'Change the template, or the text that it takes apart (a template may treat <think> … </think> specially)',
      )
    }
    const endLength = this.#endMarker(after)?.end ?? 0
    const header = probed.startsWith(prompt) ? probed.slice(prompt.length, probeStart) : ''
    for (const frameBefore of new Set(['', header])) {
      const frame = { before: frameBefore, after, endLength }
      if (this.#frames.length < maxFrames && fits(frame, text, prompt.length, turn.content)) this.#frames.push(frame)
    }
    const start = prompt.length + (text.startsWith(header, prompt.length) ? headerLength(header, prompt, before, chat) : 0)
    return { text, start, end: text.length - after.length + endLength, isComposed: false }
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
}

function unlikePrompt(text: string, prompt: string, chat: ChatRendering, index: number): Error {
  const thoughtRemedy =
    chat.variables.enableThinking === false ? 'Take the thoughts out of the record, or leave out enable_thinking: false. ' : ''
  return prefixError(text, prompt, chat.place, {
    what: `turn ${index + 1} unlike its generation prompt begins`,
    remedy: `${thoughtRemedy}Change the template so that add_generation_prompt writes the beginning of the turn, or set another one`,
  })
}

/** What follows tool calls: as after the probe or, where they are ended otherwise than a text, from the last end token on. */
function afterCalls(probed: string, text: string, endMarkers: readonly string[]): string {
  if (text.endsWith(probed)) return probed
  const last = Math.max(...endMarkers.map((marker) => text.lastIndexOf(marker)))
  return last < 0 ? probed : text.slice(last)
}

/** The text that the template adds as the generation prompt. */
function addedBy(prompt: string, chat: ChatRendering, before: readonly Turn[]): string {
  const without = chat.run(before)
  return prompt.startsWith(without) ? prompt.slice(without.length) : ''
}

/**
 * Whether all text of a turn is in `body`, which follows the prompt, or its beginning in what the template adds as the prompt.
 * Templates trim texts and set their own line breaks, so white space is left out of the comparison.
 */
function isWritten(turn: Turn, body: string, added: () => string): boolean {
  const { role, content, reasoning, toolCalls } = turn
  const written = withoutSpace(body)
  if (toolCalls !== undefined) {
    const json = (text: string) => JSON.stringify(text).slice(1, -1)
    const named = toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args }))
    return textsOfTurn({ role, content, ...(reasoning !== undefined && { reasoning }), toolCalls: named }).every((text) =>
      [text, json(text)].some((form) => written.includes(withoutSpace(form))),
    )
  }
  const wanted = withoutSpace(content)
  const hasReasoning = reasoning === undefined || written.includes(withoutSpace(reasoning))
  return hasReasoning && (written.endsWith(wanted) || (withoutSpace(added()) + written).endsWith(wanted))
}

/** What is left of a text behind its thought's opening, which is in the prompt; undefined for a text without a thought. */
function withoutOpening(text: string, opening: string): string | undefined {
  const trimmed = text.trimStart()
  if (!trimmed.startsWith('<think>')) return text.includes('</think>') ? text : undefined
  const [thought, space] = [trimmed.slice('<think>'.length), opening.slice('<think>'.length)]
  let shared = 0
  while (shared < space.length && thought[shared] === space[shared]) shared += 1
  return thought.slice(shared)
}

function fits({ before, after }: Frame, text: string, start: number, content: string): boolean {
  return (
    text.length === start + before.length + content.length + after.length &&
    text.endsWith(after) &&
    text.startsWith(before, start) &&
    text.startsWith(content, start + before.length)
  )
}

/** A template that knows no add_generation_prompt leaves the header of the turn to be skipped after the prompt. */
function headerLength(header: string, prompt: string, before: readonly Turn[], chat: ChatRendering): number {
  return header.trim() !== '' && chat.run(before) === prompt ? header.length : 0
}

const spaces = new RegExp(`[\\s${whiteSpace}]+`, 'g')

function withoutSpace(text: string): string {
  return text.replace(spaces, '')
}

export function expectPrefix(text: string, prefix: string, place: string, words: { what: string; remedy: string }): void {
  if (!text.startsWith(prefix)) throw prefixError(text, prefix, place, words)
}

function prefixError(text: string, prefix: string, place: string, { what, remedy }: { what: string; remedy: string }): Error {
  let at = 0
  while (at < prefix.length && text[at] === prefix[at]) at += 1
  const excerpt = (from: string) => JSON.stringify(from.slice(Math.max(0, at - 20), at + 40))
  return templateFailed(
    place,
    `the chat template renders ${what}: expected ${excerpt(prefix)} but received ${excerpt(text)}. ${remedy}`,
  )
}
