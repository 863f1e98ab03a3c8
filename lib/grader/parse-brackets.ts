import { type Expression, isCall, listOf, nameOf } from './expression.js'
import { ParseFailure, type TokenReader } from './token-reader.js'

/** Parts of the parser that reading brackets needs. */
export interface BracketParser {
  readonly reader: TokenReader
  /** Answers between commas, where so many bars are open. */
  within(bars: number): Expression
}

/** Reads from an opening bracket to the closing one: a value in brackets, a tuple, an interval, a set, a group. */
export function parseBracketed(parser: BracketParser, open: string): Expression {
  const { reader } = parser
  if (open === '\\{') return parseSet(parser)
  if (open !== '(' && open !== '[' && open !== '{') throw new ParseFailure(`${open} starts nothing`)
  const inside = parser.within(0)
  if (open === '{') {
    reader.expect('}')
    return inside
  }
  const close = reader.expect(')', ']') as ')' | ']'
  const isList = inside.kind === 'list' && inside.open === ''
  const isGroup = !isList && (open === '(') === (close === ')')
  return isGroup ? inside : listOf(isList ? inside.of : [inside], open, close)
}

/** A set by its members, or by what they have to be. */
function parseSet(parser: BracketParser): Expression {
  const { reader } = parser
  if (reader.take('\\}')) return nameOf('∅')
  // The bar of a set closes what stands before it: {x | x > 0} is its condition.
  const inside = parser.within(1)
  const condition = reader.take('|') ? parser.within(0) : conditionOf(inside)
  reader.expect('\\}')
  if (condition?.kind === 'relation') return condition
  if (condition !== undefined) throw new ParseFailure('a set of what has no condition')
  return listOf(inside.kind === 'list' && inside.open === '' ? inside.of : [inside], '{', '}')
}

/** {x : x > 0} is read as the ratio x : x, greater than 0. */
function conditionOf(inside: Expression): Expression | undefined {
  if (inside.kind !== 'relation') return undefined
  const [first, ...others] = inside.sides
  if (first === undefined || !isCall(first, ':') || first.of.length !== 2 || first.of[0]!.kind !== 'name') return undefined
  return { ...inside, sides: [first.of[1]!, ...others] }
}
