import { jsonKeys } from './json-keys.js'

/**
 * JSON text of an object with one key of it set to another value: not a byte else changes, so that numbers stay as they were
 * spelled. A key that is not there becomes the last one.
 */
export function withJsonValue(text: string, key: string, value: unknown): string {
  const json = JSON.stringify(value)
  const own = [...jsonKeys(text)].filter(({ depth }) => depth === 1)
  // JSON.parse takes the last of repeated keys.
  const found = own.findLast((candidate) => candidate.key === key)
  if (found !== undefined) return text.slice(0, found.valueStart) + json + text.slice(valueEnd(text, found.valueStart))
  const end = text.trimEnd().lastIndexOf('}')
  return `${text.slice(0, end).trimEnd()}${own.length > 0 ? ',' : ''}\n  ${JSON.stringify(key)}: ${json}\n${text.slice(end)}`
}

/** Position after the value that begins at `start`. */
function valueEnd(text: string, start: number): number {
  let open = 0
  for (let i = start; i < text.length; i++) {
    const char = text[i]!
    if (char === '"') {
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++
    } else if (char === '{' || char === '[') open += 1
    else if (char === '}' || char === ']') {
      if (open === 0) return i
      open -= 1
    } else if (open > 0 || !/[\s,]/.test(char)) continue
    else return i
    if (open === 0) return i + 1
  }
  return text.length
}
