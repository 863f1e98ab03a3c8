import { call, type Expression, isCall, isName, nameOf, numberOf, spelled } from './expression.js'
import { type Limits, repeated } from './parse-sum.js'
import type { Token } from './token.js'
import { ParseFailure, type TokenReader } from './token-reader.js'

/** Parts of the parser that reading a structure needs. */
export interface StructureParser {
  readonly reader: TokenReader
  readonly units: string[]
  separated(): Expression
  value(least: number): Expression
  factor(): Expression
  exponent(): Expression
  bracketed(open: string): Expression
  name(text: string): Expression
}

const inverses = new Map([
  ['sin', 'arcsin'],
  ['cos', 'arccos'],
  ['tan', 'arctan'],
])

/** Reads commands whose arguments have a syntax of their own: fractions, roots, functions, matrices. */
export function parseStructure(parser: StructureParser, token: Token): Expression {
  if (token.kind === 'environment') return matrix(parser, token.text)
  return parser.reader.nested(() => {
    if (token.kind === 'function') return calledFunction(parser, token.text)
    switch (token.text) {
      case 'frac':
        return fraction(argument(parser), argument(parser))
      case 'binom':
        return call('binom', argument(parser), argument(parser))
      case 'sqrt':
        return root(parser)
      case 'sum':
      case 'prod':
        return repeated(parser, token.text, limitsOf(parser))
      case 'dot':
      case 'ddot':
        return dotted(parser, token.text)
      case 'overline':
      case 'bar':
        return barred(parser)
      default:
        throw new ParseFailure(`${token.text} is not read`)
    }
  })
}

/** A fraction, or the derivative that `\frac{dx}{dt}` is: a name, the same as ẋ. */
function fraction(top: Expression, bottom: Expression): Expression {
  const [first, name] = isCall(top, '*') ? top.of : []
  const [d, by] = isCall(bottom, '*') ? bottom.of : []
  const order = first && isCall(first, '^') ? spelled(first.of[1]!) : '1/1'
  const symbol = first && isCall(first, '^') ? first.of[0] : first
  const variable = by && isCall(by, '^') && spelled(by.of[1]!) === order ? by.of[0] : by
  // d/dx is applied to what stands behind it.
  if ([top, first].some((symbol) => isDifferentialSign(symbol)) && isDifferentialSign(d) && !(first && name))
    throw new ParseFailure('a derivative')
  const isDerivative =
    isName(symbol, 'd') && isName(d, 'd') && isName(name) && isName(variable) && top.kind === 'call' && top.of.length === 2
  if (!isDerivative || !['1/1', '2/1'].includes(order)) return call('/', top, bottom)
  const dots = order === '1/1' ? 'dot' : 'ddot'
  return nameOf(variable.name === 't' ? `${dots} ${name.name}` : `${dots} ${name.name} by ${variable.name}`)
}

/** d, ∂, d². */
function isDifferentialSign(expression: Expression | undefined): boolean {
  const base = expression && isCall(expression, '^') ? expression.of[0] : expression
  return isName(base, 'd') || isName(base, 'partial')
}

/** Limits below and above a sign, in either order. */
function limitsOf(parser: StructureParser): Limits {
  const limits: Limits = { first: undefined, last: undefined }
  for (;;) {
    if (parser.reader.take('_')) limits.first = limit(parser)
    else if (parser.reader.take('^')) limits.last = limit(parser)
    else return limits
  }
}

function limit(parser: StructureParser): Expression {
  return parser.reader.take('{') ? parser.bracketed('{') : argument(parser)
}

/** An argument in braces, or one token, of a number one digit. */
function argument(parser: StructureParser): Expression {
  parser.reader.splitNumber()
  return braced(parser)
}

function braced(parser: StructureParser): Expression {
  const { reader } = parser
  if (reader.take('{')) return parser.bracketed('{')
  const token = reader.next()
  if (token.kind === 'number') return { kind: 'number', value: token.value! }
  if (token.kind === 'name') return nameOf(token.text)
  if (token.kind === 'structure') return parseStructure(parser, token)
  throw new ParseFailure('no argument')
}

function root(parser: StructureParser): Expression {
  const { reader } = parser
  if (reader.take('(')) return call('sqrt', parser.bracketed('('))
  if (!reader.take('[')) return call('sqrt', braced(parser))
  const degree = parser.value(0)
  reader.expect(']')
  return call('root', braced(parser), degree)
}

/** ẋ is dx/dt, so far as a name can say it. */
function dotted(parser: StructureParser, dots: string): Expression {
  const base = braced(parser)
  if (base.kind !== 'name') throw new ParseFailure('a dot on what is no name')
  return parser.name(`${dots} ${base.name}`)
}

/** z̄ is another number than z, and the digits abc with a line above no product; AB with one is the segment. */
function barred(parser: StructureParser): Expression {
  const of = braced(parser)
  if (of.kind === 'name') return parser.name(`bar ${of.name}`)
  const isSegment =
    isCall(of, '*') && of.of.length === 2 && of.of.every((part) => isName(part) && /^[A-Z](?:_\S+)?'*$/.test(part.name))
  return isSegment || of.kind === 'number' ? of : call('bar', of)
}

/** `\sin^2 x`, `\sin^{-1} x`, `\log_2 x`, `\sin 2x`, `sin(x)`. */
function calledFunction(parser: StructureParser, name: string): Expression {
  const { reader } = parser
  let base: Expression | undefined
  let exponent: Expression | undefined
  for (;;) {
    if (reader.take('_')) base = braced(parser)
    else if (reader.take('^')) exponent = parser.exponent()
    else break
  }
  const of = functionArgument(parser)
  const isInverse =
    exponent?.kind === 'call' &&
    exponent.name === 'negate' &&
    exponent.of[0]!.kind === 'number' &&
    exponent.of[0]!.value.top === 1n
  if (isInverse && inverses.has(name)) return call(inverses.get(name)!, of)
  const value = functionNamed(name, of, base)
  return exponent === undefined ? value : call('^', value, exponent)
}

function functionNamed(name: string, of: Expression, base: Expression | undefined): Expression {
  const of2 = of.kind === 'list' ? of.of : [of]
  if (name === 'log' || name === 'lg') {
    const given = base ?? (name === 'lg' ? numberOf(10n) : undefined)
    return given === undefined ? call('log', of) : call('/', call('ln', of), call('ln', given))
  }
  if (base !== undefined) throw new ParseFailure(`a base of ${name}`)
  if (name === 'exp') return call('^', nameOf('e'), of)
  if (name === 'cbrt') return call('root', of, numberOf(3n))
  if (of2.length > 1 && !['max', 'min', 'gcd', 'lcm'].includes(name)) throw new ParseFailure(`${name} has one argument`)
  return call(name, ...of2)
}

/** Argument of a function: the brackets behind it, or the factors up to the next sign, bracket or function. */
function functionArgument(parser: StructureParser): Expression {
  const { reader } = parser
  if (reader.isSign('(', '{', '[')) return parser.bracketed(reader.next().text)
  if (reader.take('-')) return call('negate', functionArgument(parser))
  let of = parser.factor()
  for (;;) {
    const token = reader.peek()
    const goesOn = token?.kind === 'name' || token?.kind === 'number' || (token?.kind === 'structure' && token.text !== 'pmod')
    if (!goesOn) return of
    of = call('*', of, parser.factor())
  }
}

const matrices = new Set(['matrix', 'pmatrix', 'bmatrix', 'Bmatrix', 'smallmatrix', 'array'])

function matrix(parser: StructureParser, edge: string): Expression {
  const [kind, name] = edge.split(' ')
  const { reader } = parser
  if (kind !== 'begin' || !matrices.has(name!)) throw new ParseFailure(`${edge} is not read`)
  if (name === 'array') reader.subscript()
  return reader.nested(() => {
    const rows: Expression[][] = [[]]
    for (;;) {
      const token = reader.peek()
      if (token?.kind === 'environment') break
      if (reader.take('\\\\')) rows.push([])
      else if (!reader.take('&')) rows.at(-1)!.push(parser.separated())
    }
    if (reader.next().text !== `end ${name}`) throw new ParseFailure('a matrix that does not end')
    if (rows.at(-1)!.length === 0) rows.pop()
    const width = rows[0]?.length ?? 0
    if (width === 0 || rows.some((row) => row.length !== width)) throw new ParseFailure('rows of different lengths')
    return { kind: 'matrix', rows }
  })
}
