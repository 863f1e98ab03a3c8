import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../config/json-object.js'
import type { Example } from './example.js'
import type { ExampleInfo, ExamplesPart } from './examples.js'
import { type FileNotes, NoteCollector } from './file-notes.js'
import { type RowUnit, rowPlace } from './rows/row.js'
import { exampleFields, labelsBit, labelsOfRuns, type TokenizedBatch } from './tokenize-batch.js'

/**
 * Examples on disk: a folder with
 *
 *     tokens.bin    of each example its ids and then its runs (or labels), int32
 *     index.bin     of each example where that begins (two uint32, low and high, in int32s) and its fields, uint32
 *     manifest.json sizes, sums and a digest of all ids and labels
 *
 * All in the byte order of the machine. A folder without a manifest, or whose files have other sizes, is none.
 */
export interface TokenizedManifest {
  examples: number
  tokens: number
  unit: RowUnit
  /** SHA-256 of every number in tokens.bin. */
  digest: string
  tokensBytes: number
  indexBytes: number
  notes: FileNotes
}

const indexNumbers = 2 + exampleFields
const bytesOf = (array: Int32Array | Uint32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/** Writes examples into a new folder. */
export class TokenizedWriter {
  private readonly hash = createHash('sha256')
  private readonly collector = new NoteCollector()
  private readonly sums = { examples: 0, tokens: 0, numbers: 0 }

  private constructor(
    private readonly folder: string,
    private readonly files: { tokens: FileHandle; index: FileHandle },
  ) {}

  static async create(folder: string): Promise<TokenizedWriter> {
    await mkdir(folder, { recursive: true })
    const tokens = await open(join(folder, 'tokens.bin'), 'w')
    return new TokenizedWriter(folder, { tokens, index: await open(join(folder, 'index.bin'), 'w') })
  }

  /** Adds the first `count` examples of a batch. */
  async add({ ids, runs, fields, notes }: TokenizedBatch, count: number): Promise<void> {
    this.collector.add(notes)
    const index = new Uint32Array(count * indexNumbers)
    const numbers = new Int32Array(ids.length + runs.length)
    let [length, idsRead, runsRead] = [0, 0, 0]
    for (let example = 0; example < count; example++) {
      const own = fields.subarray(example * exampleFields, (example + 1) * exampleFields)
      const [tokens, kind] = [own[0]!, own[1]! & (labelsBit - 1)]
      const start = this.sums.numbers + length
      index.set([start % 2 ** 32, Math.floor(start / 2 ** 32), ...own], example * indexNumbers)
      numbers.set(ids.subarray(idsRead, idsRead + tokens), length)
      numbers.set(runs.subarray(runsRead, runsRead + kind), length + tokens)
      length += tokens + kind
      idsRead += tokens
      runsRead += kind
    }
    const written = bytesOf(numbers.subarray(0, length))
    this.hash.update(written)
    await this.files.tokens.writeFile(written)
    await this.files.index.writeFile(bytesOf(index))
    this.sums.examples += count
    this.sums.tokens += idsRead
    this.sums.numbers += length
  }

  /** Makes everything durable; the manifest comes last. */
  async finish(unit: RowUnit): Promise<void> {
    await Promise.all([this.files.tokens.sync(), this.files.index.sync()])
    await this.close()
    const { examples, tokens, numbers } = this.sums
    const sizes = { tokensBytes: numbers * 4, indexBytes: examples * indexNumbers * 4 }
    const manifest: TokenizedManifest = {
      examples,
      tokens,
      unit,
      digest: this.hash.digest('hex'),
      ...sizes,
      notes: this.collector.notes,
    }
    await writeFile(join(this.folder, 'manifest.json'), JSON.stringify(manifest), { flush: true })
  }

  async close(): Promise<void> {
    await this.files.tokens.close()
    await this.files.index.close()
  }
}

/** Layout of an example's entry in index.bin. */
const at = { low: 0, high: 1, tokens: 2, kind: 3, scored: 4, answerEnd: 5, number: 6 } as const

/** Examples whose tokens take no more than this are read into memory as a whole. */
const MEMORY_BYTES = 1 << 26

export interface TokenizedExamples extends ExamplesPart {
  manifest: TokenizedManifest
}

interface InfoSource {
  lengths: Int32Array
  scored: Int32Array
  fieldsOf: (example: number) => Uint32Array
  placeOf: (fields: Uint32Array) => string
}

/** Lengths and scored tokens are in memory; place and answer end are read from the index when they are asked for. */
class TokenizedInfo implements ExampleInfo {
  constructor(
    private readonly source: InfoSource,
    private readonly example: number,
    readonly record: number,
  ) {}

  get length(): number {
    return this.source.lengths[this.example]!
  }

  get scoredTokens(): number {
    return this.source.scored[this.example]!
  }

  get place(): string {
    return this.source.placeOf(this.source.fieldsOf(this.example))
  }

  get answerEnd(): number {
    return this.source.fieldsOf(this.example)[at.answerEnd]!
  }
}

/** Opens a folder of examples; their places name `file`. Undefined where the folder is none. */
export async function openTokenized(
  folder: string,
  file: string,
  { memoryBytes = MEMORY_BYTES }: { memoryBytes?: number } = {},
): Promise<TokenizedExamples | undefined> {
  const manifest = await readManifest(folder)
  if (manifest === undefined) return undefined
  const isSmall = manifest.tokensBytes <= memoryBytes
  const open = (name: string, bytes: number) => openBytes(join(folder, name), bytes, isSmall)
  const tokens = open('tokens.bin', manifest.tokensBytes)
  const index = open('index.bin', manifest.indexBytes)
  if (tokens === undefined || index === undefined) return undefined

  const { lengths, scored } = readLengths(index, manifest.examples)
  const fieldsOf = (example: number) => uint32s(index(example * indexNumbers * 4, indexNumbers * 4))
  const placeOf = (fields: Uint32Array) => rowPlace(file, manifest.unit, fields[at.number]!).text
  const source: InfoSource = { lengths, scored, fieldsOf, placeOf }
  return {
    manifest,
    count: manifest.examples,
    infoOf: (example, firstRecord = 0) => new TokenizedInfo(source, example, firstRecord + example),
    read(example) {
      const fields = fieldsOf(example)
      const start = (fields[at.low]! + fields[at.high]! * 2 ** 32) * 4
      const [count, kind] = [fields[at.tokens]!, fields[at.kind]!]
      const length = count + (kind & (labelsBit - 1))
      const bytes = tokens(start, length * 4)
      const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, length)
      const inputIds = numbers.subarray(0, count)
      const rest = numbers.subarray(count)
      return {
        place: placeOf(fields),
        inputIds,
        labels: kind >= labelsBit ? rest : labelsOfRuns(inputIds, rest),
        scoredTokens: fields[at.scored]!,
        answerEnd: fields[at.answerEnd]!,
      } satisfies Example
    },
  }
}

/** Bytes of a file by place and length. */
type Bytes = (offset: number, length: number) => Uint8Array

/** Closes a file when nobody can read from it any more. */
const openFiles = new FinalizationRegistry<number>((file) => closeSync(file))

/**
 * The bytes of a file that has `size` of them, undefined where it has not. It is opened once: it can be read for as long as
 * anybody wants, whatever becomes of its name.
 */
function openBytes(path: string, size: number, inMemory: boolean): Bytes | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  const read: Bytes = (offset, length) => {
    const bytes = new Uint8Array(length)
    for (let got = 0; got < length; ) {
      const more = readSync(file, bytes, got, length - got, offset + got)
      if (more === 0) throw new Error(`expected ${length} bytes at ${offset} of ${path} but it ends before them`)
      got += more
    }
    return bytes
  }
  if (fstatSync(file).size !== size) {
    closeSync(file)
    return undefined
  }
  if (!inMemory) {
    openFiles.register(read, file)
    return read
  }
  const all = read(0, size)
  closeSync(file)
  return (offset, length) => all.subarray(offset, offset + length)
}

async function readManifest(folder: string): Promise<TokenizedManifest | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))
    return isJsonObject(manifest) ? (manifest as unknown as TokenizedManifest) : undefined
  } catch {
    return undefined
  }
}

/** Lengths and scored tokens of all examples, read piece by piece: they are what is kept in memory, 8 bytes an example. */
function readLengths(index: Bytes, count: number): { lengths: Int32Array; scored: Int32Array } {
  const lengths = new Int32Array(count)
  const scored = new Int32Array(count)
  const step = 1 << 15
  for (let start = 0; start < count; start += step) {
    const rows = Math.min(step, count - start)
    const numbers = uint32s(index(start * indexNumbers * 4, rows * indexNumbers * 4))
    for (let row = 0; row < rows; row++) {
      lengths[start + row] = numbers[row * indexNumbers + at.tokens]!
      scored[start + row] = numbers[row * indexNumbers + at.scored]!
    }
  }
  return { lengths, scored }
}

function uint32s(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}
