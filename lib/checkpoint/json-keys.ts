/** A key of valid JSON text: how many braces are open around it, and where its value starts. */
export interface JsonKey {
  key: string
  depth: number
  valueStart: number
}

/**
 * The keys of JSON text that `JSON.parse` accepts, in order. `repeated` is true for a key that its object already had,
 * which `JSON.parse` would settle in silence.
 */
export function* jsonKeys(text: string): Generator<JsonKey & { repeated: boolean }> {
  const seen: (Set<string> | undefined)[] = [] // one per open brace; undefined for a bracket
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '{') seen.push(new Set())
    else if (char === '[') seen.push(undefined)
    else if (char === '}' || char === ']') seen.pop()
    else if (char === '"') {
      const start = i
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++
      const colon = skipSpace(text, i + 1)
      const keys = seen.at(-1)
      if (keys === undefined || text[colon] !== ':') continue
      const key = JSON.parse(text.slice(start, i + 1)) as string
      yield { key, depth: seen.length, valueStart: skipSpace(text, colon + 1), repeated: keys.has(key) }
      keys.add(key)
    }
  }
}

function skipSpace(text: string, from: number): number {
  let i = from
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++
  return i
}
