import type { RowPlace } from './rows/row.js'
import { invalidRecord, parseList, type Row } from './rows/row-fields.js'

/**
 * The tokens of a row that came as tokens without the padding at its ends, as `attention_mask` says. Throws DATA_INVALID_RECORD where
 * that or `position_ids` tell of several sequences in one: their tokens would see each other.
 */
export function unpaddedRange(row: Row, length: number, place: RowPlace): { start: number; end: number } {
  const mask = numbersOf(row, 'attention_mask', length, place) ?? new Array<number>(length).fill(1)
  const [start, end] = [mask.indexOf(1), mask.lastIndexOf(1) + 1]
  const positions = numbersOf(row, 'position_ids', length, place)
  const isOneMask = start >= 0 && mask.every((flag, t) => flag === Number(start <= t && t < end))
  const isOne = isOneMask && (positions === undefined || positions.slice(start, end).every((position, t) => position === t))
  if (isOne) return { start, end }
  const column = isOneMask ? 'position_ids' : 'attention_mask'
  throw invalidRecord(
    place,
    `expected ${column} of one sequence (${isOneMask ? '0, 1, 2, …' : '1, and 0 for padding at its ends'}) but received others`,
    'Write a row for each sequence: they are packed here.',
  )
}

function numbersOf(row: Row, name: string, length: number, place: RowPlace): number[] | undefined {
  const values = parseList(row[name])
  if (values == null) return undefined
  if (Array.isArray(values) && values.length === length) return values.map(Number)
  throw invalidRecord(place, `expected ${name} to be a list of ${length} numbers, as input_ids`, 'Tokenize the record anew.')
}
