import { lastBoxed } from '../data/boxed.js'

/**
 * The answer in a completion: what is in its last `\boxed{…}`. Boxes in a row with nothing between them but a comma or an "and" are one
 * answer of several parts. With `fallback`, where there is none: what stands last in dollar signs or after "answer is", or the last number.
 */
export function extractAnswer(completion: string, { fallback = false } = {}): string | undefined {
  const boxed = lastBoxes(completion)
  if (!fallback) return boxed
  const final = /final answer(?: is|:)\s*:?\s*([^\n]{1,300}?)\s*I hope it is correct/i.exec(completion)?.[1]
  if (final !== undefined) return lastFormula(final) ?? lastNumber(final) ?? final
  if (boxed !== undefined) return boxed
  const marked = /####\s*([^\n]+)\s*$/.exec(completion)?.[1]
  if (marked !== undefined) return marked
  const said = [...completion.matchAll(/answer\s*(?:is|:)\s*:?\s*([^\n]{1,300})/gi)].at(-1)
  const stated = said && (lastFormula(said[1]!) ?? lastNumber(said[1]!))
  return stated ?? lastFormula(completion) ?? lastNumber(completion)
}

/** Dollar signs or TeX's brackets around a formula, with a percent sign behind them. */
const formula =
  /\$\$([\s\S]{1,2000}?)\$\$|(?<!\\)\$((?:[^$\\]|\\[\s\S]){1,2000}?)\$|\\\(([^\n]{1,2000}?)\\\)|\\\[([\s\S]{1,2000}?)\\\]/g

function lastFormula(text: string): string | undefined {
  const formulas = [...text.matchAll(formula)]
  const last = formulas.at(-1)
  if (last === undefined) return undefined
  const contentOf = (match: RegExpExecArray) =>
    match
      .slice(1)
      .find((group) => group !== undefined)!
      .trim()
  const parts = [contentOf(last)]
  // `$21,16$ or $11$` is one answer.
  for (let at = formulas.length - 1; at > 0 && parts.length < 20; at--) {
    const [before, after] = [formulas[at - 1]!, formulas[at]!]
    if (!/^[\s,;]*(?:and|or)[\s,;]*$/.test(text.slice(before.index + before[0].length, after.index))) break
    parts.unshift(contentOf(before))
  }
  const unit = /^\s*(%|pct|percent)/.exec(text.slice(last.index + last[0].length))?.[1] ?? ''
  return `${parts.join(', ')} ${unit}`.trim()
}

const numeral =
  /(?<![A-Za-z\d.,])-?(?:\\frac\{-?\d+\}\{\d+\}|(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)?(?:[.,]\d+)?(?:\s*\/\s*\d+)?)(?:\s*(?:%|pct|percent))?(?![A-Za-z\d]*[\d])/g

function lastNumber(text: string): string | undefined {
  return [...text.matchAll(numeral)].map(([number]) => number.trim()).findLast((number) => /\d/.test(number))
}

/** Between two boxes of one answer. */
const between =
  /^(?:[\s$,;.()]|\\[()[\],;! ]|\\q?quad|\\text\s*\{[^{}]{0,30}\b(?:and|or)\b[^{}]{0,10}\}|\b(?:and|or)\b|\\and|[a-zA-Z]\w{0,3}(?:_\w|_\{\w+\})?\s*=|for part \([a-z]\) and){0,12}$/

function lastBoxes(text: string): string | undefined {
  const last = lastBoxed(text)
  if (last === undefined) return undefined
  const parts = [last.content]
  for (let start = last.start; parts.length < 20; ) {
    const before = lastBoxed(text.slice(0, start))
    if (before === undefined || start - before.end > 60 || !between.test(text.slice(before.end, start))) break
    parts.unshift(before.content)
    start = before.start
  }
  return parts.join(', ')
}
