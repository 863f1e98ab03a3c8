import type { ModelConfig } from '../config/model-config.js'
import { NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import type { Graph } from '../graph/graph.js'
import { aligned, planMemory, tensorBytes } from '../graph/memory-plan.js'
import { describeProgram, type FixedPlace, programText } from '../graph/program.js'
import { dtypeBytes, type Tensor } from '../graph/tensor.js'
import { layOutParameters, type ParameterLayout } from '../model/parameters.js'
import type { ComputeDtype, ProgramDescription } from '../native/addon-types.js'
import { backendOf } from '../native/backend.js'
import { buildGenerationGraph, cacheName, type GenerationShape, type GenerationStep } from './generation-graph.js'

/** The arenas of generation, in the order in which programs number them. `weights` are in the type that products read. */
export const generationArenas = ['weights', 'cache', 'inputs', 'activations'] as const
export type GenerationArena = (typeof generationArenas)[number]

/** Tokens of a page: what a sequence may waste at its end, and what prompts must have in common to share a page. */
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
  /** Give the logits of every step back: for tests and for looking at a model. */
  withLogits?: boolean | undefined
}

/** Names of the programs: with and without a repetition penalty. */
export type GenerationProgram = GenerationStep | `penalized ${GenerationStep}`

/** Everything about generation that is known before anything is allocated. */
export interface GenerationPlan {
  shape: GenerationShape
  layout: ParameterLayout
  maxLength: number
  prefillTokens: number
  programs: Record<GenerationProgram, { description: ProgramDescription; text: string }>
  bytes: Record<GenerationArena | 'scratch', number>
  totalBytes: number
  constants: { offset: number; values: Float32Array }[]
}

/** Bytes of the keys and values of one token. */
export function cacheBytesPerToken(config: ModelConfig, dtype: ComputeDtype): number {
  return 2 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim * dtypeBytes(dtype)
}

/** Throws a NativeError OUT_OF_MEMORY where weights and a cache for one sequence do not fit the limit. */
export function planGeneration(options: GenerationPlanOptions): GenerationPlan {
  const { config, dtype, maxLength, maxSequences, prefillTokens } = options
  const layout = layOutParameters(config)
  const pagesPerSequence = Math.ceil(maxLength / PAGE_SIZE)
  const plan = (pages: number) =>
    planWith({ config, layout, dtype, pageSize: PAGE_SIZE, pages, pagesPerSequence, maxSequences }, options)
  const pageBytes = PAGE_SIZE * cacheBytesPerToken(config, dtype)
  const least = plan(pagesPerSequence)
  const room = Math.min(
    options.cacheBytes ?? Number.POSITIVE_INFINITY,
    (options.memoryLimit ?? Number.POSITIVE_INFINITY) - (least.totalBytes - least.bytes.cache),
  )
  if (room < least.bytes.cache) throw doesNotFit(options, least, room)
  const pages = Math.min(maxSequences * pagesPerSequence, Math.floor(room / pageBytes))
  return { ...plan(pages), maxLength, prefillTokens }
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
  const { layout, maxSequences, dtype } = shape
  const withLogits = options.withLogits ?? false
  const graphs = new Map<GenerationProgram, Graph>()
  for (const step of ['prefill', 'decode'] as const) {
    graphs.set(step, buildGenerationGraph(shape, step, { penalty: false, withLogits }))
    graphs.set(`penalized ${step}`, buildGenerationGraph(shape, step, { penalty: true, withLogits }))
  }
  const boundsOf = (program: GenerationProgram) => ({
    maxTokens: program.endsWith('prefill') ? options.prefillTokens : maxSequences,
    maxSequences,
  })
  // Constants come first, where no program's inputs lie over them.
  const constants = [...graphs.get('decode')!.constants]
  const offsets = new Map<string, number>()
  let constantBytes = 0
  for (const [tensor, values] of constants) {
    offsets.set(tensor.name, constantBytes)
    constantBytes += aligned(values.byteLength)
  }
  const programs = {} as GenerationPlan['programs']
  const bytes = {
    weights: dtype === 'f32' ? layout.bytes : layout.bytes / 2,
    cache: shape.pages * shape.pageSize * cacheBytesPerToken(shape.config, dtype),
    inputs: constantBytes,
    activations: 0,
    scratch: backendOf(options.device ?? 'cpu').scratchBytes(options.threads),
  }
  for (const [name, graph] of graphs) {
    const bounds = boundsOf(name)
    const memory = planMemory(graph, bounds)
    const inputs = new Map(offsets)
    let end = constantBytes
    for (const tensor of graph.inputs) {
      inputs.set(tensor.name, end)
      end += aligned(tensorBytes(tensor, bounds))
    }
    bytes.inputs = Math.max(bytes.inputs, end)
    bytes.activations = Math.max(bytes.activations, aligned(memory.bytes))
    const activationArena = generationArenas.indexOf('activations')
    const description = describeProgram(graph, { memory, activationArena, place: placeFixed(shape, inputs) })
    programs[name] = { description, text: programText(graph, description, generationArenas) }
  }
  return {
    shape,
    layout,
    maxLength: options.maxLength,
    prefillTokens: options.prefillTokens,
    programs,
    bytes,
    totalBytes: Object.values(bytes).reduce((sum, size) => sum + size, 0),
    constants: constants.map(([tensor, values]) => ({ offset: offsets.get(tensor.name)!, values })),
  }
}

/** Where weights, the cache, inputs and constants lie. */
function placeFixed(shape: GenerationShape, inputs: Map<string, number>): (tensor: Tensor) => FixedPlace {
  const { layout, config } = shape
  const layerBytes = tensorBytesOfCache(shape)
  const caches = new Map<string, number>()
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    caches.set(cacheName(layer, 'k'), 2 * layer * layerBytes)
    caches.set(cacheName(layer, 'v'), (2 * layer + 1) * layerBytes)
  }
  return (tensor) => {
    if (tensor.kind === 'parameter') {
      const { offset } = layout.parameters.get(tensor.name)!
      return { arena: generationArenas.indexOf('weights'), offset: tensor.dtype === 'f32' ? offset : offset / 2 }
    }
    if (tensor.kind === 'cache') return { arena: generationArenas.indexOf('cache'), offset: caches.get(tensor.name)! }
    return { arena: generationArenas.indexOf('inputs'), offset: inputs.get(tensor.name)! }
  }
}

/** Bytes of the keys, or the values, of one layer. */
function tensorBytesOfCache({ config, dtype, pages, pageSize }: GenerationShape): number {
  return (pages * pageSize * cacheBytesPerToken(config, dtype)) / (2 * config.numHiddenLayers)
}
