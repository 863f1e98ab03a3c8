import { call, type Expression, isName, isWithin, nameOf, numberOf, substituted } from './expression.js'
import { PRODUCT } from './operators.js'
import { ParseFailure, type TokenReader } from './token-reader.js'

/** Parts of the parser that reading terms needs. */
export interface TermParser {
  readonly reader: TokenReader
  value(least: number): Expression
}

/** Limits of a sum as they were read: `k = 1` and `10`. */
export interface Limits {
  first: Expression | undefined
  last: Expression | undefined
}

/** Most terms of a sum, and parts of all of them, that are written out. */
const MOST_TERMS = 1000n
const MOST_PARTS = 20_000

/**
 * `\sum_{k=1}^{10} k^2` and `\prod`: written out between whole numbers; else a call that has no value, and is the same as one with
 * the same limits and terms, whatever the name of its index. Not read where it is not certain how far the terms go.
 */
export function repeated(parser: TermParser, name: string, { first, last }: Limits): Expression {
  const [index, from] = first?.kind === 'relation' && first.operators.join() === '=' ? first.sides : []
  if (!isName(index) || from === undefined || last === undefined) throw new ParseFailure('limits that are not read')
  const of = parser.value(PRODUCT)
  // Whether 1 belongs to the terms of \sum k + 1 cannot be told.
  if (parser.reader.isSign('+', '-', '±', '∓')) throw new ParseFailure('a sum that may go on')
  const written = writtenOut(name, of, { index: index.name, from, last })
  return written ?? call(`${name} over`, from, last, substituted(of, index.name, nameOf('index')))
}

function writtenOut(
  name: string,
  of: Expression,
  { index, from, last }: { index: string; from: Expression; last: Expression },
): Expression | undefined {
  if (from.kind !== 'number' || last.kind !== 'number') return undefined
  const [low, high] = [from.value, last.value]
  if (low.bottom !== 1n || high.bottom !== 1n || high.top < low.top || high.top - low.top >= MOST_TERMS) return undefined
  const terms: Expression[] = []
  for (let at = low.top; at <= high.top; at += 1n) terms.push(substituted(of, index, numberOf(at)))
  const written = call(name === 'sum' ? '+' : '*', ...terms)
  return isWithin(written, MOST_PARTS) ? written : undefined
}
