import { createHash, randomUUID } from 'node:crypto'
import { rename, rm, stat, utimes } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { removeUnused, temporaryPrefix, userCacheFolder, writableFolder } from '../cache/cache-folder.js'
import { digestOfCode, digestOfFile } from '../cache/file-digest.js'
import { DataError, type ErrorCode } from '../errors.js'
import type { RowUnit } from './rows/row.js'
import { readBatches } from './rows/rows.js'
import { tokenize, workersFor } from './tokenize.js'
import { exampleFields, type TokenizedBatch, type TokenizeWork } from './tokenize-batch.js'
import { openTokenized, type TokenizedExamples, TokenizedWriter } from './tokenized-file.js'

export interface CacheOptions {
  /** The folder of the cache; the user's own without. */
  folder?: string | undefined
  /** Take only the first so many rows of the file. */
  maxSamples?: number | undefined
  /** Worker threads for a large file. */
  workers: number
  signal?: AbortSignal | undefined
  /** Told now and then how far the tokenizing of a file is. */
  onProgress?: ((progress: TokenizingProgress) => void) | undefined
}

export interface TokenizingProgress {
  file: string
  /** So far. */
  examples: number
  tokens: number
}

/**
 * The examples of one file of rows: from the cache where the same content was turned into examples in the same way before,
 * else made and kept. The key of an entry is a digest of the file's content, of the tokenizer's and the template's files, and
 * of every setting that an id or a label depends on. Names and dates are not in it.
 *
 * The code that makes them is part of the key, so that another release never reads what this one would make otherwise.
 *
 * Throws what reading and parsing the rows throws, for the first row that is wrong, and WRITE_FAILED.
 */
export async function readExamples(file: string, work: TokenizeWork, options: CacheOptions): Promise<TokenizedExamples> {
  const folder = options.folder === undefined ? userCacheFolder() : resolve(options.folder)
  const before = await identityOf(file)
  const key = await cacheKey(file, work, folder, options.maxSamples)
  const known = await openTokenized(join(folder, key), file)
  if (known !== undefined) {
    const now = new Date()
    // Says that the entry was used; a cache that may only be read does as well.
    await utimes(join(folder, key, 'manifest.json'), now, now).catch(() => {})
    return known
  }
  const writable = options.folder === undefined ? await writableFolder(folder) : folder
  await orWriteFailed(writable, removeUnused(writable))
  return make(file, work, { ...options, folder: writable, key, before })
}

interface Making extends CacheOptions {
  folder: string
  key: string
  /** Identity of the file before its content was digested. */
  before: string
}

async function make(file: string, work: TokenizeWork, options: Making): Promise<TokenizedExamples> {
  const { folder, key, before, maxSamples = Infinity, workers, signal, onProgress } = options
  const temporary = join(folder, `${temporaryPrefix}${randomUUID()}`)
  const writer = await orWriteFailed(folder, TokenizedWriter.create(temporary))
  let unit: RowUnit = 'line'
  let [examples, tokens] = [0, 0]
  try {
    const rows = (async function* () {
      for await (const batch of readBatches(file)) {
        unit = batch.unit
        yield batch
      }
    })()
    for await (const batch of tokenize(rows, work, { workers: await workersFor(file, workers), signal })) {
      const count = Math.min(countOf(batch), maxSamples - examples)
      const problem = batch.problems.find(({ after }) => after < count || (after === count && examples + count < maxSamples))
      if (problem !== undefined) throw new DataError(problem.code as ErrorCode, problem.message, problem.details)
      await orWriteFailed(folder, writer.add(batch, count))
      examples += count
      tokens += batch.ids.length
      onProgress?.({ file, examples, tokens })
      if (examples === maxSamples) break
    }
    if ((await identityOf(file)) !== before) {
      throw new DataError('DATA_MALFORMED', `${file}: it was changed while it was read. Start again when it is complete.`, {
        file,
      })
    }
    await orWriteFailed(folder, writer.finish(unit))
    await orWriteFailed(folder, publish(temporary, join(folder, key)))
  } finally {
    await writer.close().catch(() => {})
    await rm(temporary, { recursive: true, force: true })
  }
  return (await openTokenized(join(folder, key), file))!
}

/** Identity of a file's content, which changes when the file is written to: size, dates, inode. */
async function identityOf(file: string): Promise<string> {
  const status = await stat(file, { bigint: true }).catch(() => undefined)
  return status === undefined ? '' : [status.size, status.mtimeNs, status.ctimeNs, status.ino].join()
}

async function orWriteFailed<T>(folder: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    throw new DataError(
      'WRITE_FAILED',
      `cannot write tokenized examples into ${folder}: ${(cause as Error).message}. Make room, or set tokenized_path to a folder that has it.`,
      { folder },
      { cause },
    )
  }
}

const countOf = ({ fields }: TokenizedBatch) => fields.length / exampleFields

/**
 * Publishes an entry by a rename. If another process has published the same one meanwhile, that one stays: it may be in use.
 */
async function publish(temporary: string, entry: string): Promise<void> {
  const isThere = (error: unknown) => ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')
  try {
    await rename(temporary, entry)
  } catch (error) {
    if (!isThere(error)) throw error
    if ((await openTokenized(entry, '')) !== undefined) return
    // The entry that is there is damaged: replace it.
    await rename(entry, `${temporary}-replaced`)
    await rename(temporary, entry)
    await rm(`${temporary}-replaced`, { recursive: true, force: true })
  }
}

let codeDigest: Promise<string> | undefined

/** The code that turns rows into examples. */
const codeFolders = ['./', '../answer/', '../cache/', '../random/']

function digestOfDataCode(): Promise<string> {
  codeDigest ??= digestOfCode(...codeFolders.map((folder) => new URL(folder, import.meta.url)))
  return codeDigest
}

/** The files of a model folder that ids and rendered text depend on. */
const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'chat_template.json']

async function cacheKey(file: string, work: TokenizeWork, folder: string, maxSamples: number | undefined): Promise<string> {
  const { modelFolder, ...settings } = work
  const hash = createHash('sha256')
  // Formats known only by a name's extension: the same bytes with another extension are other rows.
  const ending = /\.[ct]sv(\.\w+)?$/i.exec(file)?.[0].toLowerCase() ?? ''
  const file256 = await digestOfFile(file, folder)
  const tokenizers = await Promise.all(
    tokenizerFiles.map(async (name) => [name, await digestOfFile(join(modelFolder ?? '', name), folder)]),
  )
  hash.update(JSON.stringify([await digestOfDataCode(), file256, ending, maxSamples ?? null, tokenizers, settings]))
  return hash.digest('hex')
}
