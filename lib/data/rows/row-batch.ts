import { isUtf8 } from 'node:buffer'
import { DataError } from '../../errors.js'
import { parsePythonJson } from './python-json.js'
import { type JsonRow, type ReadRowsOptions, type RowPlace, type RowUnit, rowPlace } from './row.js'

/**
 * Some rows of a file, read but not parsed: what is handed to a worker thread, which parses them. A batch has about
 * `batchBytes` of text, or one row where that is longer.
 */
export type RowBatch = JsonBatch | ValueBatch

/** Rows as JSON text in UTF-8. */
export interface JsonBatch {
  kind: 'json'
  file: string
  unit: RowUnit
  bytes: Uint8Array<ArrayBuffer>
  /** Four numbers for each row: its first byte, the one after its last, its number in units, the line it begins in. */
  spans: Uint32Array<ArrayBuffer>
}

/** Rows that a library has parsed. */
export interface ValueBatch {
  kind: 'values'
  file: string
  unit: RowUnit
  /** The number of each row in units. */
  numbers: number[]
  values: unknown[]
}

/** Text of a batch. Large enough that handing it over costs nothing, small enough that its work is done in a moment. */
export const batchBytes = 1 << 18

/** The longest row, well below the longest string of V8. */
export const MAX_ROW_BYTES = 1 << 28

/** The rows of a batch. Throws DATA_MALFORMED, or tells `onMalformed` and goes on. */
export function* parseBatch(batch: RowBatch, { onMalformed }: ReadRowsOptions = {}): Generator<JsonRow> {
  if (batch.kind === 'values') {
    for (const [index, value] of batch.values.entries()) {
      yield { place: rowPlace(batch.file, batch.unit, batch.numbers[index]!), value }
    }
    return
  }
  const { file, unit, bytes, spans } = batch
  for (let at = 0; at < spans.length; at += 4) {
    const place = rowPlace(file, unit, spans[at + 2]!, unit === 'record' ? spans[at + 3]! : undefined)
    const row = parseSpan(bytes.subarray(spans[at]!, spans[at + 1]!), { place, unit, line: spans[at + 3]! })
    if (row instanceof DataError) {
      if (onMalformed === undefined) throw row
      onMalformed(row)
    } else if (row !== undefined) yield row
  }
}

/** Undefined for a blank line. */
function parseSpan(
  bytes: Uint8Array,
  { place, unit, line }: { place: RowPlace; unit: RowUnit; line: number },
): JsonRow | DataError | undefined {
  if (bytes.length > MAX_ROW_BYTES) return tooLong(place)
  if (!isUtf8(bytes)) {
    return malformed(
      place,
      'expected text in UTF-8 but received other bytes',
      'Convert the file, for example with iconv -t utf-8.',
    )
  }
  const text = withoutByteOrderMark(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  if (unit === 'line' && text.trim() === '') return undefined
  try {
    return { place, value: parsePythonJson(text) }
  } catch (cause) {
    const { message } = cause as Error
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? 0)
    const expected = unit === 'line' ? 'one JSON object on each line' : 'one JSON object'
    const problem = `expected ${expected} but received text that is not valid JSON (${message})`
    return malformed(place, problem, 'Mend or remove it.', { line: line + text.slice(0, position).split('\n').length - 1, cause })
  }
}

export function tooLong(place: RowPlace): DataError {
  return malformed(
    place,
    `expected a row of at most ${MAX_ROW_BYTES} bytes but it is longer`,
    'Split it, or end each row with a line break.',
  )
}

export function withoutByteOrderMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}

export function malformed(
  place: RowPlace,
  problem: string,
  remedy: string,
  { line, cause }: { line?: number; cause?: unknown } = {},
): DataError {
  const details = line === undefined ? place.details : { ...place.details, line }
  return new DataError('DATA_MALFORMED', `${place.text}: ${problem}. ${remedy}`, details, { cause })
}
