import { type Rational, sum } from '../answer/rational.js'
import type { NumberNode } from './expression.js'
import type { Token } from './token.js'
import type { TokenReader } from './token-reader.js'

/** A number, a mixed one (`1\frac{4}{5}`, `1 4/5`), or one with the base that it is written in (`52_8`). */
export function readNumber(reader: TokenReader, { value, digits }: Token): NumberNode {
  const number = value!
  if (reader.take('_')) return { kind: 'number', value: number, base: Number(reader.subscript()) }
  const part = number.bottom === 1n && digits === undefined ? fractionalPart(reader) : undefined
  if (part !== undefined) return { kind: 'number', value: sum(number, part) ?? number }
  return { kind: 'number', value: number, ...(digits !== undefined && { digits }) }
}

/** A proper fraction of two whole numbers behind a whole number belongs to it; anything else is a factor. */
function fractionalPart(reader: TokenReader): Rational | undefined {
  const tokens = Array.from({ length: 7 }, (_, ahead) => reader.peek(ahead))
  const text = (at: number) => tokens[at]?.text ?? ''
  if (tokens[0]?.isSpaceBefore && text(1) === '/') return proper(reader, text(0), text(2), 3)
  if (text(0) !== 'frac') return undefined
  // \frac12 is one token of two digits.
  if (/^\d\d$/.test(text(1))) return proper(reader, text(1)[0]!, text(1)[1]!, 2)
  if (text(1) !== '{') return proper(reader, text(1), text(2), 3)
  return text(3) === '}' && text(4) === '{' && text(6) === '}' ? proper(reader, text(2), text(5), 7) : undefined
}

function proper(reader: TokenReader, top: string, bottom: string, length: number): Rational | undefined {
  if (!/^\d+$/.test(top) || !/^\d+$/.test(bottom)) return undefined
  const part = { top: BigInt(top), bottom: BigInt(bottom) }
  if (part.top === 0n || part.top >= part.bottom) return undefined
  for (let taken = 0; taken < length; taken += 1) reader.next()
  return part
}
