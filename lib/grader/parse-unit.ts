import { call, type Expression, spelled } from './expression.js'
import { ParseFailure, type TokenReader } from './token-reader.js'
import { unitIn } from './units.js'

/** Parts of the parser that reading units needs; `units` gets each that was read. */
export interface UnitParser {
  readonly reader: TokenReader
  readonly units: string[]
  exponent(): Expression
}

/** Reads the unit behind a number, with its power (`cm^2`) and what it is per. */
export function takeUnit(parser: UnitParser): void {
  const { reader } = parser
  let unit = unitIn(reader.next().text)
  while (unit !== undefined && reader.isSign('^', '/') && reader.peek(1) !== undefined) {
    const isPower = reader.next().text === '^'
    const kind = reader.peek()!.kind
    if (isPower) unit += `^${powerIn(parser.exponent())}`
    else if (kind === 'text' || kind === 'name') unit = unitIn(`${unit}/${reader.next().text}`)
    else unit = undefined
  }
  // 5 feet 6 inches are no 30.
  if (unit === undefined || reader.peek()?.kind === 'number') throw new ParseFailure('words that are no unit')
  parser.units.push(unit)
}

/** `-2` of the exponent −2. */
function powerIn(exponent: Expression): string {
  return spelled(exponent)
    .replace('negate(', '-')
    .replace(/\/1\)?$/, '')
}

/** A value in degrees, or in those of a temperature. */
export function degreesOf({ reader, units }: UnitParser, value: Expression): Expression {
  const scale = reader.peek()
  if (scale?.kind === 'name' && /^[CF]$/.test(scale.text)) units.push(reader.next().text === 'C' ? 'celsius' : 'fahrenheit')
  return call('°', value)
}
