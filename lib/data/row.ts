import type { DataError } from '../errors.js'

/** Where a row stands in its file: for messages (`chains.jsonl:17`) and for the `details` of an error. */
export interface RowPlace {
  text: string
  details: { file: string; line: number } | { file: string; record: number }
}

/** One JSON value of a file and the place it came from. */
export interface JsonRow {
  place: RowPlace
  value: unknown
}

export interface ReadRowsOptions {
  /** Called for each row that is malformed, which is then left out. Without it the first one is thrown. */
  onMalformed?: ((error: DataError) => void) | undefined
}
