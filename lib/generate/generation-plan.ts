import type { ModelConfig } from '../config/model-config.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { dtypeBytes, type Tensor } from '../graph/tensor.js'
import { declareParameters, type TrainableWeights } from '../model/decoder-parameters.js'
import type { ComputeDtype } from '../native/addon-types.js'
import { layOutParameters, type ParameterLayout, placeParameters, weightBytes } from '../plan/parameters.js'
import { type CommonStorage, type Placement, type Plan, PlanBuilder } from '../plan/plan.js'
import { buildGenerationGraph, cacheName, type GenerationPhase, type GenerationShape } from './generation-graph.js'

/** The storages of generation besides inputs and activations. `weights` are in the type that products read. */
export type GenerationStorage = 'weights' | 'cache'

/** Tokens of a page. A sequence wastes up to a page at its end, and prompts share only whole pages. */
const PAGE_SIZE = 64

export interface GenerationPlanOptions {
  config: ModelConfig
  dtype: ComputeDtype
  /** The name of the device, which need not be on this machine; `cpu` when absent. */
  device?: string | undefined
  threads: number
  /** The most sequences in flight. */
  maxSequences: number
  /** The most tokens of a sequence, prompt and answer. */
  maxLength: number
  /** The most tokens of prompts that go through the model together. */
  prefillTokens: number
  /** Most bytes of the cache; as many as all sequences at their longest take, when absent. */
  cacheBytes?: number | undefined
  /** Bytes that all arenas and working memory must stay within. */
  memoryLimit?: number | undefined
  /** As in a training run whose weights are used, where they lie by what is trained. */
  isTrainable?: TrainableWeights | undefined
  /** Give the logits of every step back: for tests and for looking at a model. */
  withLogits?: boolean | undefined
}

/** Names of the programs: with and without a repetition penalty. */
export type GenerationProgram = GenerationPhase | `penalized ${GenerationPhase}`

/** Everything about generation that is known before anything is allocated. */
export interface GenerationPlan extends Plan<GenerationStorage | CommonStorage, GenerationProgram> {
  shape: GenerationShape
  layout: ParameterLayout
  maxLength: number
  prefillTokens: number
}

/** Bytes of the keys and values of one token. */
export function cacheBytesPerToken(config: ModelConfig, dtype: ComputeDtype): number {
  return 2 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim * dtypeBytes(dtype)
}

/** Throws a NativeError OUT_OF_MEMORY where weights and a cache for one sequence do not fit the limit. */
export function planGeneration(options: GenerationPlanOptions): GenerationPlan {
  const { config, dtype, maxLength, maxSequences } = options
  const parameters = declareParameters(config, options.isTrainable)
  const pagesPerSequence = Math.ceil(maxLength / PAGE_SIZE)
  const plan = (pages: number) =>
    planWith({ config, parameters, dtype, pageSize: PAGE_SIZE, pages, pagesPerSequence, maxSequences }, options)
  const pageBytes = PAGE_SIZE * cacheBytesPerToken(config, dtype)
  const least = plan(pagesPerSequence)
  const room = Math.min(
    options.cacheBytes ?? Number.POSITIVE_INFINITY,
    (options.memoryLimit ?? Number.POSITIVE_INFINITY) - (least.totalBytes - least.bytes.cache),
  )
  if (room < least.bytes.cache) throw doesNotFit(options, least, room)
  const pages = Math.min(maxSequences * pagesPerSequence, Math.floor(room / pageBytes))
  return plan(pages)
}

function doesNotFit({ maxLength, config, dtype, memoryLimit }: GenerationPlanOptions, least: GenerationPlan, room: number) {
  const token = cacheBytesPerToken(config, dtype)
  const fitting = Math.max(0, Math.floor(room / (PAGE_SIZE * token)) * PAGE_SIZE)
  const message =
    memoryLimit !== undefined && fitting === 0
      ? `expected generation within ${formatBytes(memoryLimit)} but weights and activations alone take ${formatBytes(least.totalBytes - least.bytes.cache)}`
      : `expected a cache for a sequence of ${maxLength} tokens, ${formatBytes(least.bytes.cache)}, but there is room for ${fitting} tokens`
  return new NativeError(
    'OUT_OF_MEMORY',
    `${message}. Lower max_length, generate in bf16, take a smaller model or free memory.`,
    { bytes: least.totalBytes, limit: memoryLimit },
  )
}

function planWith(shape: GenerationShape, options: GenerationPlanOptions): GenerationPlan {
  const { maxSequences, dtype } = shape
  const layout = layOutParameters(shape.parameters)
  const { maxLength, prefillTokens, withLogits = false } = options
  const builder = new PlanBuilder<GenerationStorage, GenerationProgram>(
    {
      weights: weightBytes(layout, dtype),
      cache: shape.pages * shape.pageSize * cacheBytesPerToken(shape.config, dtype),
    },
    options,
  )
  const place = placeLasting(shape, layout)
  for (const step of ['prefill', 'decode'] as const) {
    const bounds = { maxTokens: step === 'prefill' ? prefillTokens : maxSequences, maxSequences }
    builder
      .add(step, buildGenerationGraph(shape, step, { penalty: false, withLogits }), { bounds, place })
      .add(`penalized ${step}`, buildGenerationGraph(shape, step, { penalty: true, withLogits }), { bounds, place })
  }
  return { ...builder.build(), shape, layout, maxLength, prefillTokens }
}

/** Placement of weights and cache. */
function placeLasting(shape: GenerationShape, layout: ParameterLayout): (tensor: Tensor) => Placement<GenerationStorage> {
  const { config } = shape
  const layerBytes = tensorBytesOfCache(shape)
  const caches = new Map<string, number>()
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    caches.set(cacheName(layer, 'k'), 2 * layer * layerBytes)
    caches.set(cacheName(layer, 'v'), (2 * layer + 1) * layerBytes)
  }
  const placeWeight = placeParameters(layout, 'weights')
  return (tensor) => (tensor.kind === 'cache' ? { storage: 'cache', offset: caches.get(tensor.name)! } : placeWeight(tensor))
}

/** Bytes of the keys, or the values, of one layer. */
function tensorBytesOfCache({ config, dtype, pages, pageSize }: GenerationShape): number {
  return (pages * pageSize * cacheBytesPerToken(config, dtype)) / (2 * config.numHiddenLayers)
}
