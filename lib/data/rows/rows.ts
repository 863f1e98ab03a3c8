import { basename, extname } from 'node:path'
import { readCsvRows } from './csv-rows.js'
import { compressionOf, compressionOfBytes, notReadable, readBytes } from './file-bytes.js'
import { readJsonArray, readJsonLines } from './json-rows.js'
import { readParquetRows } from './parquet-rows.js'
import type { JsonRow, ReadRowsOptions } from './row.js'
import { parseBatch, type RowBatch } from './row-batch.js'

/**
 * The rows of one file, one at a time: a file of any size is read in bounded memory. JSONL, a JSON array, CSV and TSV (with a
 * header), each also packed by gzip or zstd, and Parquet; CSV and TSV are known by the end of their name, the others by
 * their content. Blank lines, a byte order mark and Windows line ends are fine.
 *
 * Throws DATA_NOT_FOUND, and DATA_MALFORMED naming file and line.
 */
export async function* readRows(path: string, options: ReadRowsOptions = {}): AsyncGenerator<JsonRow> {
  for await (const batch of readBatches(path, options)) yield* parseBatch(batch, options)
}

/** The rows of one file in batches that are not parsed yet, for `parseBatch` in this thread or another. */
export async function* readBatches(path: string, options: ReadRowsOptions = {}): AsyncGenerator<RowBatch> {
  const compression = await compressionOf(path)
  if (compression === 'parquet') return yield* readParquetRows(path)
  if (compression !== 'none' && compression !== 'gzip' && compression !== 'zstd')
    throw notReadable(path, foreignFormats[compression])
  const bytes = readBytes(path, compression)
  const ending = extname(basename(path).replace(/\.(gz|gzip|zst|zstd)$/i, '')).toLowerCase()
  if (ending === '.csv' || ending === '.tsv') return yield* readCsvRows(bytes, path, options)
  const { first, bytes: beginning, all } = await peek(bytes)
  const inner = foreignContent(beginning)
  if (inner !== undefined) throw notReadable(path, compression === 'none' ? inner : `inside of ${compression} ${inner}`)
  yield* first === '[' ? readJsonArray(all, path) : readJsonLines(all, path)
}

const foreignFormats = {
  lfs: 'it is a pointer of Git LFS to the file',
  arrow: 'it is an Arrow file, which is not read here: write Parquet (to_parquet in the datasets library)',
  zip: 'it is a zip archive: unpack it',
  xz: 'it is packed by xz: unpack it, or pack it by zstd or gzip',
  bzip2: 'it is packed by bzip2: unpack it, or pack it by zstd or gzip',
}

/** Magic numbers of files that are no text in UTF-8. */
function foreignContent(beginning: Uint8Array): string | undefined {
  const found = compressionOfBytes(beginning)
  if (found !== 'none') return `it is ${found} again: unpack it`
  const isUtf16 = (beginning[0] === 0xff && beginning[1] === 0xfe) || (beginning[0] === 0xfe && beginning[1] === 0xff)
  return isUtf16 ? 'it is text in UTF-16: convert it, for example with iconv -f utf-16 -t utf-8' : undefined
}

/** The first character that is not white space or a byte order mark, and all of the bytes. */
async function peek(
  bytes: AsyncGenerator<Uint8Array>,
): Promise<{ first: string; bytes: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const seen: Uint8Array[] = []
  let first = ''
  while (first === '') {
    const { value, done } = await bytes.next()
    if (done) break
    seen.push(value)
    first = Buffer.from(value.subarray(0, 1 << 16))
      .toString('utf8')
      .trim()
      .charAt(0)
  }
  async function* all() {
    yield* seen
    yield* bytes
  }
  return { first, bytes: seen[0] ?? new Uint8Array(0), all: all() }
}
