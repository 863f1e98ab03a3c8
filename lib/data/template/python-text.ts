import { compareTexts, isDict, isList, isText, typeName, type Value } from './jinja-values.js'

/** Python's `str` of a value: what `{{ … }}`, `~` and the filter `string` write. What is not defined is empty. */
export function textOf(value: Value): string {
  if (isText(value)) return value.value
  return value.type === 'UndefinedValue' ? '' : reprOf(value)
}

/** Python's `repr` of a value, as it stands inside of lists and dicts. */
function reprOf(value: Value): string {
  if (isText(value)) return quoted(value.value)
  if (isList(value)) {
    const items = value.value.map(reprOf).join(', ')
    if (value.type !== 'TupleValue') return `[${items}]`
    return value.value.length === 1 ? `(${items},)` : `(${items})`
  }
  if (isDict(value)) return `{${[...value.value].map(([key, inner]) => `${quoted(key)}: ${reprOf(inner)}`).join(', ')}}`
  switch (value.type) {
    case 'IntegerValue':
      return wholeText(value.value as number)
    case 'FloatValue':
      return floatText(value.value as number)
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False'
    case 'NullValue':
      return 'None'
    case 'UndefinedValue':
      return 'Undefined'
    default:
      throw new Error(`${typeName(value)} is written as text`)
  }
}

/** In single quotes, or in double ones where it has single quotes alone; what cannot be printed is escaped. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replace(/[\\'"\p{C}\p{Z}]/gu, (character) => {
    if (character === ' ' || character === (quote === "'" ? '"' : "'")) return character
    const named = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', [quote]: `\\${quote}` }[character]
    if (named !== undefined) return named
    const code = character.codePointAt(0)!
    const digits = (count: number) => code.toString(16).padStart(count, '0')
    return code < 0x100 ? `\\x${digits(2)}` : code < 0x1_0000 ? `\\u${digits(4)}` : `\\U${digits(8)}`
  })
  return `${quote}${escaped}${quote}`
}

/** Throws for a number of more digits than a double keeps: Python has all of them. */
function wholeText(number: number): string {
  if (Number.isSafeInteger(number)) return String(number)
  throw new Error(`a whole number of more digits than are kept here (about ${number})`)
}

/** Python's shortest text of a float: with a point, and with an exponent below 10⁻⁴ and from 10¹⁶ on. */
function floatText(number: number): string {
  if (Number.isNaN(number)) return 'nan'
  if (!Number.isFinite(number)) return number > 0 ? 'inf' : '-inf'
  if (Object.is(number, -0)) return '-0.0'
  const size = Math.abs(number)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return number.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  const written = String(number)
  return written.includes('.') ? written : `${written}.0`
}

/** How JSON is written: as by `json.dumps` of Python, whose words for these are other ones. */
export interface JsonStyle {
  indent?: string | undefined
  isAscii?: boolean
  /** Between items, and between a key and its value. */
  separators?: readonly [string, string] | undefined
  isSorted?: boolean
}

/** A value as Transformers' filter `tojson` writes it. Throws for what JSON cannot have, and for what is not defined. */
export function jsonOf(value: Value, style: JsonStyle = {}, depth = 1): string {
  const { indent, separators = [indent === undefined ? ', ' : ',', ': '], isSorted = false } = style
  const wrap = (items: string[], open: string, close: string) => {
    if (items.length === 0) return open + close
    if (indent === undefined) return open + items.join(separators[0]) + close
    const line = `\n${indent.repeat(depth)}`
    return `${open}${line}${items.join(separators[0] + line)}\n${indent.repeat(depth - 1)}${close}`
  }
  if (isText(value)) return jsonText(value.value, style)
  if (isList(value)) {
    const items = value.value.map((item) => jsonOf(item, style, depth + 1))
    return wrap(items, '[', ']')
  }
  if (isDict(value)) {
    const entries = [...value.value]
    if (isSorted) entries.sort(([a], [b]) => compareTexts(a, b))
    const items = entries.map(([key, inner]) => jsonText(key, style) + separators[1] + jsonOf(inner, style, depth + 1))
    return wrap(items, '{', '}')
  }
  switch (value.type) {
    case 'IntegerValue':
      return wholeText(value.value as number)
    case 'FloatValue':
      return floatText(value.value as number)
        .replace('inf', 'Infinity')
        .replace('nan', 'NaN')
    case 'BooleanValue':
      return String(value.value)
    case 'NullValue':
      return 'null'
    default:
      throw new Error(`${typeName(value)} cannot be written as JSON`)
  }
}

function jsonText(text: string, { isAscii = false }: JsonStyle): string {
  const written = JSON.stringify(text)
  if (!isAscii) return written
  return written.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
