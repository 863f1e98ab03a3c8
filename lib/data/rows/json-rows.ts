import { type RowUnit, rowPlace } from './row.js'
import { batchBytes, type JsonBatch, MAX_ROW_BYTES, malformed, tooLong } from './row-batch.js'

type Chunks = AsyncIterable<Uint8Array>

const newline = 0x0a
const backslash = 0x5c
const quote = 0x22
const comma = 0x2c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Bytes that became rows, collected until they are a batch. */
class BatchBuilder {
  private pieces: Uint8Array[] = []
  private spans: number[] = []
  private length = 0

  constructor(
    private readonly file: string,
    private readonly unit: RowUnit,
  ) {}

  get isFull(): boolean {
    return !this.isEmpty && this.length >= batchBytes
  }

  /** Adds bytes and, when they complete it, a row that ends with them and began `rowLength` bytes before their end. */
  add(bytes: Uint8Array, row?: { length: number; number: number; line: number }): void {
    if (bytes.length > 0) this.pieces.push(bytes)
    this.length += bytes.length
    if (row !== undefined) this.spans.push(this.length - row.length, this.length, row.number, row.line)
  }

  /** The rows so far; the bytes of one that is not complete stay. */
  take(): JsonBatch {
    const all = new Uint8Array(this.length)
    let at = 0
    for (const piece of this.pieces) {
      all.set(piece, at)
      at += piece.length
    }
    const end = this.spans.at(-3)!
    const batch: JsonBatch = {
      kind: 'json',
      file: this.file,
      unit: this.unit,
      bytes: end === all.length ? all : all.slice(0, end),
      spans: Uint32Array.from(this.spans),
    }
    this.pieces = end === all.length ? [] : [all.slice(end)]
    this.spans = []
    this.length = all.length - end
    return batch
  }

  get isEmpty(): boolean {
    return this.spans.length === 0
  }
}

/**
 * The lines of a JSONL file. Lines end at `\n` alone: Node's readline also breaks them at U+2028 and U+2029, which may
 * stand unescaped inside a JSON string.
 */
export async function* readJsonLines(chunks: Chunks, file: string): AsyncGenerator<JsonBatch> {
  const builder = new BatchBuilder(file, 'line')
  let line = 1
  let rowLength = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      rowLength += end - start
      builder.add(chunk.subarray(start, end), { length: rowLength, number: line, line })
      if (builder.isFull) yield builder.take()
      rowLength = 0
      line += 1
      start = end + 1
    }
    builder.add(chunk.subarray(start))
    rowLength += chunk.length - start
    if (rowLength > MAX_ROW_BYTES) throw tooLong(rowPlace(file, 'line', line))
  }
  if (rowLength > 0) builder.add(new Uint8Array(0), { length: rowLength, number: line, line })
  if (!builder.isEmpty) yield builder.take()
}

/**
 * The elements of a file that holds one JSON array, found by counting brackets outside of strings, so that a file of any
 * size is never in memory as a whole. Throws DATA_MALFORMED for an array that is not closed or that text follows.
 */
export async function* readJsonArray(chunks: Chunks, file: string): AsyncGenerator<JsonBatch> {
  const scanner = new ArrayScanner(file)
  for await (const chunk of chunks) {
    scanner.scan(chunk)
    if (scanner.builder.isFull) yield scanner.builder.take()
  }
  if (!scanner.builder.isEmpty) yield scanner.builder.take()
  scanner.end()
}

class ArrayScanner {
  readonly builder: BatchBuilder
  private state: 'before' | 'inside' | 'after' = 'before'
  /** Brackets that are open within the current element. */
  private depth = 0
  private inString = false
  private escaped = false
  private line = 1
  private record = 1
  /** The line that the element at hand begins in, 0 between elements, and its bytes in earlier chunks. */
  private rowLine = 0
  private rowLength = 0
  private afterComma = false

  constructor(private readonly file: string) {
    this.builder = new BatchBuilder(file, 'record')
  }

  /** Gives the builder the elements that end in this chunk, and the beginning of one that does not. */
  scan(chunk: Uint8Array): void {
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (byte === newline) this.line += 1
      if (this.inString) {
        this.stepInString(byte)
      } else if (this.state !== 'inside') {
        this.stepOutside(byte)
      } else if (this.depth === 0 && (byte === comma || byte === closeBracket)) {
        this.endRow(chunk.subarray(start, at), byte)
      } else if (this.rowLine > 0 || !isSpace(byte)) {
        if (this.rowLine === 0) start = at
        this.stepInRow(byte)
      }
      // Bytes between elements are not kept.
      if (this.rowLine === 0) start = at + 1
    }
    if (this.rowLine === 0) return
    this.builder.add(chunk.subarray(start))
    this.rowLength += chunk.length - start
    if (this.rowLength > MAX_ROW_BYTES) throw tooLong(rowPlace(this.file, 'record', this.record, this.rowLine))
  }

  private stepInString(byte: number): void {
    if (this.escaped) this.escaped = false
    else if (byte === backslash) this.escaped = true
    else if (byte === quote) this.inString = false
  }

  private stepOutside(byte: number): void {
    if (this.state === 'before' && byte === openBracket) this.state = 'inside'
    else if (this.state === 'after' && !isSpace(byte)) throw arrayMalformed(this.file, this.line, 'received text after its end')
  }

  private stepInRow(byte: number): void {
    if (this.rowLine === 0) this.rowLine = this.line
    if (byte === quote) this.inString = true
    else if (byte === openBracket || byte === openBrace) this.depth += 1
    else if (byte === closeBracket || byte === closeBrace) this.depth -= 1
  }

  /** An element that is missing, between two commas or after the last one, is a row that is no JSON. */
  private endRow(rest: Uint8Array, byte: number): void {
    const isMissing = this.rowLine === 0
    if (!isMissing || byte === comma || this.afterComma) {
      const length = isMissing ? 0 : this.rowLength + rest.length
      this.builder.add(isMissing ? rest.subarray(0, 0) : rest, { length, number: this.record++, line: this.rowLine || this.line })
    }
    this.rowLine = 0
    this.rowLength = 0
    this.afterComma = byte === comma
    if (byte === closeBracket) this.state = 'after'
  }

  end(): void {
    if (this.state !== 'after') throw arrayMalformed(this.file, this.line, 'it is not closed')
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d
}

function arrayMalformed(file: string, line: number, problem: string): Error {
  const place = rowPlace(file, 'line', line)
  return malformed(place, `expected one JSON array, because the file starts with "[", but ${problem}`, 'Mend the file.')
}
