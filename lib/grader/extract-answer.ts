import { lastBoxed } from '../answer/boxed.js'

/** Where else than in a box an answer may stand. */
export interface ExtractOptions {
  /**
   * Whether to look further than the last `\boxed{}`: several boxes that belong together, `the answer is …`, `#### …`, the last
   * formula, the last number. Without, a completion that has no box has no answer, as LIMO's evaluation counts it.
   */
  fallback?: boolean
}

/** An answer stands at the end; formulas and numbers are looked for no further back. */
const TAIL = 4000

/** The longest sentence behind `the answer is` that is the answer itself. */
const SHORT = 60

/**
 * The final answer of a completion: what its last `\boxed{}` holds.
 *
 * With `fallback`, what stands last of the boxes and of `the answer is …`, `Final Answer: …`, `#### …`; then the whole of a
 * text that is an answer alone; then the last formula or number. Undefined where there is none of them.
 */
export function extractAnswer(completion: string, { fallback = false }: ExtractOptions = {}): string | undefined {
  const box = lastBoxed(completion)
  if (!fallback) return box?.content.trim()
  const after = completion.slice(box?.end ?? 0)
  const stated = statedAnswer(after.slice(-TAIL))
  if (stated !== undefined) return stated
  if (box !== undefined) return [...boxesBefore(completion, box.start), box.content.trim()].join(', ')
  const text = completion.trim()
  const words = text.slice(0, SHORT).match(/(?<![\\a-zA-Z])[a-zA-Z]{2,}/g) ?? []
  if (text !== '' && text.length <= SHORT && words.length <= (/\d/.test(text) ? 1 : 2) && formulasIn(text).length === 0)
    return text
  return lastFormula(text.slice(-TAIL))
}

/** The boxes that stand before one in the same list: `\boxed{2}, \boxed{3} and \boxed{5}`. */
function boxesBefore(text: string, start: number): string[] {
  const boxes: string[] = []
  let [before, from] = [text.slice(Math.max(0, start - TAIL), start), start]
  for (let box = lastBoxed(before); box !== undefined && isListed(before.slice(box.end)); box = lastBoxed(before)) {
    boxes.unshift(box.content.trim())
    from = box.start
    before = before.slice(0, from)
  }
  return boxes
}

/** Whether what stands between two answers makes a list of them. */
function isListed(between: string): boolean {
  if (between.length > 40) return false
  const bare = between.replace(/\\[()[\]]|\$|\\quad|\\q?quad|\\text|\\[,;:! ]|[{}\s]/g, ' ').trim()
  return bare === '' || /^(?:,|;|&)/.test(bare) || /(?:^|[\s,])(?:and|or)(?![a-z])/.test(bare)
}

/** `####` marks an answer in the last line; above others it is a heading. */
const statement = /(?:answer(?:\*\*)?\s*(?:is|:|=)|####(?=[^\n]*\s*$))[\s:*]*/gi

function statedAnswer(text: string): string | undefined {
  const last = [...text.matchAll(statement)].at(-1)
  if (last === undefined) return undefined
  const rest = text.slice(last.index + last[0].length)
  const sentence = (/^[\s\S]*?(?=\.(?:\s|$|\*)|\n\s*\n|<\||$)/.exec(rest)?.[0] ?? rest).trim()
  if (sentence === '') return undefined
  const found = lastFormula(sentence)
  const isBare = sentence.length <= SHORT && !/\s[a-z]{2,}\s/.test(sentence)
  return isBare && formulasIn(sentence).length === 0 ? sentence.replace(/\*\*/g, '').replace(/\s*\.+$/, '') : found
}

interface Span {
  start: number
  end: number
}

/** The last formula, with those that are listed before it, or a number that stands behind it. */
function lastFormula(text: string): string | undefined {
  const formulas = formulasIn(text)
  const formula = formulas.at(-1)
  const number = [...text.slice(formula?.end ?? 0).matchAll(numbers)].at(-1)?.[0]
  if (number !== undefined) return number.trim()
  if (formula === undefined) return undefined
  let first = formulas.length - 1
  while (first > 0 && isListed(text.slice(formulas[first - 1]!.end, formulas[first]!.start))) first -= 1
  return text.slice(formulas[first]!.start, formula.end)
}

const numbers = /(?<![\w.\\])[-−]?(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\/\d+)?(?:\s?%)?/g

const delimiters = /\\\\|\\\$|\$\$|\$|\\[()[\]]/g
const closing: Readonly<Record<string, string>> = { $: '$', $$: '$$', '\\(': '\\)', '\\[': '\\]' }

/** Positions of formulas, delimiters included. */
function formulasIn(text: string): Span[] {
  const spans: Span[] = []
  let open: { delimiter: string; start: number } | undefined
  for (const { 0: delimiter, index } of text.matchAll(delimiters)) {
    if (open === undefined) {
      if (closing[delimiter] !== undefined) open = { delimiter, start: index }
    } else if (delimiter === closing[open.delimiter]) {
      spans.push({ start: open.start, end: index + delimiter.length })
      open = undefined
    }
  }
  return spans.filter(({ start, end }) => /[\w\\]/.test(text.slice(start + 2, end - 1)) || end - start === 3)
}
