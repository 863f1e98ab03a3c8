import { call, type Expression, nameOf } from './expression.js'
import type { TokenReader } from './token-reader.js'

/** Parts of the parser that reading names needs. */
export interface NameParser {
  readonly reader: TokenReader
  bracketed(open: string): Expression
}

/** Letters that are functions where a bracket follows. */
const functionNames = new Set(['f', 'g', 'h', 'F', 'G', 'H'])
const constants = new Set(['e', 'i', 'pi', '∞'])

/** A name with its subscript and primes, and what it is applied to. */
export function parseName(parser: NameParser, text: string): Expression {
  const { reader } = parser
  let name = text
  for (;;) {
    if (reader.take('_')) name += `_${reader.subscript()}`
    else if (reader.take("'")) name += "'"
    else {
      const raised = primesAbove(reader)
      if (raised === '') break
      name += raised
    }
  }
  if (constants.has(name) || !reader.isSign('(') || !isApplied(reader, name)) return nameOf(name)
  reader.next()
  const inside = parser.bracketed('(')
  const isList = inside.kind === 'list' && inside.close === ')'
  return call('apply', nameOf(name), ...(isList ? inside.of : [inside]))
}

/** Takes the primes of `f^{\prime}`, which are those of `f'`. */
function primesAbove(reader: TokenReader): string {
  if (!reader.isSign('^')) return ''
  const isBraced = reader.peek(1)?.text === '{'
  const from = isBraced ? 2 : 1
  let primes = ''
  while (reader.peek(from + primes.length)?.text === "'") primes += "'"
  if (primes === '' || (isBraced && reader.peek(from + primes.length)?.text !== '}')) return ''
  for (let taken = from + primes.length + (isBraced ? 1 : 0); taken > 0; taken -= 1) reader.next()
  return primes
}

/** Whether a name before a bracket is a function: f(x), I(0), x(t) and u(x, y) are, n(n + 1) is a product. */
function isApplied(reader: TokenReader, name: string): boolean {
  if (functionNames.has(name)) return true
  const [first, second] = [reader.peek(1), reader.peek(2)]
  if (second?.text === ')' && (first!.kind === 'number' || first!.kind === 'name')) return true
  let open = 0
  for (let ahead = 0; reader.peek(ahead) !== undefined; ahead += 1) {
    const { text } = reader.peek(ahead)!
    if (text === '(' || text === '{') open += 1
    else if (text === ')' || text === '}') open -= 1
    if (open <= 0) return false
    if (open === 1 && text === ',') return true
  }
  return false
}
