import type { ModelConfig } from '../config/model-config.js'
import { type LimoError, NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { appendBackward } from '../graph/backward.js'
import { Graph } from '../graph/graph.js'
import { aligned, type Bounds, type MemoryPlan, planMemory, tensorBytes } from '../graph/memory-plan.js'
import { adamw, gradNorm } from '../graph/ops/adamw.js'
import { castOp, zeroOp } from '../graph/ops/elementwise.js'
import { describeProgram, type FixedPlace, programText } from '../graph/program.js'
import { recomputeLayers } from '../graph/recompute.js'
import { Tensor } from '../graph/tensor.js'
import { appendDecoder } from '../model/decoder.js'
import { layOutParameters, type ParameterLayout } from '../model/parameters.js'
import type { ComputeDtype, ProgramDescription } from '../native/addon-types.js'
import { type Backend, backendOf } from '../native/backend.js'

/**
 * The arenas of a training run, in the order in which programs number them. `parameters` are the float32 master weights;
 * `weights` are the same rounded to bfloat16, which products read, and empty when they compute in float32.
 */
export const arenaNames = ['parameters', 'weights', 'gradients', 'optimizer', 'inputs', 'activations'] as const
export type ArenaName = (typeof arenaNames)[number]

export type Recompute = 'none' | 'full' | 'auto'

export interface StepPlanOptions extends Bounds {
  config: ModelConfig
  /** Of weights, activations and products. */
  dtype?: ComputeDtype
  recompute: Recompute
  /** Bytes that `auto` must stay within, all arenas and working memory together. */
  memoryLimit?: number | undefined
  /** The name of the device that runs the step, which need not be on this machine; `cpu` when absent. */
  device?: string
  /** Threads of the device: each has working memory on the CPU. */
  threads: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  /** 0: no clipping. */
  maxGradNorm: number
}

export interface PlannedProgram {
  description: ProgramDescription
  text: string
}

/** Everything about a training step that is known before anything is allocated. */
export interface StepPlan {
  dtype: ComputeDtype
  /** What the plan is made for: devices of this kind can run it. */
  backend: Backend['name']
  bounds: Bounds
  layout: ParameterLayout
  /** Layers that are run forward again before their backward pass. */
  recomputedLayers: number
  programs: {
    microStep: PlannedProgram
    evaluate: PlannedProgram
    update: PlannedProgram
    /** Rounds the master weights to bfloat16, after they were loaded; `update` does it after each step. */
    roundWeights: PlannedProgram
  }
  /** Bytes of each arena; `scratch` is the working memory of the device. */
  bytes: Record<ArenaName | 'scratch', number>
  totalBytes: number
  constants: { offset: number; values: Float32Array }[]
}

/** Compiles the micro-step (forward, backward, accumulate), the evaluation and the update, and plans their memory. */
export function planStep(options: StepPlanOptions): StepPlan {
  const layout = layOutParameters(options.config)
  const dtype = options.dtype ?? 'f32'
  const weightBytes = dtype === 'f32' ? 0 : layout.bytes / 2
  const backend = backendOf(options.device ?? 'cpu')
  const scratch = backend.scratchBytes(options.threads)
  const bounds: Bounds = { maxTokens: options.maxTokens, maxSequences: options.maxSequences }
  const evaluation = buildDecoderGraph(options, layout, { train: false, recomputed: 0 })
  const inputs = layOutInputs(evaluation, bounds)
  const fixedBytes = 4 * layout.bytes + weightBytes + inputs.bytes + scratch

  const evaluationMemory = planMemory(evaluation, bounds)
  const { graph, memory, recomputed } = chooseRecomputation(
    options,
    layout,
    (memory) => fixedBytes + Math.max(memory.bytes, evaluationMemory.bytes),
  )
  const update = buildUpdate(options, layout)
  const rounding = buildRounding(layout, dtype)
  const flat = { maxTokens: 0, maxSequences: 0 }
  const updateMemory = planMemory(update.graph, flat)

  const place = placeFixed(layout, inputs.offsets)
  const program = (of: Graph, plan: MemoryPlan, placeTensor = place): PlannedProgram => {
    const description = describeProgram(of, {
      memory: plan,
      activationArena: arenaNames.indexOf('activations'),
      place: placeTensor,
    })
    return { description, text: programText(of, description, arenaNames) }
  }
  const bytes = {
    parameters: layout.bytes,
    weights: weightBytes,
    gradients: layout.bytes,
    optimizer: 2 * layout.bytes,
    inputs: inputs.bytes,
    activations: Math.max(memory.bytes, evaluationMemory.bytes, updateMemory.bytes),
    scratch,
  }
  return {
    dtype,
    backend: backend.name,
    bounds,
    layout,
    recomputedLayers: recomputed,
    programs: {
      microStep: program(graph, memory),
      evaluate: program(evaluation, evaluationMemory),
      update: program(update.graph, updateMemory, (tensor) => update.places.get(tensor)!),
      roundWeights: program(rounding.graph, planMemory(rounding.graph, flat), (tensor) => rounding.places.get(tensor)!),
    },
    bytes,
    totalBytes: Object.values(bytes).reduce((sum, size) => sum + size, 0),
    constants: [...graph.constants].map(([tensor, values]) => ({ offset: inputs.offsets.get(tensor.name)!, values })),
  }
}

export function buildDecoderGraph(
  options: Pick<StepPlanOptions, 'dtype' | 'config' | 'maxTokens' | 'device'>,
  layout: ParameterLayout,
  how: { train: boolean; recomputed: number },
): Graph {
  const graph = new Graph(options.dtype)
  const { config, maxTokens, device = 'cpu' } = options
  appendDecoder(graph, { config, layout, maxTokens, logitsBytes: backendOf(device).logitsBytes, train: how.train })
  if (how.train) appendBackward(graph)
  // The first layers hold their activations for the longest time.
  recomputeLayers(graph, new Set(Array.from({ length: how.recomputed }, (_, layer) => layer)))
  return graph
}

interface Chosen {
  graph: Graph
  memory: MemoryPlan
  recomputed: number
}

/** `auto` takes the fewest layers with which the run fits its memory limit, and none without a limit. */
function chooseRecomputation(
  options: StepPlanOptions,
  layout: ParameterLayout,
  totalBytes: (memory: MemoryPlan) => number,
): Chosen {
  const layers = options.config.numHiddenLayers
  const limit = options.memoryLimit
  const build = (recomputed: number): Chosen => {
    const graph = buildDecoderGraph(options, layout, { train: true, recomputed })
    return { graph, memory: planMemory(graph, options), recomputed }
  }
  const fits = (chosen: Chosen) => limit === undefined || totalBytes(chosen.memory) <= limit
  if (options.recompute !== 'auto') {
    const chosen = build(options.recompute === 'full' ? layers : 0)
    if (!fits(chosen)) throw doesNotFit(totalBytes(chosen.memory), limit!, options)
    return chosen
  }
  const none = build(0)
  if (fits(none)) return none
  let [low, high] = [1, layers]
  let best = build(layers)
  if (!fits(best)) throw doesNotFit(totalBytes(best.memory), limit!, options)
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const chosen = build(middle)
    if (fits(chosen)) {
      best = chosen
      high = middle
    } else low = middle + 1
  }
  return best
}

function doesNotFit(bytes: number, limit: number, options: StepPlanOptions): LimoError {
  return new NativeError(
    'OUT_OF_MEMORY',
    `expected a run within ${formatBytes(limit)} but it takes ${formatBytes(bytes)} for ${options.maxTokens} tokens a micro-batch` +
      `${options.recompute === 'none' ? ' without recomputation' : ' even with every layer recomputed'}. Lower cutoff_len, ` +
      `${options.recompute === 'none' ? 'set recompute: auto, ' : ''}take a smaller model or raise memory_limit.`,
    { bytes, limit },
  )
}

export function layOutInputs(graph: Graph, bounds: Bounds): { offsets: Map<string, number>; bytes: number } {
  const offsets = new Map<string, number>()
  let bytes = 0
  for (const tensor of [...graph.inputs, ...graph.constants.keys()]) {
    offsets.set(tensor.name, bytes)
    bytes += aligned(tensorBytes(tensor, bounds))
  }
  return { offsets, bytes }
}

export function placeFixed(layout: ParameterLayout, inputs: Map<string, number>): (tensor: Tensor) => FixedPlace {
  return (tensor) => {
    if (tensor.kind === 'parameter') {
      const { offset } = layout.parameters.get(tensor.name)!
      return tensor.dtype === 'f32'
        ? { arena: arenaNames.indexOf('parameters'), offset }
        : { arena: arenaNames.indexOf('weights'), offset: offset / 2 }
    }
    if (tensor.kind === 'gradient')
      return { arena: arenaNames.indexOf('gradients'), offset: layout.parameters.get(tensor.name.slice('d.'.length))!.offset }
    return { arena: arenaNames.indexOf('inputs'), offset: inputs.get(tensor.name)! }
  }
}

interface FlatGraph {
  graph: Graph
  places: Map<Tensor, FixedPlace>
  /** Bytes [start, end) of float32 in an arena as a vector; in the arena `weights`, the same elements as bfloat16. */
  range(arena: ArenaName, start: number, end: number): Tensor
}

/** A graph on ranges of whole arenas, whatever lies there. */
function flatGraph(): FlatGraph {
  const graph = new Graph()
  const places = new Map<Tensor, FixedPlace>()
  const range = (arena: ArenaName, start: number, end: number): Tensor => {
    const dtype = arena === 'weights' ? 'bf16' : 'f32'
    const kind = arena === 'gradients' ? 'gradient' : arena === 'optimizer' ? 'optimizer' : 'parameter'
    const tensor = new Tensor({ name: `${arena}[${start}:${end}]`, kind, shape: [(end - start) / 4], dtype })
    places.set(tensor, { arena: arenaNames.indexOf(arena), offset: dtype === 'bf16' ? start / 2 : start })
    return tensor
  }
  return { graph, places, range }
}

/** Gradient norm and clipping, AdamW over the decayed and the other parameters, gradients back to zero. */
function buildUpdate(options: StepPlanOptions, layout: ParameterLayout): FlatGraph {
  const flat = flatGraph()
  const { graph, range } = flat
  const gradients = range('gradients', 0, layout.bytes)
  const { clipScale } = gradNorm(graph, { gradients, maxNorm: options.maxGradNorm })
  const groups = [
    { start: 0, end: layout.decayedBytes, weightDecay: options.weightDecay },
    { start: layout.decayedBytes, end: layout.bytes, weightDecay: 0 },
  ]
  for (const { start, end, weightDecay } of groups) {
    const { beta1, beta2, eps } = options
    adamw(graph, {
      parameters: range('parameters', start, end),
      firstMoment: range('optimizer', start, end),
      secondMoment: range('optimizer', layout.bytes + start, layout.bytes + end),
      gradients: range('gradients', start, end),
      clipScale,
      rounded: options.dtype === 'bf16' ? range('weights', start, end) : undefined,
      learningRate: { scalar: 'learning_rate' },
      ...{ beta1, beta2, eps, weightDecay },
      step: { scalar: 'step' },
    })
  }
  graph.append(zeroOp, { out: gradients })
  return flat
}

/** In float32 there is nothing to do. */
export function buildRounding(layout: ParameterLayout, dtype: ComputeDtype): FlatGraph {
  const flat = flatGraph()
  if (dtype === 'bf16')
    flat.graph.append(castOp, { out: flat.range('weights', 0, layout.bytes), x: flat.range('parameters', 0, layout.bytes) })
  return flat
}
