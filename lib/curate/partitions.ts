import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export const partitionCount = 64

/** Records that a partition collects before they are written. */
const BUFFERED = 4096

/**
 * Rows by a key, on disk: for finding rows that share a key among more of them than memory has room for. A partition is read
 * as a whole; with 64 of them, ten million rows make partitions of 1.2 MB.
 */
export class KeyedRows {
  private readonly files: number[]
  private readonly buffers = Array.from({ length: partitionCount }, () => new Uint32Array(2 * BUFFERED))
  private readonly used = new Uint32Array(partitionCount)

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true })
    this.files = Array.from({ length: partitionCount }, (_, partition) => openSync(this.path(partition), 'w'))
  }

  private path(partition: number): string {
    return join(this.folder, String(partition))
  }

  /** `key` is below 2³², `row` too. */
  add({ partition, key }: { partition: number; key: number }, row: number): void {
    const buffer = this.buffers[partition]!
    // Key and row as one 64-bit number, which sorts by key, then by row.
    buffer[this.used[partition]!] = row
    buffer[this.used[partition]! + 1] = key
    this.used[partition]! += 2
    if (this.used[partition] === buffer.length) this.flush(partition)
  }

  private flush(partition: number): void {
    const records = this.buffers[partition]!.subarray(0, this.used[partition])
    const bytes = new Uint8Array(records.buffer, 0, records.byteLength)
    for (let written = 0; written < bytes.length; ) written += writeSync(this.files[partition]!, bytes, written)
    this.used[partition] = 0
  }

  /** Rows that share a key, in groups of two or more, each ascending. No row can be added afterwards. */
  *groups(): Generator<number[]> {
    for (let partition = 0; partition < partitionCount; partition++) this.flush(partition)
    for (const file of this.files) closeSync(file)
    for (let partition = 0; partition < partitionCount; partition++) {
      const bytes = readFileSync(this.path(partition))
      const records = new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)).sort()
      for (let start = 0; start < records.length; ) {
        const key = records[start]! >> 32n
        let end = start + 1
        while (end < records.length && records[end]! >> 32n === key) end += 1
        if (end - start > 1) yield Array.from(records.subarray(start, end), (record) => Number(record & 0xffffffffn))
        start = end
      }
    }
  }
}

/** A set of row numbers, one bit each. */
export class RowSet {
  private bits = new Uint8Array(1 << 16)

  add(row: number): void {
    const byte = row >> 3
    if (byte >= this.bits.length) {
      const grown = new Uint8Array(Math.max(2 * this.bits.length, byte + 1))
      grown.set(this.bits)
      this.bits = grown
    }
    this.bits[byte]! |= 1 << (row & 7)
  }

  has(row: number): boolean {
    return ((this.bits[row >> 3] ?? 0) & (1 << (row & 7))) !== 0
  }
}
