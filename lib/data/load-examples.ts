import { createHash } from 'node:crypto'
import type { TrainConfig } from '../config/train-config.js'
import { DataError } from '../errors.js'
import { type DatasetSource, resolveDatasets } from './dataset-info.js'
import { type CacheOptions, readExamples } from './example-cache.js'
import { concatenateExamples, type Examples, selectExamples } from './examples.js'
import { mixOrder, sampleOrder } from './mixture.js'
import { applyOverLength, type ExampleReport } from './over-length.js'
import { tokenizationOptions } from './tokenization.js'
import type { TokenizeWork } from './tokenize-batch.js'
import type { TokenizedExamples } from './tokenized-file.js'
import { splitValidation } from './validation-split.js'

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
  /** A digest of all examples: a resumed run must have the same. */
  digest: string
}

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
  const { examples, report } = applyOverLength(pool.examples, config)
  const ranges = rangesOf(pool.counts, pool.examples, config)
  const { train, validation } = splitAndMix(ranges, pool.sources, config)
  const isWhole = train.length === examples.count && validation.length === 0 && train.every((place, index) => place === index)
  const heldOut = config.evalDataset === undefined ? undefined : await loadHeldOut(config, config.evalDataset, options)
  return {
    train: isWhole ? examples : selectExamples(examples, train),
    validation: heldOut?.examples ?? selectExamples(examples, validation),
    report,
    ...(heldOut && { evalReport: heldOut.report }),
    digest: createHash('sha256')
      .update(JSON.stringify([pool.digests, pool.sources.map(({ numSamples }) => numSamples)]))
      .digest('hex'),
  }
}

async function loadHeldOut(config: TrainConfig, dataset: string, options: LoadOptions) {
  const pool = await loadPool(config, dataset, options)
  const { examples, report } = applyOverLength(pool.examples, config)
  const orders = drawOrders(rangesOf(pool.counts, pool.examples, config), pool.sources, config.dataSeed)
  return { examples: selectExamples(examples, mixOrder(orders, { strategy: 'concat', seed: config.dataSeed })), report }
}

/** The examples of each source, or as many of them as its `num_samples` says. */
function drawOrders(ranges: readonly Int32Array[], sources: readonly DatasetSource[], seed: number): Int32Array[] {
  return ranges.map((range, index) => {
    const { numSamples } = sources[index]!
    if (numSamples === undefined || range.length === 0) return range
    return sampleOrder(range.length, numSamples, seed).map((place) => range[place]!)
  })
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

interface Pool {
  examples: Examples
  sources: DatasetSource[]
  /** Examples of each source. */
  counts: number[]
  digests: string[]
}

async function loadPool(config: TrainConfig, dataset: string, options: LoadOptions): Promise<Pool> {
  const sources = await resolveDatasets(dataset, config.datasetDir)
  const pool = { parts: [] as TokenizedExamples[], counts: [] as number[] }
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
      count += part.count
      left -= part.count
    }
    if (count === 0) {
      const where = source.files.length === 1 ? source.files[0] : `${source.name} (${source.files.length} files)`
      throw new DataError('DATA_EMPTY', `expected at least one record in ${where} but it has none.`, { file: source.files[0] })
    }
    pool.counts.push(count)
  }
  const digests = pool.parts.map(({ manifest }) => `${manifest.digest}:${manifest.examples}`)
  return { examples: concatenateExamples(pool.parts), sources, counts: pool.counts, digests }
}

/** Indices of each source's examples after the policy for long examples has dropped some. */
function rangesOf(counts: readonly number[], all: Examples, { overLength, cutoffLen }: TrainConfig): Int32Array[] {
  let read = 0
  let kept = 0
  return counts.map((count) => {
    const start = kept
    for (const end = read + count; read < end; read++) {
      if (overLength !== 'drop' || all.infoOf(read).length <= cutoffLen) kept += 1
    }
    return Int32Array.from({ length: kept - start }, (_, index) => start + index)
  })
}

/**
 * Splits examples into training, in order, and held-out. The split comes before mixing, so that an example that is drawn
 * several times is never in both.
 */
function splitAndMix(
  ranges: readonly Int32Array[],
  sources: readonly DatasetSource[],
  config: TrainConfig,
): { train: Int32Array; validation: Int32Array } {
  const { dataSeed: seed, mixStrategy: strategy, interleaveProbs: probabilities, valSize } = config
  const orders = drawOrders(ranges, sources, seed)
  const drawn = sources.some(({ numSamples }) => numSamples !== undefined)
    ? Int32Array.from(new Set(orders.flatMap((order) => Array.from(order)))).sort()
    : mixOrder(ranges, { strategy: 'concat', seed })
  const split = splitValidation(drawn.length, valSize, seed)
  const validation = split.validation.map((index) => drawn[index]!)
  const heldOut = new Set(validation)
  const parts = heldOut.size === 0 ? orders : orders.map((order) => order.filter((place) => !heldOut.has(place)))
  return { train: mixOrder(parts, { strategy, probabilities, seed }), validation }
}
