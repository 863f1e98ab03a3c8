import { isUtf8 } from 'node:buffer'
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { rowPlace } from './row.js'
import { malformed, type ValueBatch } from './row-batch.js'

/** Rows of a batch. */
const rowsPerBatch = 256

/**
 * The rows of a Parquet file, one row group at a time: that is what has to be in memory at once. 64-bit integers become
 * numbers, or text where a number cannot hold them. Throws DATA_MALFORMED.
 */
export async function* readParquetRows(path: string): AsyncGenerator<ValueBatch> {
  const fail = (cause: unknown, record: number) =>
    malformed(
      rowPlace(path, 'record', record),
      `expected Parquet but it cannot be read (${(cause as Error).message})`,
      'Write it anew.',
      {
        cause,
      },
    )
  const file = await asyncBufferFromFile(path)
  let metadata: FileMetaData
  let asWritten: ReadonlySet<string>
  try {
    metadata = await parquetMetadataAsync(file)
    checkColumns(metadata)
    asWritten = jsonColumns(metadata)
  } catch (cause) {
    throw fail(cause, 1)
  }
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    let rows: Record<string, unknown>[]
    try {
      rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors })
    } catch (cause) {
      throw fail(cause, rowStart + 1)
    }
    for (let start = 0; start < rows.length; start += rowsPerBatch) {
      const values = rows.slice(start, start + rowsPerBatch).map((row) => plainRow(row, asWritten))
      yield {
        kind: 'values',
        file: path,
        unit: 'record',
        numbers: values.map((_, index) => rowStart + start + index + 1),
        values,
      }
    }
    rowStart = rowEnd
  }
}

/**
 * Whether every row group has the columns of the schema, each once: a column that is read and belongs nowhere would end the process
 * when it cannot be unpacked, for nothing waits for it.
 */
function checkColumns(metadata: FileMetaData): void {
  const leaves = leavesOf(parquetSchema(metadata)).sort().join('\n')
  for (const { columns, num_rows: rows } of metadata.row_groups) {
    const paths = columns.map(({ meta_data: column }) => column?.path_in_schema.join('.') ?? '')
    if (paths.sort().join('\n') !== leaves) throw new Error('a row group has other columns than the schema')
    if (!(rows >= 0n && rows <= BigInt(Number.MAX_SAFE_INTEGER))) throw new Error(`a row group of ${rows} rows`)
  }
}

function leavesOf(tree: SchemaTree): string[] {
  return tree.children.length === 0 ? [tree.path.join('.')] : tree.children.flatMap(leavesOf)
}

/** Columns of JSON text, whose nulls were written. */
function jsonColumns(metadata: FileMetaData): ReadonlySet<string> {
  const isJson = ({ element }: SchemaTree) => element.converted_type === 'JSON' || element.logical_type?.type === 'JSON'
  return new Set(
    parquetSchema(metadata)
      .children.filter(isJson)
      .map(({ element }) => element.name),
  )
}

function plainRow(row: Record<string, unknown>, asWritten: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value, asWritten.has(name))]))
}

/**
 * A value as JSON has it. In a struct null is a key that its row does not have, unless `keepsNull`: all structs of a column have the same
 * keys, so that a tool that takes one parameter would be shown with those of all others.
 */
function plain(value: unknown, keepsNull: boolean): unknown {
  // A whole number that a double cannot hold stays as it is written.
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Uint8Array && isUtf8(value)) return Buffer.from(value).toString('utf8')
  const inner = (item: unknown) => plain(item, keepsNull)
  if (Array.isArray(value)) return value.map(inner)
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, inner)
  if (value instanceof Date) return value.toISOString()
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => keepsNull || item !== null)
  return Object.fromEntries(entries.map(([key, item]) => [key, inner(item)]))
}
