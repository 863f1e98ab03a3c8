import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'

/** Bytes that are collected before they are written. */
const BUFFER_BYTES = 1 << 20

/** Appends lines to a file, a megabyte at a time. */
export class LineWriter {
  private readonly file: number
  private pieces: string[] = []
  private pending = 0
  /** Bytes so far. */
  length = 0

  constructor(path: string) {
    this.file = openSync(path, 'w')
  }

  add(line: string): void {
    this.pieces.push(line, '\n')
    const bytes = Buffer.byteLength(line) + 1
    this.length += bytes
    this.pending += bytes
    if (this.pending >= BUFFER_BYTES) this.flush()
  }

  flush(): void {
    const bytes = Buffer.from(this.pieces.join(''))
    for (let written = 0; written < bytes.length; ) written += writeSync(this.file, bytes, written)
    this.pieces = []
    this.pending = 0
  }

  /** Flushes and fsyncs. */
  close(): void {
    this.flush()
    fsyncSync(this.file)
    closeSync(this.file)
  }
}

/** JSON rows on disk that can be read in order and by number; places are on disk too, 8 bytes a row. */
export class RowStore {
  private readonly rows: LineWriter
  private readonly offsets: number
  private offsetBuffer = new Float64Array(1 << 14)
  private buffered = 0
  private reader: { rows: number; offsets: number } | undefined
  count = 0

  constructor(private readonly path: string) {
    this.rows = new LineWriter(path)
    this.offsets = openSync(`${path}.offsets`, 'w')
  }

  add(row: object): void {
    this.offsetBuffer[this.buffered++] = this.rows.length
    this.count += 1
    if (this.buffered === this.offsetBuffer.length) this.flushOffsets()
    this.rows.add(JSON.stringify(row))
  }

  private flushOffsets(): void {
    const bytes = new Uint8Array(this.offsetBuffer.buffer, 0, this.buffered * 8)
    for (let written = 0; written < bytes.length; ) written += writeSync(this.offsets, bytes, written)
    this.buffered = 0
  }

  /** No row can be added afterwards. */
  finish(): void {
    // Sentinel: the end of the last row.
    this.offsetBuffer[this.buffered++] = this.rows.length
    this.flushOffsets()
    closeSync(this.offsets)
    this.rows.close()
    this.reader = { rows: openSync(this.path, 'r'), offsets: openSync(`${this.path}.offsets`, 'r') }
  }

  /** One row, read from disk. */
  read<T>(row: number): T {
    const { rows, offsets } = this.reader!
    const places = new Float64Array(2)
    readSync(offsets, places, 0, 16, row * 8)
    const bytes = Buffer.allocUnsafe(places[1]! - places[0]!)
    for (let read = 0; read < bytes.length; ) read += readSync(rows, bytes, read, bytes.length - read, places[0]! + read)
    return JSON.parse(bytes.toString('utf8')) as T
  }

  /** All rows in order. */
  *all<T>(): Generator<T> {
    const { rows } = this.reader!
    const chunk = Buffer.allocUnsafe(BUFFER_BYTES)
    let rest: Buffer = Buffer.alloc(0)
    for (let at = 0; ; ) {
      const got = readSync(rows, chunk, 0, chunk.length, at)
      if (got === 0) return
      at += got
      const end = chunk.subarray(0, got).lastIndexOf(0x0a)
      if (end < 0) {
        rest = Buffer.concat([rest, chunk.subarray(0, got)])
        continue
      }
      const text = Buffer.concat([rest, chunk.subarray(0, end)]).toString('utf8')
      rest = Buffer.from(chunk.subarray(end + 1, got))
      for (const line of text.split('\n')) yield JSON.parse(line) as T
    }
  }

  close(): void {
    if (this.reader === undefined) return
    closeSync(this.reader.rows)
    closeSync(this.reader.offsets)
  }
}
