import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import type { DataError } from '../../errors.js'
import { type ReadRowsOptions, rowPlace } from './row.js'
import { malformed, type ValueBatch } from './row-batch.js'

/** Rows of a batch: parsed rows have no bytes to count. */
const rowsPerBatch = 256

/** Longest cell: a longer one means an unclosed quote. */
const MAX_RECORD = 1 << 28

interface CsvRecord {
  record: Record<string, string>
  info: { lines: number }
  raw: string
}

/**
 * The rows of a CSV or, by its name, TSV file, as objects of strings whose keys are in the first line. Quoted cells may hold
 * line breaks; in TSV a quote inside a cell is a character.
 *
 * Throws DATA_MALFORMED, or tells `onMalformed` of a row and goes on. A quote that is never closed is thrown in any case: all
 * rows after it are in its cell.
 */
export async function* readCsvRows(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  { onMalformed }: ReadRowsOptions,
): AsyncGenerator<ValueBatch> {
  const isTabbed = /\.tsv(\.|$)/i.test(file)
  const told = new Set<number>()
  let lastLine = 1
  let unclosed: DataError | undefined
  const parser = parse({
    columns: (names: string[]) => checkHeader(names, file),
    info: true,
    raw: true,
    delimiter: isTabbed ? '\t' : ',',
    relax_quotes: isTabbed,
    max_record_size: MAX_RECORD,
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    skip_records_with_error: onMalformed !== undefined,
    on_skip: (error) => {
      const line = Number(error?.lines ?? 1)
      if (isUnclosed(error)) unclosed = csvMalformed(error, file, lastLine + 1)
      else if (!told.has(line)) onMalformed?.(csvMalformed(error, file, line))
      // One error per line: the rest of a line with wrong quotes is wrong too.
      told.add(line)
      return undefined
    },
  })
  // A failing decoder has to end the parser too.
  const text = Readable.from(decode(bytes, file)).on('error', (error) => parser.destroy(error))
  text.pipe(parser)
  let batch: ValueBatch = { kind: 'values', file, unit: 'line', numbers: [], values: [] }
  try {
    for await (const { record, info, raw } of parser as AsyncIterable<CsvRecord>) {
      batch.values.push(record)
      batch.numbers.push(info.lines - raw.trim().split(/\r\n|\n|\r/).length + 1)
      lastLine = info.lines
      if (batch.values.length < rowsPerBatch) continue
      yield batch
      batch = { ...batch, numbers: [], values: [] }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw csvMalformed(error, file, isUnclosed(error) ? lastLine + 1 : Number(error.lines))
  } finally {
    text.destroy()
  }
  if (batch.values.length > 0) yield batch
  if (unclosed !== undefined) throw unclosed
}

function isUnclosed(error: CsvError | undefined): boolean {
  return error?.code === 'CSV_QUOTE_NOT_CLOSED' || error?.code === 'CSV_MAX_RECORD_SIZE'
}

function checkHeader(names: string[], file: string): string[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return names
  throw malformed(
    rowPlace(file, 'line', 1),
    `expected every column to have its own name but received ${twice} twice`,
    'Rename one.',
  )
}

/** Text in UTF-8, without a byte order mark. */
async function* decode(bytes: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  try {
    for await (const chunk of bytes) {
      const text = decoder.decode(chunk, { stream: true })
      yield text
      line += text.split('\n').length - 1
    }
    yield decoder.decode()
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    const problem = 'expected text in UTF-8 but received other bytes at this line or after it'
    throw malformed(rowPlace(file, 'line', line), problem, 'Convert the file, for example with iconv -t utf-8.', { cause })
  }
}

function csvMalformed(error: CsvError | undefined, file: string, line: number): DataError {
  const said = error?.message ?? 'no reason given'
  const place = rowPlace(file, 'line', line)
  if (isUnclosed(error)) {
    const problem = `expected every quote to be closed but one from here on is not, so that no row after it can be read (${said})`
    return malformed(place, problem, 'Close it, or double a quote that is part of a text.', { cause: error })
  }
  if (error?.code.includes('QUOTE') === true) {
    return malformed(
      place,
      `expected cells with quotes to be quoted as a whole but received others (${said})`,
      'Quote them, and double the quotes in them.',
      {
        cause: error,
      },
    )
  }
  const problem = `expected a row with as many cells as the header but received another (${said})`
  return malformed(place, problem, 'Quote cells that hold commas or line breaks, or remove the row.', { cause: error })
}
