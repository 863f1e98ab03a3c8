import { type Expression, withParts } from './expression.js'
import { type Parsed, parse } from './parse.js'
import { unitIn } from './units.js'

/** One way to read an answer, with all of its units; one that is guessed may be a name, and one that is doubtful is meant by few. */
export interface Reading extends Parsed {
  isUnitGuessed?: boolean
  isDoubtful?: boolean
}

/** The 2 of 5, as calculators, China and others write it. */
const combinations = [
  /(?:\\text ?\{C\}|(?<![a-zA-Z\\])C) ?_ ?\{?([a-z\d]+)\}? ?\^ ?\{?([a-z\d]+)\}?/g,
  /(?<![\w})\]] ?)(?:\{ ?\})? ?[_^] ?\{?([a-z\d]+)\}? ?(?:\\text ?\{C\}|C) ?_ ?\{?([a-z\d]+)\}?/g,
  /(?<![a-zA-Z\\])C ?\(([a-z\d]+) ?, ?([a-z\d]+)\)/g,
]

/** Those with their order. P(5, 2) may be a point. */
const permutations = /(?<![\w})\]] ?)(?:\{ ?\})? ?[_^] ?\{?([a-z\d]+)\}? ?(?:\\text ?\{P\}|P) ?_ ?\{?([a-z\d]+)\}?/g
const permutationsOrPoint = /^P ?\(([a-z\d]+) ?, ?([a-z\d]+)\)$/

/** A unit of one or two letters behind a number, or thousands and millions, that may be a product of names. */
const shortUnit =
  /^(-?(?:\d[\d., ]*|\\frac ?\{\d+\} ?\{\d+\}|\d+\/\d+)) ?((?:[msghlLNJKVWCAkMB]|cm|km|mm|kg|mg|ms|in|ml|mL|dm|[kM]? ?\\Omega|\\mu ?[msgFA])(?: ?\^ ?\{?-?\d\}?)?)$/

/** Readings of an answer: commas between thousands, between answers, or as the decimal sign; times by either clock. */
export function readings({ text, units }: { text: string; units: string[] }): Reading[] {
  const found = [parse(text, { thousands: true, decimalComma: false })]
  if (/\d[, ]\d{3}/.test(text)) found.push(parse(text, { thousands: false, decimalComma: false }))
  // C may be a name, too.
  const chosen = combinations
    .reduce((written, pattern) => written.replace(pattern, '\\binom{$1}{$2}'), text)
    .replace(permutations, '\\frac{($1)!}{($1-$2)!}')
  if (chosen !== text) found.push(parse(chosen))
  // As in Europe: 1.234,5.
  if (/^-?\d{1,3}(?:\.\d{3})+,\d+$/.test(text)) found.push(parse(text.replaceAll('.', '').replace(',', '.')))
  if (/^-?\d+,\d+$/.test(text)) found.push(parse(text, { thousands: false, decimalComma: true }))
  // 3 and 1/2 are one number or two.
  const mixed = text.replace(
    /^(-?\d+) ?(?:and|\\text ?\{ ?and ?\}) ?(?=\d+\/\d+$|\\frac ?(?:\{\d+\}|\d) ?(?:\{\d+\}|\d)$)/,
    '$1 ',
  )
  if (mixed !== text) found.push(parse(mixed))
  const read: Reading[] = found
    .filter((parsed) => parsed !== undefined)
    .map(({ expression, units: own }) => ({ expression, units: [...units, ...own] }))
  // 1,234 is rather a thousand and more than a decimal.
  if (/^-?[1-9]\d{0,2},\d{3}$/.test(text)) read.at(-1)!.isDoubtful = true
  const arranged = permutationsOrPoint.test(text)
    ? parse(text.replace(permutationsOrPoint, '\\frac{($1)!}{($1-$2)!}'))
    : undefined
  if (arranged !== undefined) read.push({ ...arranged, units, isDoubtful: true })
  const [, number, unit] = shortUnit.exec(text) ?? []
  const measured = number === undefined ? undefined : parse(number)
  if (measured !== undefined)
    read.push({ expression: measured.expression, units: [...units, unitIn(unit!) ?? unit!], isUnitGuessed: true })
  const clock = fullClock(text, units)
  if (clock !== undefined) read.push({ ...parse(clock)!, units: [] })
  return read
}

/** 3:00 p.m. as 15:00. */
function fullClock(text: string, units: readonly string[]): string | undefined {
  const [, hour, rest] = /^(\d{1,2})(:[0-5]\d(?::[0-5]\d)?)$/.exec(text) ?? []
  const half = units.find((unit) => unit === 'a' || unit === 'p')
  if (hour === undefined || half === undefined || Number(hour) < 1 || Number(hour) > 12) return undefined
  return `${(Number(hour) % 12) + (half === 'p' ? 12 : 0)}${rest}`
}

/** The expression of an answer with its decimals marked as given: they may be the gold answer's rounded. */
export function withGivenDecimals(expression: Expression): Expression {
  if (expression.kind !== 'number') return withParts(expression, withGivenDecimals)
  return expression.digits === undefined ? expression : { ...expression, isGiven: true }
}
