/** Numbers that Python's json module writes although JSON has none of them, as JSON of the same length. */
const numberTokens = /NaN|-?Infinity/g

/**
 * JSON as Python's json module writes it: with NaN, Infinity and -Infinity, which become the numbers of these names, and with whole
 * numbers of any length. Those beyond 2⁵³, which a double may not keep, become text of their digits. Throws the SyntaxError of
 * `JSON.parse` for all other text that is not JSON, with its positions, and one for what is more than 1,000 deep.
 */
export function parsePythonJson(text: string): unknown {
  const value = parseWithNames(text)
  // Looking for long digits in the text takes longer than parsing it.
  return hasLongNumber(value) ? parseWithNames(withLongNumbersAsText(text)) : value
}

/** Deeper than any data; JSON.parse itself knows no bound, and what walks through a value would run out of stack. */
const DEEPEST = 1000

function hasLongNumber(value: unknown, depth = 0): boolean {
  if (typeof value === 'number') return Math.abs(value) > Number.MAX_SAFE_INTEGER
  if (typeof value !== 'object' || value === null) return false
  if (depth === DEEPEST) throw new SyntaxError(`lists and objects more than ${DEEPEST} deep`)
  const parts = Array.isArray(value) ? value : Object.values(value)
  for (const part of parts) if (hasLongNumber(part, depth + 1)) return true
  return false
}

function parseWithNames(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // Only then: looking for the names takes longer than parsing.
    if (!/NaN|Infinity/.test(text)) throw error
    const mark = unusedCharacter(text)
    return JSON.parse(withoutNumberTokens(text, mark), (key, value) => {
      if (key === mark) throw error
      return value === mark ? Number.NaN : value
    })
  }
}

const longNumber = /(?<=[\s:,[]|^)-?[1-9]\d{15,}(?:\.\d+)?(?=[\s,\]}]|$)/g

function withLongNumbersAsText(text: string): string {
  return outsideStrings(text, (part) =>
    part.replace(longNumber, (number) => (Math.abs(Number(number)) <= Number.MAX_SAFE_INTEGER ? number : `"${number}"`)),
  )
}

/** The names outside of strings replaced: 1e999 is read as Infinity, and a text of one character stands for NaN. */
function withoutNumberTokens(text: string, mark: string): string {
  const values: Record<string, string> = { NaN: `"${mark}"`, Infinity: '1e999   ', '-Infinity': '-1e999   ' }
  return outsideStrings(text, (part) =>
    // What stands behind another character, as in 1Infinity, stays and is no JSON.
    part.replace(numberTokens, (token, at) => (/[\s:,[]|^$/.test(part.charAt(at - 1)) ? values[token]! : token)),
  )
}

/** JSON with what stands between its strings changed. */
function outsideStrings(text: string, change: (part: string) => string): string {
  const parts: string[] = []
  for (let start = 0; start < text.length; ) {
    const quote = text.indexOf('"', start)
    const end = quote < 0 ? text.length : quote
    parts.push(change(text.slice(start, end)))
    start = quote < 0 ? text.length : endOfString(text, quote)
    parts.push(text.slice(end, start))
  }
  return parts.join('')
}

/** The place behind the string that begins at `quote`. */
function endOfString(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return end + 1
  }
  return text.length
}

/** A noncharacter that the text does not have, spelled out or escaped. */
function unusedCharacter(text: string): string {
  for (let code = 0xfdd0; code <= 0xfdef; code += 1) {
    const isEscaped = text.toLowerCase().includes(`\\u${code.toString(16)}`)
    if (!isEscaped && !text.includes(String.fromCharCode(code))) return String.fromCharCode(code)
  }
  throw new SyntaxError('it has NaN or Infinity, and every noncharacter from U+FDD0 to U+FDEF')
}
