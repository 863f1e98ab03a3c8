import type { Token } from './token.js'

/** The prefix command that each of plain TeX's infix commands is. */
const prefixOf: Readonly<Record<string, string>> = { over: 'frac', choose: 'binom' }

const opening = new Set(['(', '[', '{', '\\{'])
const closing = new Set([')', ']', '}', '\\}'])

/** Signs that end what an infix command takes where no braces do: `x = 1 \over 2` is an equation. */
const ends = new Set(['=', '<', '>', '≤', '≥', '≠', '≈', '∈', ',', ';', '&', '\\\\'])

/** Tokens with `{a \over b}` as `\frac{a}{b}`, and `{n \choose k}` as `\binom{n}{k}`. */
export function withInfixFractions(tokens: Token[]): Token[] {
  let written = tokens
  for (;;) {
    const at = written.findIndex((token) => token.kind === 'structure' && Object.hasOwn(prefixOf, token.text))
    if (at < 0) return written
    const [start, end] = [reach(written, at, -1), reach(written, at, 1)]
    const sign = (text: string): Token => ({ kind: 'sign', text, isSpaceBefore: false })
    written = [
      ...written.slice(0, start + 1),
      { ...written[at]!, text: prefixOf[written[at]!.text]! },
      sign('{'),
      ...written.slice(start + 1, at),
      sign('}'),
      sign('{'),
      ...written.slice(at + 1, end),
      sign('}'),
      ...written.slice(end),
    ]
  }
}

/** Position of the token that ends the group around an infix command, in one direction. */
function reach(tokens: Token[], from: number, step: 1 | -1): number {
  const [inner, outer] = step === 1 ? [opening, closing] : [closing, opening]
  let depth = 0
  let at = from + step
  for (; at >= 0 && at < tokens.length; at += step) {
    const { kind, text } = tokens[at]!
    if (kind !== 'sign' && kind !== 'separator' && kind !== 'environment') continue
    if (inner.has(text)) depth += 1
    else if (outer.has(text)) depth -= 1
    if (depth < 0 || (depth === 0 && (kind !== 'sign' || ends.has(text)))) break
  }
  return at
}
