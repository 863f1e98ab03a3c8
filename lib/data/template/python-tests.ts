import { areSame, compare, isDict, isIn, isList, isText, isTrue, type Value } from './jinja-values.js'
import { textOf } from './python-text.js'

type Test = (value: Value, other: Value) => boolean

const integer: Test = ({ type }) => type === 'IntegerValue'
const isFloat: Test = ({ type }) => type === 'FloatValue'
const boolean: Test = ({ type }) => type === 'BooleanValue'
const remainder = (value: Value, by: number) => {
  if (!integer(value, value)) throw new Error('odd and even are tests of integers')
  return Math.abs((value.value as number) % by)
}
const equal: Test = areSame
const unequal: Test = (a, b) => !areSame(a, b)
const below: Test = (a, b) => compare(a, b) < 0
const above: Test = (a, b) => compare(a, b) > 0
const atMost: Test = (a, b) => compare(a, b) <= 0
const atLeast: Test = (a, b) => compare(a, b) >= 0

/** Whether a text has letters with cases, all of them of one. */
function isOfOneCase(text: string, change: (text: string) => string): boolean {
  return text === change(text) && text.toLowerCase() !== text.toUpperCase()
}

/** Jinja's tests by name, as `x is NAME`, and in `select`, `selectattr` and their like. */
export const tests: Readonly<Record<string, Test>> = {
  integer,
  boolean,
  float: isFloat,
  number: (value, other) => integer(value, other) || isFloat(value, other) || boolean(value, other),
  odd: (value) => remainder(value, 2) === 1,
  even: (value) => remainder(value, 2) === 0,
  true: (value) => value.type === 'BooleanValue' && isTrue(value),
  false: (value) => value.type === 'BooleanValue' && !isTrue(value),
  none: ({ type }) => type === 'NullValue',
  defined: ({ type }) => type !== 'UndefinedValue',
  undefined: ({ type }) => type === 'UndefinedValue',
  string: (value) => isText(value),
  mapping: (value) => isDict(value),
  iterable: (value) => isText(value) || isList(value) || isDict(value) || value.type === 'UndefinedValue',
  sequence: (value) => isText(value) || isList(value) || isDict(value) || value.type === 'UndefinedValue',
  // Undefined of Jinja's can be called, and fails then.
  callable: ({ type }) => type === 'FunctionValue' || type === 'UndefinedValue',
  lower: (value) => isOfOneCase(textOf(value), (text) => text.toLowerCase()),
  upper: (value) => isOfOneCase(textOf(value), (text) => text.toUpperCase()),
  in: isIn,
  ...{ eq: equal, equalto: equal, '==': equal, ne: unequal, '!=': unequal },
  ...{ lt: below, lessthan: below, '<': below, gt: above, greaterthan: above, '>': above },
  ...{ le: atMost, '<=': atMost, ge: atLeast, '>=': atLeast },
}

/** Throws for a test that is not known here. */
export function testNamed(name: string): Test {
  const test = Object.hasOwn(tests, name) ? tests[name] : undefined
  if (test === undefined) throw new Error(`the test ${name} is not known here`)
  return test
}
