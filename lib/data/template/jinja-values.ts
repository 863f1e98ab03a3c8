import { Environment, Interpreter } from '@huggingface/jinja'

/*
 * What is used of the library beside its parser, by types of our own: those that it has are not found by Node's rules for modules.
 */

/** A value of a template while it is rendered. */
export interface Value {
  readonly type: string
  readonly value: unknown
  __bool__(): { value: boolean }
}

/** Variables, and those around them. */
export interface Scope {
  readonly variables: ReadonlyMap<string, Value>
  /** Declares a variable from a value of JavaScript's. */
  set(name: string, value: unknown): Value
  setVariable(name: string, value: Value): Value
  lookupVariable(name: string): Value
}

export const Scope = Environment as unknown as new (parent?: Scope) => Scope

export const LibraryInterpreter = Interpreter as unknown as new (
  scope: Scope,
) => {
  evaluate(statement: unknown, scope: Scope): Value
  run(program: unknown): Value
}

type ValueClass = new (value?: unknown) => Value

/** The classes of the library's values, which it does not export. */
const classOf = (value: unknown) => new Scope().set('value', value).constructor as ValueClass
const StringValue = classOf('')
const IntegerValue = classOf(0)
const FloatValue = classOf(0.5)
const BooleanValue = classOf(true)
const NullValue = classOf(null)
const UndefinedValue = classOf(undefined)
const ArrayValue = classOf([])
const ObjectValue = classOf({})
const FunctionValue = classOf(() => {})

const TupleValue = new LibraryInterpreter(new Scope()).evaluate({ type: 'TupleLiteral', value: [] }, new Scope())
  .constructor as ValueClass

export const text = (value: string): Value => new StringValue(value)
export const whole = (value: number): Value => new IntegerValue(value)
export const fraction = (value: number): Value => new FloatValue(value)
export const truth = (value: boolean): Value => new BooleanValue(value)
export const none = (): Value => new NullValue()
export const missing = (): Value => new UndefinedValue()
export const list = (values: readonly Value[]): Value => new ArrayValue(values)
export const tuple = (values: readonly Value[]): Value => new TupleValue(values)
export const dict = (entries: Iterable<readonly [string, Value]>): Value => new ObjectValue(new Map(entries))
export const callable = (run: (given: Value[], scope: Scope) => Value): Value => new FunctionValue(run)

export const isText = (value: Value): value is Value & { value: string } => value.type === 'StringValue'
export const isWhole = (value: Value): value is Value & { value: number } => value.type === 'IntegerValue'
export const isMissing = (value: Value): boolean => value.type === 'UndefinedValue'
export const isNone = (value: Value): boolean => value.type === 'NullValue'
export const isTrue = (value: Value): boolean => value.__bool__().value

/** Python's tuples are lists here, which only print otherwise. */
export function isList(value: Value): value is Value & { value: Value[] } {
  return value.type === 'ArrayValue' || value.type === 'TupleValue'
}

export function isDict(value: Value): value is Value & { value: Map<string, Value> } {
  return value.type === 'ObjectValue' || value.type === 'KeywordArgumentsValue'
}

/** The number that a value is in arithmetic and comparisons: True is 1. */
export function numberOf(value: Value): number | undefined {
  if (value.type === 'IntegerValue' || value.type === 'FloatValue') return value.value as number
  return value.type === 'BooleanValue' ? Number(value.value) : undefined
}

/** The name of a type in messages. */
export function typeName({ type }: Value): string {
  return typeNames[type] ?? type
}

const typeNames: Readonly<Record<string, string>> = {
  StringValue: 'a string',
  IntegerValue: 'an integer',
  FloatValue: 'a float',
  BooleanValue: 'a boolean',
  NullValue: 'none',
  UndefinedValue: 'something undefined',
  ArrayValue: 'a list',
  TupleValue: 'a tuple',
  ObjectValue: 'a dict',
  NamespaceValue: 'a namespace',
  FunctionValue: 'a function',
}

/** What a loop or a filter goes over: the keys of a dict, the characters of a string, nothing where there is nothing. */
export function valuesIn(value: Value): Value[] {
  if (isList(value)) return value.value
  if (isDict(value)) return [...value.value.keys()].map(text)
  if (isText(value)) return Array.from(value.value, text)
  if (isMissing(value)) return []
  throw new Error(`${typeName(value)} cannot be looped over`)
}

/** The entries of a dict as Python's `items` has them. */
export function itemsOf(entries: ReadonlyMap<string, Value>): Value {
  return list([...entries].map(([key, value]) => tuple([text(key), value])))
}

/** Python's `==`: what is not defined is not none, '1' is not 1, lists and dicts are the same by what they hold. */
export function areSame(a: Value, b: Value): boolean {
  const [first, second] = [numberOf(a), numberOf(b)]
  if (first !== undefined || second !== undefined) return first === second
  if (isList(a) && isList(b)) {
    return a.type === b.type && a.value.length === b.value.length && a.value.every((item, at) => areSame(item, b.value[at]!))
  }
  if (isDict(a) && isDict(b)) {
    return (
      a.value.size === b.value.size && [...a.value].every(([key, one]) => b.value.has(key) && areSame(one, b.value.get(key)!))
    )
  }
  return a.type === b.type && a.value === b.value
}

/** Python's `in`. */
export function isIn(item: Value, container: Value): boolean {
  if (isText(container)) {
    if (isText(item)) return container.value.includes(item.value)
    throw new Error(`'in' takes a string on its left where one is on its right, not ${typeName(item)}`)
  }
  if (isDict(container)) return isText(item) && container.value.has(item.value)
  return valuesIn(container).some((one) => areSame(item, one))
}

/** Below, above or beside; throws for values that Python does not order. */
export function compare(a: Value, b: Value): number {
  const [first, second] = [numberOf(a), numberOf(b)]
  if (first !== undefined && second !== undefined) return Math.sign(first - second)
  if (isText(a) && isText(b)) return compareTexts(a.value, b.value)
  if (isList(a) && isList(b)) {
    for (const [at, item] of a.value.entries()) {
      if (at === b.value.length) return 1
      if (!areSame(item, b.value[at]!)) return compare(item, b.value[at]!)
    }
    return a.value.length - b.value.length
  }
  throw new Error(`${typeName(a)} and ${typeName(b)} have no order`)
}

/** By code points: JavaScript compares UTF-16 units. */
export function compareTexts(a: string, b: string): number {
  const [first, second] = [Array.from(a), Array.from(b)]
  for (const [at, character] of first.entries()) {
    if (at === second.length) return 1
    const difference = character.codePointAt(0)! - second[at]!.codePointAt(0)!
    if (difference !== 0) return difference
  }
  return first.length - second.length
}
