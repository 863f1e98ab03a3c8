import {
  callable,
  isDict,
  isList,
  isNone,
  isText,
  isWhole,
  itemsOf,
  list,
  missing,
  text,
  truth,
  tuple,
  typeName,
  type Value,
  valuesIn,
  whole,
} from './jinja-values.js'
import { capitalized } from './python-filters.js'
import { strip } from './python-strip.js'
import { textOf } from './python-text.js'

type Method = (own: string, given: readonly Value[]) => Value

function textIn(given: readonly Value[], place: number): string {
  const value = given[place]
  if (value !== undefined && isText(value)) return value.value
  throw new Error(`a method of strings takes a string, not ${value === undefined ? 'nothing' : typeName(value)}`)
}

function charactersIn(given: readonly Value[]): string | undefined {
  return given[0] === undefined || isNone(given[0]) ? undefined : textIn(given, 0)
}

/** A place in UTF-16 units as one in characters. */
function characterAt(own: string, unit: number): number {
  return unit < 0 ? -1 : Array.from(own.slice(0, unit)).length
}

/** Where Python's `splitlines` cuts. */
const lineBreaks = '\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029'
const lineBreak = new RegExp(`\r\n|[${lineBreaks}]`)

/** Methods of strings that the library lacks, or has otherwise than Python. */
const textMethods: Readonly<Record<string, Method>> = {
  capitalize: (own) => text(capitalized(own)),
  title: (own) => text(own.replace(/\p{L}+/gu, capitalized)),
  join: (own, given) => {
    const items = valuesIn(given[0] ?? text(''))
    const strange = items.find((item) => !isText(item))
    if (strange !== undefined) throw new Error(`join takes strings, not ${typeName(strange)}`)
    return text(items.map(textOf).join(own))
  },
  strip: (own, given) => text(strip(own, charactersIn(given), { start: true, end: true })),
  lstrip: (own, given) => text(strip(own, charactersIn(given), { start: true, end: false })),
  rstrip: (own, given) => text(strip(own, charactersIn(given), { start: false, end: true })),
  find: (own, given) => whole(characterAt(own, own.indexOf(textIn(given, 0)))),
  rfind: (own, given) => whole(characterAt(own, own.lastIndexOf(textIn(given, 0)))),
  count: (own, given) => {
    const part = textIn(given, 0)
    return whole(part === '' ? Array.from(own).length + 1 : own.split(part).length - 1)
  },
  removeprefix: (own, given) => {
    const prefix = textIn(given, 0)
    return text(own.startsWith(prefix) ? own.slice(prefix.length) : own)
  },
  removesuffix: (own, given) => {
    const suffix = textIn(given, 0)
    return text(suffix !== '' && own.endsWith(suffix) ? own.slice(0, -suffix.length) : own)
  },
  partition: (own, given) => cut(own, textIn(given, 0), own.indexOf(textIn(given, 0)), [own, '', '']),
  rpartition: (own, given) => cut(own, textIn(given, 0), own.lastIndexOf(textIn(given, 0)), ['', '', own]),
  rsplit: (own, given) => {
    const [separator, most] = [textIn(given, 0), given[1]]
    const parts = own.split(separator)
    if (separator === '') throw new Error('rsplit takes a separator that is not empty')
    if (most === undefined || !isWhole(most) || most.value < 0 || parts.length <= most.value) return list(parts.map(text))
    const head = parts.splice(0, parts.length - most.value)
    return list([head.join(separator), ...parts].map(text))
  },
  splitlines: (own) => {
    const lines = own.split(lineBreak)
    if (lines.at(-1) === '') lines.pop()
    return list(lines.map(text))
  },
  isdigit: (own) => truth(/^\p{Nd}+$/u.test(own)),
}

function cut(own: string, separator: string, at: number, otherwise: string[]): Value {
  if (separator === '') throw new Error('partition takes a separator that is not empty')
  return tuple((at < 0 ? otherwise : [own.slice(0, at), separator, own.slice(at + separator.length)]).map(text))
}

/** Methods of Python's dicts that come before a key of that name in `dict.name`; the library has the first four. */
const dictMethods = ['get', 'items', 'keys', 'values', 'copy', 'pop', 'popitem', 'update', 'clear', 'setdefault', 'fromkeys']

/**
 * An attribute by `object.name` where the library reads another one: a string's method, a dict's items, the method of a dict that has a
 * key of that name, and the length that only JavaScript's strings and arrays have as one. Undefined where the library is right.
 */
export function attributeByName(object: Value, name: string): Value | undefined {
  if (isText(object) && Object.hasOwn(textMethods, name)) {
    const method = textMethods[name]!
    return callable((given) => method(object.value, given))
  }
  if ((isText(object) || isList(object)) && name === 'length') return missing()
  if (isDict(object) && name === 'items') return callable(() => itemsOf(object.value))
  if (isDict(object) && dictMethods.includes(name) && object.value.has(name)) {
    const { builtins } = object as unknown as { builtins: ReadonlyMap<string, Value> }
    const method = builtins.get(name)
    if (method === undefined) throw new Error(`the method ${name} of a dict, which has a key of that name, is not known here`)
    return method
  }
  return undefined
}
