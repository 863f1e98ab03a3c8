import {
  areSame,
  compare,
  fraction,
  isDict,
  isList,
  isText,
  isTrue,
  itemsOf,
  list,
  missing,
  numberOf,
  text,
  typeName,
  type Value,
  valuesIn,
  whole,
} from './jinja-values.js'
import { strip } from './python-strip.js'
import { testNamed } from './python-tests.js'
import { jsonOf, textOf } from './python-text.js'

/** What a filter is given beside the value that it is applied to. */
export interface FilterArguments {
  positional: readonly Value[]
  named: ReadonlyMap<string, Value>
}

export type Filter = (value: Value, given: FilterArguments) => Value

/** An argument by its place or its name. */
function argument({ positional, named }: FilterArguments, place: number, name: string): Value | undefined {
  return positional[place] ?? named.get(name)
}

/** The attribute of an item by its path: `function.name`, or `0` of a list. */
function attributeOf(item: Value, path: Value): Value {
  return textOf(path)
    .split('.')
    .reduce((value, name) => {
      if (value.type === 'UndefinedValue') throw new Error(`something undefined has no ${name}`)
      if (isDict(value)) return value.value.get(name) ?? missing()
      return (isList(value) && /^\d+$/.test(name) && value.value[Number(name)]) || missing()
    }, item)
}

const lengthOf: Filter = (value) => {
  if (isText(value)) return whole(Array.from(value.value).length)
  return whole(isDict(value) ? value.value.size : valuesIn(value).length)
}

/** As Python reads numbers in texts; undefined for other texts. */
function parseNumber(value: Value): number | undefined {
  if (value.type === 'UndefinedValue') throw new Error('int and float take a value, not something undefined')
  if (!isText(value)) return numberOf(value)
  const written = value.value.trim().replace(/(\d)_(?=\d)/g, '$1')
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(written) ? Number(written) : undefined
}

/** The items of `value` for which the test that is named in the arguments from `at` on holds, or does not. */
function selected(value: Value, { positional }: FilterArguments, wanted: boolean, attribute?: Value): Value {
  const [name, other] = attribute === undefined ? positional : positional.slice(1)
  const test = name === undefined ? isTrue : testNamed(textOf(name))
  return list(
    valuesIn(value).filter((item) => {
      const tested = attribute === undefined ? item : attributeOf(item, attribute)
      return test(tested, other ?? missing()) === wanted
    }),
  )
}

function attributeIn(given: FilterArguments): Value {
  const attribute = given.positional[0]
  if (attribute === undefined) throw new Error('selectattr and rejectattr take the name of an attribute')
  return attribute
}

/** The least or the greatest by `sign`; strings without regard to case, as Jinja has it. */
function extreme(value: Value, given: FilterArguments, sign: number): Value {
  const attribute = argument(given, 1, 'attribute')
  const isExact = isTrue(argument(given, 0, 'case_sensitive') ?? missing())
  const keyOf = (item: Value) => {
    const key = attribute === undefined ? item : attributeOf(item, attribute)
    return isText(key) && !isExact ? text(key.value.toLowerCase()) : key
  }
  return (
    valuesIn(value).reduce<Value | undefined>(
      (best, item) => (best === undefined || sign * compare(keyOf(item), keyOf(best)) > 0 ? item : best),
      undefined,
    ) ?? missing()
  )
}

const tojson: Filter = (value, given) => {
  const [isAscii, indent, separators, isSorted] = ['ensure_ascii', 'indent', 'separators', 'sort_keys'].map((name, place) =>
    argument(given, place, name),
  )
  const width = indent === undefined || indent.type === 'NullValue' ? undefined : indent
  const pair = separators !== undefined && isList(separators) ? separators.value.map(textOf) : undefined
  return text(
    jsonOf(value, {
      isAscii: isAscii !== undefined && isTrue(isAscii),
      indent: width && (isText(width) ? width.value : ' '.repeat(numberOf(width) ?? 0)),
      separators: pair && ([pair[0] ?? ', ', pair[1] ?? ': '] as const),
      isSorted: isSorted !== undefined && isTrue(isSorted),
    }),
  )
}

const map: Filter = (value, given) => {
  const attribute = given.named.get('attribute')
  const otherwise = given.named.get('default')
  if (attribute !== undefined) {
    return list(
      valuesIn(value).map((item) => {
        const found = attributeOf(item, attribute)
        return found.type === 'UndefinedValue' ? (otherwise ?? found) : found
      }),
    )
  }
  const [name, ...positional] = given.positional
  const filter = name === undefined ? undefined : pythonFilter(textOf(name))
  if (filter === undefined)
    throw new Error(`map with the filter ${name === undefined ? 'of no name' : textOf(name)} is not known here`)
  return list(valuesIn(value).map((item) => filter(item, { positional, named: given.named })))
}

/** The filters that the library lacks, or has otherwise than Jinja in Python. */
const filters: Readonly<Record<string, Filter>> = {
  length: lengthOf,
  count: lengthOf,
  string: (value) => text(textOf(value)),
  safe: (value) => text(textOf(value)),
  list: (value) => list(valuesIn(value)),
  first: (value) => valuesIn(value)[0] ?? missing(),
  last: (value) => valuesIn(value).at(-1) ?? missing(),
  reverse: (value) => {
    const reversed = valuesIn(value).toReversed()
    return isText(value) ? text(reversed.map(textOf).join('')) : list(reversed)
  },
  join: (value, given) => {
    const attribute = argument(given, 1, 'attribute')
    const items = valuesIn(value).map((item) => textOf(attribute === undefined ? item : attributeOf(item, attribute)))
    return text(items.join(textOf(argument(given, 0, 'd') ?? text(''))))
  },
  unique: (value) => {
    const keyOf = (item: Value) => (isText(item) ? text(item.value.toLowerCase()) : item)
    return list(valuesIn(value).filter((item, at, all) => all.findIndex((other) => areSame(keyOf(other), keyOf(item))) === at))
  },
  int: (value, given) => {
    const number = parseNumber(value)
    return number !== undefined && Number.isFinite(number)
      ? whole(Math.trunc(number))
      : (argument(given, 0, 'default') ?? whole(0))
  },
  float: (value, given) => {
    const number = parseNumber(value)
    return number === undefined ? (argument(given, 0, 'default') ?? fraction(0)) : fraction(number)
  },
  trim: (value, given) =>
    text(strip(textOf(value), given.positional[0] && textOf(given.positional[0]), { start: true, end: true })),
  items: (value) => {
    if (isDict(value)) return itemsOf(value.value)
    if (value.type === 'UndefinedValue') return list([])
    throw new Error(`items takes a dict, not ${typeName(value)}`)
  },
  default: (value, given) => {
    const isFalseToo = isTrue(argument(given, 1, 'boolean') ?? missing())
    const isGone = value.type === 'UndefinedValue' || (isFalseToo && !isTrue(value))
    return isGone ? (argument(given, 0, 'default_value') ?? text('')) : value
  },
  capitalize: (value) => text(capitalized(textOf(value))),
  upper: (value) => text(textOf(value).toUpperCase()),
  lower: (value) => text(textOf(value).toLowerCase()),
  title: (value) => {
    const words = textOf(value).split(/([-\s({[<]+)/)
    return text(words.map(capitalized).join(''))
  },
  sum: (value, given) => {
    const attribute = argument(given, 0, 'attribute')
    const numbers = valuesIn(value).map((item) => (attribute === undefined ? item : attributeOf(item, attribute)))
    const start = argument(given, 1, 'start') ?? whole(0)
    return [start, ...numbers].reduce((sum, next) => {
      const [a, b] = [numberOf(sum), numberOf(next)]
      if (a === undefined || b === undefined) throw new Error(`sum takes numbers, not ${typeName(b === undefined ? next : sum)}`)
      return sum.type === 'FloatValue' || next.type === 'FloatValue' ? fraction(a + b) : whole(a + b)
    })
  },
  min: (value, given) => extreme(value, given, -1),
  max: (value, given) => extreme(value, given, 1),
  select: (value, given) => selected(value, given, true),
  reject: (value, given) => selected(value, given, false),
  selectattr: (value, given) => selected(value, given, true, attributeIn(given)),
  rejectattr: (value, given) => selected(value, given, false, attributeIn(given)),
  tojson,
  map,
}

export function pythonFilter(name: string): Filter | undefined {
  return Object.hasOwn(filters, name) ? filters[name] : undefined
}

export function capitalized(word: string): string {
  const [first = '', ...rest] = word
  return first.toUpperCase() + rest.join('').toLowerCase()
}
