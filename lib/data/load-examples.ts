import { createHash } from 'node:crypto'
import type { TrainConfig } from '../config/train-config.js'
import { chooseExamples, chooseHeldOut, type ExamplePool } from './choose-examples.js'
import { type DatasetSource, noRecords, resolveDatasets } from './dataset-info.js'
import { type CacheOptions, readExamples } from './example-cache.js'
import { concatenateExamples, type Examples } from './examples.js'
import { type FileNotes, messagesOf } from './file-notes.js'
import type { ExampleReport } from './over-length.js'
import { tokenizationOptions } from './tokenization.js'
import type { TokenizeWork } from './tokenize-batch.js'
import type { TokenizedExamples } from './tokenized-file.js'

/** The data of a run. */
export interface LoadedExamples {
  /** Training examples, in the order of the files or, where data sets are interleaved, in the order of the draws. */
  train: Examples
  /** Evaluation examples: held out by `val_size`, and from `eval_dataset`. */
  validation: Examples
  /** Report on all examples read for training, held-out ones included. */
  report: ExampleReport
  /** Report on `eval_dataset`, where there is one. */
  evalReport?: ExampleReport
  /** What a user should know of the files, a line each. */
  notes: string[]
  /** A digest of all examples: a resumed run must have the same. */
  digest: string
}

/** How data sets become examples. */
export interface LoadOptions {
  modelFolder: string
  /** Vocabulary size of the model. */
  vocabSize: number
  signal?: AbortSignal | undefined
  onProgress?: CacheOptions['onProgress']
}

/**
 * Reads the data sets of a config as examples, through the cache.
 *
 * Throws the DataErrors of resolving, reading, tokenizing and of the policy for long examples.
 */
export async function loadExamples(config: TrainConfig, dataset: string, options: LoadOptions): Promise<LoadedExamples> {
  const pool = await loadPool(config, dataset, options)
  const { train, validation, report } = chooseExamples(config, pool)
  const heldPool = config.evalDataset === undefined ? undefined : await loadPool(config, config.evalDataset, options)
  const heldOut = heldPool && chooseHeldOut(config, heldPool)
  return {
    train,
    validation: heldOut?.examples ?? validation,
    report,
    ...(heldOut && { evalReport: heldOut.report }),
    notes: messagesOf([...pool.files, ...(heldPool?.files ?? [])]).map(({ message }) => message),
    digest: createHash('sha256')
      .update(JSON.stringify([pool.digests, pool.sources.map(({ numSamples }) => numSamples)]))
      .digest('hex'),
  }
}

/** Settings that turn the rows of a data set into examples. */
export function workOf(config: TrainConfig, source: DatasetSource, { modelFolder, vocabSize }: LoadOptions): TokenizeWork {
  const { template } = config
  return {
    modelFolder,
    vocabSize,
    ...tokenizationOptions(config),
    ...(template !== undefined && { template }),
    ...(source.columns && { columns: source.columns }),
  }
}

interface LoadedPool extends ExamplePool {
  digests: string[]
  files: { file: string; notes: FileNotes }[]
}

async function loadPool(config: TrainConfig, dataset: string, options: LoadOptions): Promise<LoadedPool> {
  const sources = await resolveDatasets(dataset, config.datasetDir)
  const pool = { parts: [] as TokenizedExamples[], counts: [] as number[], files: [] as LoadedPool['files'] }
  for (const source of sources) {
    let left = config.maxSamples ?? Infinity
    let count = 0
    for (const file of source.files) {
      if (left === 0) break
      const part = await readExamples(file, workOf(config, source, options), {
        folder: config.tokenizedPath,
        ...(left < Infinity && { maxSamples: left }),
        workers: config.preprocessingNumWorkers,
        signal: options.signal,
        onProgress: options.onProgress,
      })
      pool.parts.push(part)
      pool.files.push({ file, notes: part.manifest.notes })
      count += part.count
      left -= part.count
    }
    if (count === 0) {
      const unlearnt = pool.files.slice(-source.files.length).reduce((sum, { notes }) => sum + notes.unlearnt, 0)
      throw noRecords(source, unlearnt)
    }
    pool.counts.push(count)
  }
  const digests = pool.parts.map(({ manifest }) => `${manifest.digest}:${manifest.examples}`)
  return { examples: concatenateExamples(pool.parts), sources, counts: pool.counts, digests, files: pool.files }
}
