import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import type { DataError } from '../../errors.js'
import { type ReadRowsOptions, rowPlace } from './row.js'
import { malformed, type ValueBatch } from './row-batch.js'

/** Rows of a batch: there is no text to count bytes of. */
const rowsPerBatch = 256

interface CsvRecord {
  record: Record<string, string>
  info: { lines: number }
}

/**
 * The rows of a CSV or, by its name, TSV file, as objects of strings whose keys are in the first line. Quoted cells may hold
 * line breaks. Throws DATA_MALFORMED, or tells `onMalformed` and goes on.
 */
export async function* readCsvRows(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  { onMalformed }: ReadRowsOptions,
): AsyncGenerator<ValueBatch> {
  const isTabbed = /\.tsv(\.|$)/i.test(file)
  const parser = parse({
    columns: (names: string[]) => checkHeader(names, file),
    info: true,
    delimiter: isTabbed ? '\t' : ',',
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    skip_records_with_error: onMalformed !== undefined,
    on_skip: (error) => void onMalformed?.(csvMalformed(error, file)),
  })
  // A failing decoder has to end the parser too.
  const text = Readable.from(decode(bytes, file)).on('error', (error) => parser.destroy(error))
  text.pipe(parser)
  let batch: ValueBatch = { kind: 'values', file, unit: 'line', numbers: [], values: [] }
  let line = 2
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      batch.values.push(record)
      batch.numbers.push(line)
      line = info.lines + 1
      if (batch.values.length < rowsPerBatch) continue
      yield batch
      batch = { ...batch, numbers: [], values: [] }
    }
  } catch (error) {
    throw error instanceof CsvError ? csvMalformed(error, file) : error
  } finally {
    text.destroy()
  }
  if (batch.values.length > 0) yield batch
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

function csvMalformed(error: CsvError | undefined, file: string): DataError {
  const line = Number(error?.lines ?? 1)
  const problem = `expected a row with as many cells as the header but received another (${error?.message ?? 'unknown'})`
  return malformed(
    rowPlace(file, 'line', line),
    problem,
    'Quote cells that hold commas, quotes or line breaks, or remove the row.',
    {
      cause: error,
    },
  )
}
