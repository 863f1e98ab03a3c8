import type { JsonObject } from '../../config/json-object.js'
import { DataError } from '../../errors.js'
import type { RowPlace } from './row.js'

/** A record as its file has it. */
export type Row = JsonObject

/** A list, which CSV and some Parquet files have as JSON text. */
export function parseList(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*\[/.test(value)) return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

/** NaN is what pandas writes where there is nothing. */
export function hasContent(value: unknown): boolean {
  return value != null && !Number.isNaN(value) && value !== '' && value !== '[]' && !(Array.isArray(value) && value.length === 0)
}

export function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value === 'object') return `an object with {${Object.keys(value).join(', ')}}`
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Whether NaN or an infinity is somewhere in a value: JSON has no way to write it. */
export function hasUnwritable(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnwritable)
}

export function invalidRecord(place: RowPlace, problem: string, remedy: string): DataError {
  return new DataError('DATA_INVALID_RECORD', `${place.text}: ${problem}. ${remedy}`, place.details)
}
