import { call, type Expression, isCall, type ListNode, listOf, nameOf, numberOf } from './expression.js'
import { withSharedModulus } from './moduli.js'
import { infix, joined, negated, PRODUCT } from './operators.js'
import { type BracketParser, parseBracketed } from './parse-brackets.js'
import { parseName } from './parse-name.js'
import { readNumber } from './parse-number.js'
import { parseStructure, type StructureParser } from './parse-structure.js'
import { degreesOf, takeUnit } from './parse-unit.js'
import type { Token } from './token.js'
import { ParseFailure, TokenReader } from './token-reader.js'
import { type Reading, tokensOf } from './tokens.js'

const relations = new Set(['=', '∼', '≅', '<', '>', '≤', '≥', '≠', '≈', '∈', '∝', '→'])
const closers = new Set([')', ']', '}', '\\}', '⌋', '⌉', '&', '\\\\', ',', ';'])

/** Result of parsing: the expression, and the units behind its numbers. */
export interface Parsed {
  expression: Expression
  units: string[]
}

/** Reads a tidied answer as mathematics, LaTeX or plain; undefined where it is none. */
export function parse(text: string, reading: Reading = { thousands: true, decimalComma: false }): Parsed | undefined {
  const tokens = tokensOf(text, reading)
  if (tokens === undefined || tokens.length === 0) return undefined
  try {
    const parser = new Parser(tokens)
    const expression = parser.whole()
    // 3 hours and 30 minutes are one time, and no two numbers.
    const isMixed = expression.kind === 'list' && new Set(parser.units).size > 1
    return isMixed ? undefined : { expression, units: parser.units }
  } catch (error) {
    if (error instanceof ParseFailure) return undefined
    throw error
  }
}

/** A parser by precedence (Pratt's): each reading method takes what binds at least as strongly as asked. */
class Parser implements StructureParser, BracketParser {
  readonly units: string[] = []
  readonly reader: TokenReader
  /** Bars that are open: the next one closes. */
  private bars = 0

  constructor(tokens: Token[]) {
    this.reader = new TokenReader(tokens)
  }

  whole(): Expression {
    const expression = this.separated()
    if (this.reader.peek() !== undefined) throw new ParseFailure('something is left over')
    return expression
  }

  /** Answers between commas, `and` and `or`, in groups between semicolons; a single one is no list. */
  separated(): Expression {
    const groups: Expression[] = []
    do {
      const of: Expression[] = []
      let separator: ListNode['separator'] = ','
      do {
        of.push(this.relation())
        for (let word = this.separator(); word !== undefined; word = this.separator()) if (word !== ',') separator = word
      } while (this.reader.peek() !== undefined && !this.isAtCloser())
      groups.push(of.length === 1 ? of[0]! : { ...listOf(withSharedModulus(of)), separator })
    } while (this.reader.take(';'))
    return groups.length === 1 ? groups[0]! : listOf(groups.map(asTuple))
  }

  private separator(): ListNode['separator'] | undefined {
    if (this.reader.take(',')) return ','
    return this.reader.peek()?.kind === 'separator' ? (this.reader.next().text as 'and' | 'or') : undefined
  }

  private isAtCloser(): boolean {
    const token = this.reader.peek()!
    if (token.kind === 'environment') return token.text.startsWith('end')
    return token.kind === 'sign' && (closers.has(token.text) || (token.text === '|' && this.bars > 0))
  }

  private relation(): Expression {
    const sides = [this.value(0)]
    const operators: string[] = []
    for (let token = this.reader.peek(); token?.kind === 'sign' && relations.has(token.text); token = this.reader.peek()) {
      operators.push(this.reader.next().text)
      sides.push(this.value(0))
    }
    return operators.length === 0 ? sides[0]! : { kind: 'relation', operators, sides }
  }

  /** Parses an expression whose operators bind at least as strongly as `least`. */
  value(least: number): Expression {
    return this.reader.nested(() => {
      let left = this.prefixed()
      for (;;) {
        const token = this.reader.peek()
        if (token === undefined || token.kind === 'separator' || this.isAtCloser()) return left
        if (token.kind === 'text') {
          takeUnit(this)
          continue
        }
        if (token.text === 'pmod') {
          if (least > 0) return left
          this.reader.next()
          left = call('pmod', left, this.modulus())
          continue
        }
        const sign = token.kind === 'sign' && Object.hasOwn(infix, token.text) ? infix[token.text]! : undefined
        if (sign === undefined && token.kind === 'sign' && !startsValue(token)) return left
        const { power, name } = sign ?? { power: PRODUCT, name: '*' }
        if (power < least) return left
        if (sign !== undefined) this.reader.next()
        else if (isNumeral(token) && isNumeral(this.reader.peek(-1))) throw new ParseFailure('two numbers in a row')
        left = joined(name, left, this.value(power + 1))
      }
    })
  }

  private prefixed(): Expression {
    if (this.reader.take('-')) return negated(this.value(PRODUCT))
    if (this.reader.take('+')) return this.value(PRODUCT)
    for (const sign of ['±', '∓']) {
      if (this.reader.take(sign)) return call(sign, numberOf(0n), this.value(PRODUCT))
    }
    return this.factor()
  }

  /** A value with its powers, factorials, percent and degree signs. */
  factor(): Expression {
    let value = this.primary()
    for (;;) {
      if (this.reader.take('!')) value = call(this.reader.take('!') ? '!!' : '!', value)
      else if (this.reader.isSign('%', '°') && (isCall(value, '%') || isCall(value, '°'))) throw new ParseFailure('a sign twice')
      else if (this.reader.take('%')) value = call('%', value)
      else if (this.reader.take('°')) value = degreesOf(this, value)
      else if (this.reader.isSign('^')) {
        this.reader.next()
        value = this.raised(value)
      } else return value
    }
  }

  private raised(base: Expression): Expression {
    const [first, second, third] = [this.reader.peek(), this.reader.peek(1), this.reader.peek(2)]
    const sign = first?.text === '{' && third?.text === '}' ? second : first
    if (sign?.text === '°') {
      for (let taken = sign === first ? 1 : 3; taken > 0; taken -= 1) this.reader.next()
      return degreesOf(this, base)
    }
    return call('^', base, this.exponent())
  }

  exponent(): Expression {
    return this.reader.nested(() => {
      if (this.reader.take('-')) return call('negate', this.exponent())
      const exponent = this.primary()
      return this.reader.take('^') ? call('^', exponent, this.exponent()) : exponent
    })
  }

  private primary(): Expression {
    const token = this.reader.next()
    if (token.kind === 'number') return readNumber(this.reader, token)
    if (token.kind === 'time') return call('time', ...token.text.split(':').map((part) => numberOf(BigInt(part))))
    if (token.kind === 'name') return this.name(token.text)
    if (token.kind === 'text') return { kind: 'name', name: token.text.toLowerCase().replace(/\s+/g, ''), isText: true }
    if (token.kind === 'function' || token.kind === 'structure' || token.kind === 'environment')
      return parseStructure(this, token)
    if (token.text === '…') return nameOf('…')
    if (token.text === '|') return this.between('|', 'abs')
    if (token.text === '⌊') return this.between('⌋', 'floor')
    if (token.text === '⌈') return this.between('⌉', 'ceil')
    return this.bracketed(token.text)
  }

  private between(close: string, name: string): Expression {
    return this.reader.nested(() => {
      const before = this.bars
      this.bars = close === '|' ? before + 1 : 0
      const inside = this.value(0)
      this.bars = before
      this.reader.expect(close)
      return call(name, inside)
    })
  }

  bracketed(open: string): Expression {
    return this.reader.nested(() => parseBracketed(this, open))
  }

  within(bars: number): Expression {
    const before = this.bars
    this.bars = bars
    const inside = this.separated()
    this.bars = before
    return inside
  }

  name(text: string): Expression {
    return parseName(this, text)
  }

  private modulus(): Expression {
    return this.reader.take('{') ? this.bracketed('{') : this.primary()
  }
}

function isNumeral(token: Token | undefined): boolean {
  return token?.kind === 'number' || token?.kind === 'time'
}

function startsValue(token: Token): boolean {
  return ['(', '[', '{', '\\{', '|', '⌊', '⌈', '…'].includes(token.text)
}

/** A group between semicolons: `p=5, q=2; p=7, q=2` are two pairs. */
function asTuple(group: Expression): Expression {
  return group.kind === 'list' && group.open === '' ? { ...group, open: '(', close: ')' } : group
}
