import type { TrainConfig } from '../config/train-config.js'
import type { DatasetSource } from './dataset-info.js'
import { type Examples, selectExamples } from './examples.js'
import { mixOrder, sampleOrder } from './mixture.js'
import { applyOverLength, type ExampleReport } from './over-length.js'
import { splitValidation } from './validation-split.js'

/** The examples of some data sets, one data set after another, before any is chosen. */
export interface ExamplePool {
  examples: Examples
  sources: readonly DatasetSource[]
  /** Examples of each source. */
  counts: readonly number[]
}

/** The examples to train on and those held out, as the config chooses them: `data check` and training do it here. */
export function chooseExamples(
  config: TrainConfig,
  pool: ExamplePool,
): { train: Examples; validation: Examples; report: ExampleReport } {
  const { examples, report } = applyOverLength(pool.examples, config)
  const ranges = rangesOf(pool.counts, pool.examples, config)
  const { train, validation } = splitAndMix(ranges, pool.sources, config)
  const isWhole = train.length === examples.count && validation.length === 0 && train.every((place, index) => place === index)
  return {
    train: isWhole ? examples : selectExamples(examples, train),
    validation: selectExamples(examples, validation),
    report,
  }
}

/** The examples of `eval_dataset`. */
export function chooseHeldOut(config: TrainConfig, pool: ExamplePool): { examples: Examples; report: ExampleReport } {
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
