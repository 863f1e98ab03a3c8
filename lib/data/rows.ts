import { readJsonRows } from './json-rows.js'
import type { JsonRow, ReadRowsOptions } from './row.js'

/**
 * The rows of one file, whatever its format, one at a time: a file of any size is read in bounded memory.
 *
 * Throws DATA_NOT_FOUND, and DATA_MALFORMED naming file and line.
 */
export function readRows(path: string, options: ReadRowsOptions = {}): AsyncGenerator<JsonRow> {
  return readJsonRows(path, options)
}
