import type { Rational } from '../answer/rational.js'

/** An answer as it was read. What has a value is a number, a name, or a call whose arguments have values. */
export type Expression = NumberNode | NameNode | CallNode | ListNode | RelationNode | MatrixNode

export interface NumberNode {
  kind: 'number'
  value: Rational
  /** Significant digits of a number with a decimal point or an exponent of ten, which may be rounded; undefined for whole ones. */
  digits?: number
  /** Whether a decimal stands in the answer, and not in the gold one. */
  isGiven?: true
  /** Subscript of a number: the base that it is written in. */
  base?: number
}

/** A variable, a constant (`\pi`, `e`, `i`, `\infty`), or words. */
export interface NameNode {
  kind: 'name'
  name: string
  isText?: true
}

/** An operator or a function: `+`, `*`, `/`, `^`, `negate`, `±`, `sqrt`, `sin`, `%`, `°`, `union`, `time` for 1:20, or `apply` for f(x). */
export interface CallNode {
  kind: 'call'
  name: string
  of: Expression[]
}

/** Several answers, a set, a tuple or an interval, by the brackets around it: '' for none, `(`, `[` and `{`. */
export interface ListNode {
  kind: 'list'
  open: '' | '(' | '[' | '{'
  close: '' | ')' | ']' | '}'
  separator: ',' | 'or' | 'and'
  of: Expression[]
}

/** `a < b ≤ c` has two operators and three sides. */
export interface RelationNode {
  kind: 'relation'
  operators: string[]
  sides: Expression[]
}

export interface MatrixNode {
  kind: 'matrix'
  rows: Expression[][]
}

export function nameOf(name: string): NameNode {
  return { kind: 'name', name }
}

export function isName(expression: Expression | undefined, name?: string): expression is NameNode {
  return expression?.kind === 'name' && (name === undefined || expression.name === name)
}

export function numberOf(value: bigint): NumberNode {
  return { kind: 'number', value: { top: value, bottom: 1n } }
}

export function call(name: string, ...of: Expression[]): CallNode {
  return { kind: 'call', name, of }
}

export function isCall(expression: Expression, name: string): expression is CallNode {
  return expression.kind === 'call' && expression.name === name
}

export function listOf(of: Expression[], open: ListNode['open'] = '', close: ListNode['close'] = ''): ListNode {
  return { kind: 'list', open, close, separator: ',', of }
}

/** The parts of an expression, of every kind. */
export function partsOf(expression: Expression): Expression[] {
  if (expression.kind === 'relation') return expression.sides
  if (expression.kind === 'matrix') return expression.rows.flat()
  return expression.kind === 'call' || expression.kind === 'list' ? expression.of : []
}

/** Whether an expression has no more parts than these, written out: one that is in it twice counts twice. */
export function isWithin(expression: Expression, most: number): boolean {
  let left = most
  const count = (part: Expression): boolean => {
    left -= 1
    return left >= 0 && partsOf(part).every(count)
  }
  return count(expression)
}

/** Whether an expression, or any part of it, is one that is asked for. */
export function some(expression: Expression, asked: (part: Expression) => boolean): boolean {
  return asked(expression) || partsOf(expression).some((part) => some(part, asked))
}

/** An expression with its parts changed; the same object where none was. */
export function withParts(expression: Expression, change: (part: Expression) => Expression): Expression {
  switch (expression.kind) {
    case 'call':
    case 'list':
      return { ...expression, of: expression.of.map(change) }
    case 'relation':
      return { ...expression, sides: expression.sides.map(change) }
    case 'matrix':
      return { ...expression, rows: expression.rows.map((row) => row.map(change)) }
    default:
      return expression
  }
}

/** An expression with another one for a name. */
export function substituted(expression: Expression, name: string, by: Expression): Expression {
  if (expression.kind === 'name') return expression.name === name ? by : expression
  return withParts(expression, (part) => substituted(part, name, by))
}

/** An expression as text: the same for the same expressions. */
export function spelled(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return `${expression.value.top}/${expression.value.bottom}${expression.base === undefined ? '' : `_${expression.base}`}`
    case 'name':
      return expression.name
    case 'relation':
      return `${expression.sides.map(spelled).join(` ${expression.operators.join(' ')} `)}`
    case 'matrix':
      return `[${expression.rows.map((row) => row.map(spelled).join('&')).join('\\')}]`
    case 'list':
      return `${expression.open}${expression.of.map(spelled).join(` ${expression.separator} `)}${expression.close}`
    case 'call':
      return `${expression.name}(${expression.of.map(spelled).join(';')})`
  }
}
