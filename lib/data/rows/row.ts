import { basename } from 'node:path'
import type { DataError } from '../../errors.js'

/** Place of a row in its file: for messages (`chains.jsonl:17`) and for the `details` of an error. */
export interface RowPlace {
  text: string
  details: { file: string; line: number } | { file: string; record: number; line?: number }
}

/** One row of a file and the place it came from. */
export interface JsonRow {
  place: RowPlace
  value: unknown
}

export interface ReadRowsOptions {
  /** Called for each row that is malformed, which is then left out. Without it the first one is thrown. */
  onMalformed?: ((error: DataError) => void) | undefined
}

/** Unit in which rows of a file are counted: lines of JSONL and CSV, records of a JSON array and of Parquet. */
export type RowUnit = 'line' | 'record'

/** The place of a row by its number, from 1; `line` is where a record begins, if that is known. */
export function rowPlace(file: string, unit: RowUnit, number: number, line?: number): RowPlace {
  if (unit === 'line') return { text: `${basename(file)}:${number}`, details: { file, line: number } }
  const details = line === undefined ? { file, record: number } : { file, record: number, line }
  return { text: `${basename(file)} record ${number}`, details }
}
