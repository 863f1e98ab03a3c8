import type { TextTokenizer } from '../data/tokenizer/tokenizer.js'
import { mapTexts, type Role, type Turn, textsOfTurn } from '../data/turn.js'

/** A character takes at most four bytes, and so at most four tokens of a tokenizer of bytes. */
const MOST_TOKENS_OF_A_CHARACTER = 4

/** Text that each token adds. Where several tokens make one character, all but the last add nothing. */
export function textsOf(tokenizer: Pick<TextTokenizer, 'decode'>, ids: Int32Array): string[] {
  const texts: string[] = []
  for (let start = 0; start < ids.length; ) {
    let end = start + 1
    let text = tokenizer.decode(ids.subarray(start, end))
    const most = Math.min(ids.length, start + MOST_TOKENS_OF_A_CHARACTER)
    while (text.endsWith('\uFFFD') && end < most) text = tokenizer.decode(ids.subarray(start, ++end))
    // It may be a character that really is U+FFFD: then it is a token of its own.
    if (text.includes('\uFFFD')) {
      end = start + 1
      text = tokenizer.decode(ids.subarray(start, end))
    }
    for (let at = start; at < end - 1; at++) texts.push('')
    texts.push(text)
    start = end
  }
  return texts
}

/** Noncharacters of Unicode, which no text has. */
const [opening, closing] = ['\uFDEE', '\uFDEF']

/** A turn whose text can be told from what a template writes around it. */
export function markTurn(turn: Turn): Turn {
  return mapTexts(turn, (text) => `${opening}${text}${closing}`)
}

interface Span {
  start: number
  end: number
  role: Role
}

/**
 * Whose text each token is. `marked` is the same conversation rendered from marked turns; without it, or where the marks made
 * the template write something else, contents are looked for one after another.
 */
export function rolesOf(turns: readonly Turn[], texts: readonly string[], marked?: string): (Role | 'template')[] {
  const text = texts.join('')
  const spans = (marked && markedSpans(turns, text, marked.normalize('NFC'))) || foundSpans(turns, text)
  const roles: (Role | 'template')[] = []
  let [at, span] = [0, 0]
  for (const { length } of texts) {
    while (span < spans.length && spans[span]!.end <= at) span += 1
    const holds = span < spans.length && (at >= spans[span]!.start || at + length > spans[span]!.start)
    roles.push(holds ? spans[span]!.role : 'template')
    at += length
  }
  return roles
}

function markedSpans(turns: readonly Turn[], text: string, marked: string): Span[] | undefined {
  if (marked.replaceAll(opening!, '').replaceAll(closing!, '') !== text) return undefined
  const parts = marked.split(opening!)
  // Of one turn after the other, in whatever order a template writes the texts of one.
  const roles = turns.flatMap((turn) => textsOfTurn(turn).map(() => turn.role))
  if (parts.length !== roles.length + 1) return undefined
  const spans: Span[] = []
  let start = parts[0]!.length
  for (const [index, part] of parts.slice(1).entries()) {
    const [content = '', after] = part.split(closing!)
    if (after === undefined) return undefined
    spans.push({ start, end: start + content.length, role: roles[index]! })
    start += content.length + after.length
  }
  return spans
}

function foundSpans(turns: readonly Turn[], text: string): Span[] {
  const spans: Span[] = []
  let from = 0
  for (const turn of turns) {
    for (const own of textsOfTurn(turn)) {
      const found = findContent(text, own.normalize('NFC'), from)
      if (found === undefined) continue
      spans.push({ ...found, role: turn.role })
      from = found.end
    }
  }
  return spans
}

/** A template may trim a text, or leave out what a model thought in an earlier turn. */
function findContent(text: string, content: string, from: number): { start: number; end: number } | undefined {
  const afterThinking = content.slice(content.lastIndexOf('</think>') + (content.includes('</think>') ? '</think>'.length : 0))
  for (const wanted of [content, content.trim(), afterThinking.trim()]) {
    const start = wanted === '' ? -1 : text.indexOf(wanted, from)
    if (start >= 0) return { start, end: start + wanted.length }
  }
  return undefined
}
