/**
 * Finds the last `\boxed{…}` with matching braces: its bounds in the text, and its content. A box without braces, `\boxed 5`, holds
 * what stands behind it in the formula.
 */
export function lastBoxed(text: string): { start: number; end: number; content: string } | undefined {
  const opening = /\\(?:boxed|fbox)(?![a-zA-Z])\s*\{?/g
  const starts = [...text.matchAll(opening)].map((match) => ({
    start: match.index,
    inside: match.index + match[0].length,
    isBraced: match[0].endsWith('{'),
  }))
  // From the last to the first, and no brace is looked at twice: an unclosed one runs to the next opening at most.
  let limit = text.length
  for (const { start, inside, isBraced } of starts.reverse()) {
    if (!isBraced) {
      const content = unbraced(text.slice(inside, Math.min(limit, inside + LONGEST_UNBRACED)))
      if (content !== undefined) return { start, end: inside + content.length, content }
      limit = start
      continue
    }
    const end = closingBrace(text, inside, limit)
    if (end !== undefined) return { start, end: end + 1, content: text.slice(inside, end) }
    limit = start
  }
  return undefined
}

/** Longest content of a box without braces that is looked at. */
const LONGEST_UNBRACED = 200

/** The rest of a formula, to where it is closed. */
const restOfFormula = /^(?:[^$\\\n]|\\[^()[\]\n])+?(?=\$|\\[)\]])/

const oneThing = /^(?:-?\d+(?:[.,/]\d+)*(?:\\?%)?|[a-zA-Z](?![a-zA-Z])|\\[a-zA-Z]+(?:\{[^{}]*\}|\d+)*)/

/** What a box without braces holds: the rest of its formula, or one number, letter or command where prose goes on. */
function unbraced(text: string): string | undefined {
  const rest = restOfFormula.exec(text)?.[0]
  const isProse = rest !== undefined && /[a-zA-Z]{2}/.test(rest.replace(/\\text *\{[^{}]*\}|\\[a-zA-Z]+/g, ''))
  return rest !== undefined && !isProse && rest.trim() !== '' ? rest.trimEnd() : oneThing.exec(text)?.[0]
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
