/** Finds the last `\boxed{…}` with matching braces: its bounds in the text, and its content. */
export function lastBoxed(text: string): { start: number; end: number; content: string } | undefined {
  const opening = /\\(?:boxed|fbox)\s*\{/g
  const starts = [...text.matchAll(opening)].map((match) => ({ start: match.index, inside: match.index + match[0].length }))
  // From the last to the first, and no brace is looked at twice: an unclosed one runs to the next opening at most.
  let limit = text.length
  for (const { start, inside } of starts.reverse()) {
    const end = closingBrace(text, inside, limit)
    if (end !== undefined) return { start, end: end + 1, content: text.slice(inside, end) }
    limit = start
  }
  return undefined
}

/** Position of the brace that closes the one just before `from`, below `limit`. */
export function closingBrace(text: string, from: number, limit: number): number | undefined {
  let depth = 1
  for (let at = from; at < limit; at++) {
    const character = text[at]
    if (character === '\\') at += 1
    else if (character === '{') depth += 1
    else if (character === '}' && --depth === 0) return at
  }
  return undefined
}
