import type { Turn } from '../turn.js'
import type { TurnSpan } from './turn-spans.js'

/** Scored text of a template's own, and on which side of a response it stands. */
export interface AddedText {
  text: string
  side: 'before' | 'after'
}

/** An empty thought, which templates of reasoning models put before answers and calls. */
const emptyThought = /^\s*<think>\s*<\/think>\s*/

/**
 * What the template itself writes of a scored turn, between its prompt and the token that ends it, if that is more than white space.
 * Around a thought and around calls, only what is told from their format: an empty thought before calls, and what follows the answer.
 */
export function addedText({ text, start, end }: TurnSpan, turn: Turn, endMarkers: readonly string[]): AddedText | undefined {
  const { reasoning, toolCalls } = turn
  const span = text.slice(start, end)
  const marker = endMarkers.filter((token) => span.endsWith(token)).reduce((a, b) => (a.length > b.length ? a : b), '')
  const body = span.slice(0, span.length - marker.length)
  const content = turn.content.trim()
  if (toolCalls !== undefined) {
    const added = reasoning === undefined && !content.startsWith('<think>') ? emptyThought.exec(body)?.[0] : undefined
    return added === undefined ? undefined : { text: added, side: 'before' }
  }
  const at = body.trimEnd().endsWith(content) ? body.lastIndexOf(content) : body.indexOf(content)
  if (at < 0) return undefined
  const [before, after] = [body.slice(0, at), body.slice(at + content.length)]
  if (reasoning === undefined && before.trim() !== '') return { text: before, side: 'before' }
  return after.trim() === '' ? undefined : { text: after, side: 'after' }
}
