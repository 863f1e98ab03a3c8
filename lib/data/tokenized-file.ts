import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../config/json-object.js'
import { type Example, notScored } from './example.js'
import type { Examples } from './examples.js'
import { type RowUnit, rowPlace } from './rows/row.js'
import { exampleFields, labelsBit, type TokenizedBatch } from './tokenize-batch.js'

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
}

const indexNumbers = 2 + exampleFields
const bytesOf = (array: Int32Array | Uint32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

/** Writes examples into a new folder. */
export class TokenizedWriter {
  private readonly hash = createHash('sha256')
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
  async add({ ids, runs, fields }: TokenizedBatch, count: number): Promise<void> {
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
    const manifest: TokenizedManifest = { examples, tokens, unit, digest: this.hash.digest('hex'), ...sizes }
    await writeFile(join(this.folder, 'manifest.json'), JSON.stringify(manifest), { flush: true })
  }

  async close(): Promise<void> {
    await this.files.tokens.close()
    await this.files.index.close()
  }
}

/** Examples on disk whose tokens take no more than this are read into memory at once. */
const MEMORY_BYTES = 1 << 26

export interface TokenizedExamples extends Examples {
  manifest: TokenizedManifest
}

/** Opens a folder of examples; their places name `file`. Undefined where the folder is none. */
export async function openTokenized(
  folder: string,
  file: string,
  { memoryBytes = MEMORY_BYTES }: { memoryBytes?: number } = {},
): Promise<TokenizedExamples | undefined> {
  const manifest = await readManifest(folder)
  if (manifest === undefined) return undefined
  const paths = { tokens: join(folder, 'tokens.bin'), index: join(folder, 'index.bin') }
  const isWhole = async (path: string, bytes: number) => (await stat(path).catch(() => undefined))?.size === bytes
  if (!(await isWhole(paths.tokens, manifest.tokensBytes)) || !(await isWhole(paths.index, manifest.indexBytes))) return undefined

  const { lengths, scored } = await readLengths(paths.index, manifest.examples)
  const inMemory = manifest.tokensBytes <= memoryBytes ? await readFile(paths.tokens) : undefined
  const indexOf = (index: number) => readNumbers(paths.index, index * indexNumbers * 4, indexNumbers)
  return {
    manifest,
    count: manifest.examples,
    lengthOf: (index) => lengths[index]!,
    scoredTokensOf: (index) => scored[index]!,
    placeOf: (index) => rowPlace(file, manifest.unit, indexOf(index)[6]!).text,
    recordOf: (index) => index,
    answerEndOf: (index) => indexOf(index)[5]!,
    read(index) {
      const [low, high, tokens, kind, scoredTokens, answerEnd, number] = indexOf(index) as unknown as number[]
      const start = (low! + high! * 2 ** 32) * 4
      const length = tokens! + (kind! & (labelsBit - 1))
      const bytes = inMemory?.subarray(start, start + length * 4) ?? readBytes(paths.tokens, start, length * 4)
      const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, length)
      const inputIds = numbers.subarray(0, tokens)
      const rest = numbers.subarray(tokens)
      return {
        place: rowPlace(file, manifest.unit, number!).text,
        inputIds,
        labels: kind! >= labelsBit ? rest : labelsOf(inputIds, rest),
        scoredTokens: scoredTokens!,
        answerEnd: answerEnd!,
      } satisfies Example
    },
  }
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
async function readLengths(path: string, count: number): Promise<{ lengths: Int32Array; scored: Int32Array }> {
  const lengths = new Int32Array(count)
  const scored = new Int32Array(count)
  const step = 1 << 15
  for (let start = 0; start < count; start += step) {
    const rows = Math.min(step, count - start)
    const numbers = readNumbers(path, start * indexNumbers * 4, rows * indexNumbers)
    for (let row = 0; row < rows; row++) {
      lengths[start + row] = numbers[row * indexNumbers + 2]!
      scored[start + row] = numbers[row * indexNumbers + 4]!
    }
  }
  return { lengths, scored }
}

function readNumbers(path: string, offset: number, count: number): Uint32Array {
  const bytes = readBytes(path, offset, count * 4)
  return new Uint32Array(bytes.buffer, bytes.byteOffset, count)
}

function readBytes(path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  const file = openSync(path, 'r')
  try {
    let read = 0
    while (read < length) {
      const got = readSync(file, bytes, read, length - read, offset + read)
      if (got === 0) throw new Error(`expected ${length} bytes at ${offset} of ${path} but it ends before them`)
      read += got
    }
  } finally {
    closeSync(file)
  }
  return bytes
}

function labelsOf(inputIds: Int32Array, runs: Int32Array): Int32Array {
  const labels = new Int32Array(inputIds.length).fill(notScored)
  let at = 0
  for (const [index, run] of runs.entries()) {
    if (index % 2 === 1) labels.set(inputIds.subarray(at, at + run), at)
    at += run
  }
  return labels
}
