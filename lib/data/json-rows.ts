import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { DataError } from '../errors.js'
import type { JsonRow, ReadRowsOptions, RowPlace } from './row.js'

/**
 * The rows of a JSONL file, or of a file that holds one JSON array; which of them it is shows in its first character.
 * JSONL is read line by line, so that a large file is never in memory as a whole. Blank lines, a byte order mark and
 * Windows line ends are fine.
 *
 * Throws DATA_NOT_FOUND, and DATA_MALFORMED for what is not JSON or not UTF-8.
 */
export async function* readJsonRows(path: string, options: ReadRowsOptions = {}): AsyncGenerator<JsonRow> {
  const first = await firstCharacter(path)
  if (first === '[') yield* readJsonArray(path)
  else yield* readJsonLines(path, options)
}

async function* readJsonLines(path: string, { onMalformed }: ReadRowsOptions): AsyncGenerator<JsonRow> {
  for await (const { bytes, line } of readLines(path)) {
    const place: RowPlace = { text: `${basename(path)}:${line}`, details: { file: path, line } }
    try {
      const text = decodeUtf8(bytes, place)
      if (text.trim() !== '') yield { place, value: parseJson(text, place, 'one JSON object on each line') }
    } catch (error) {
      if (onMalformed === undefined || !(error instanceof DataError)) throw error
      onMalformed(error)
    }
  }
}

async function* readJsonArray(path: string): AsyncGenerator<JsonRow> {
  const name = basename(path)
  const wholeFile: RowPlace = { text: name, details: { file: path, line: 1 } }
  const text = decodeUtf8(await readFile(path), wholeFile)
  const rows = parseJson(text, wholeFile, 'one JSON array, because the file starts with "[",') as unknown[]
  for (const [index, value] of rows.entries()) {
    const record = index + 1
    yield { place: { text: `${name} record ${record}`, details: { file: path, record } }, value }
  }
}

/**
 * The lines of a file as bytes, without their line ends. Node's readline is not used because it also breaks lines
 * at U+2028 and U+2029, which may stand unescaped inside a JSON string.
 */
async function* readLines(path: string): AsyncGenerator<{ bytes: Buffer; line: number }> {
  const newline = 0x0a
  let pending: Buffer[] = []
  let line = 1
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      yield { bytes: Buffer.concat([...pending, chunk.subarray(start, end)]), line }
      pending = []
      line += 1
      start = end + 1
    }
    if (start < chunk.length) pending.push(chunk.subarray(start))
  }
  if (pending.length > 0) yield { bytes: Buffer.concat(pending), line }
}

/** The first character of a file that is not white space or a byte order mark; '' where there is none in its first 64 KiB. */
async function firstCharacter(path: string): Promise<string> {
  try {
    // Before it is opened, which waits for a writer at a pipe.
    const status = await stat(path)
    if (!status.isFile()) throw notReadable(path, status.isDirectory() ? 'it is a folder' : notAFile)
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(65536), position: 0 })
      return buffer.toString('utf8', 0, bytesRead).trim().charAt(0)
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause
    throw notReadable(path, (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : String(cause), cause)
  }
}

const notAFile = 'it is a pipe or a device, which cannot be read more than once: write its rows to a file'

function notReadable(path: string, problem: string, cause?: unknown): DataError {
  return new DataError(
    'DATA_NOT_FOUND',
    `expected a JSONL file, or a JSON file with one array, at ${path}, but ${problem}. Check the path, and dataset_dir.`,
    { file: path },
    { cause },
  )
}

function decodeUtf8(bytes: Buffer, place: RowPlace): string {
  try {
    // TextDecoder drops a byte order mark
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new DataError(
      'DATA_MALFORMED',
      `${place.text}: expected text in UTF-8 but received other bytes. Convert the file, for example with iconv -t utf-8.`,
      place.details,
      { cause },
    )
  }
}

function parseJson(text: string, place: RowPlace, expected: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const { message } = cause as Error
    const position = /at position (\d+)/.exec(message)
    const details = { ...place.details }
    if (position !== null && 'line' in details) details.line += text.slice(0, Number(position[1])).split('\n').length - 1
    throw new DataError(
      'DATA_MALFORMED',
      `${place.text}: expected ${expected} but received text that is not valid JSON (${message}). Mend or remove it.`,
      details,
      { cause },
    )
  }
}
