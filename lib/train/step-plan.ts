import type { ModelConfig } from '../config/model-config.js'
import { type LimoError, NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { appendBackward } from '../graph/backward.js'
import { Graph } from '../graph/graph.js'
import { aligned, type Bounds, type MemoryPlan, planMemory, tensorBytes } from '../graph/memory-plan.js'
import { adamw, gradNorm } from '../graph/ops/adamw.js'
import { zeroOp } from '../graph/ops/elementwise.js'
import { describeProgram, type FixedPlace, programText } from '../graph/program.js'
import { recomputeLayers } from '../graph/recompute.js'
import { Tensor } from '../graph/tensor.js'
import { appendDecoder } from '../model/decoder.js'
import { layOutParameters, type ParameterLayout } from '../model/parameters.js'
import type { ProgramDescription } from '../native/addon-types.js'
import { CPU_SCRATCH_BYTES_PER_THREAD } from '../native/device.js'

/** The arenas of a training run, in the order in which programs number them. */
export const arenaNames = ['parameters', 'gradients', 'optimizer', 'inputs', 'activations'] as const
export type ArenaName = (typeof arenaNames)[number]

export type Recompute = 'none' | 'full' | 'auto'

export interface StepPlanOptions extends Bounds {
  config: ModelConfig
  recompute: Recompute
  /** Bytes that `auto` must stay within, all arenas and working memory together. */
  memoryLimit?: number | undefined
  /** Threads of the device: each has working memory. */
  threads: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  /** 0: no clipping. */
  maxGradNorm: number
}

interface PlannedProgram {
  description: ProgramDescription
  text: string
}

/** Everything about a training step that is known before anything is allocated. */
export interface StepPlan {
  bounds: Bounds
  layout: ParameterLayout
  /** Layers that are run forward again before their backward pass. */
  recomputedLayers: number
  programs: { microStep: PlannedProgram; evaluate: PlannedProgram; update: PlannedProgram }
  /** Bytes of each arena; `scratch` is the working memory of the device's threads. */
  bytes: Record<ArenaName | 'scratch', number>
  totalBytes: number
  constants: { offset: number; values: Float32Array }[]
}

/** Compiles the micro-step (forward, backward, accumulate), the evaluation and the update, and plans their memory. */
export function planStep(options: StepPlanOptions): StepPlan {
  const layout = layOutParameters(options.config)
  const scratch = options.threads * CPU_SCRATCH_BYTES_PER_THREAD
  const bounds: Bounds = { maxTokens: options.maxTokens, maxSequences: options.maxSequences }
  const evaluation = buildDecoderGraph(options, layout, { train: false, recomputed: 0 })
  const inputs = layOutInputs(evaluation, bounds)
  const fixedBytes = 4 * layout.bytes + inputs.bytes + scratch

  const evaluationMemory = planMemory(evaluation, bounds)
  const { graph, memory, recomputed } = chooseRecomputation(
    options,
    layout,
    (memory) => fixedBytes + Math.max(memory.bytes, evaluationMemory.bytes),
  )
  const update = buildUpdate(options, layout)
  const updateMemory = planMemory(update.graph, { maxTokens: 0, maxSequences: 0 })

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
    gradients: layout.bytes,
    optimizer: 2 * layout.bytes,
    inputs: inputs.bytes,
    activations: Math.max(memory.bytes, evaluationMemory.bytes, updateMemory.bytes),
    scratch,
  }
  return {
    bounds,
    layout,
    recomputedLayers: recomputed,
    programs: {
      microStep: program(graph, memory),
      evaluate: program(evaluation, evaluationMemory),
      update: program(update.graph, updateMemory, (tensor) => update.places.get(tensor)!),
    },
    bytes,
    totalBytes: Object.values(bytes).reduce((sum, size) => sum + size, 0),
    constants: [...graph.constants].map(([tensor, values]) => ({ offset: inputs.offsets.get(tensor.name)!, values })),
  }
}

function buildDecoderGraph(
  options: StepPlanOptions,
  layout: ParameterLayout,
  how: { train: boolean; recomputed: number },
): Graph {
  const graph = new Graph()
  appendDecoder(graph, { config: options.config, layout, maxTokens: options.maxTokens, train: how.train })
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

function layOutInputs(graph: Graph, bounds: Bounds): { offsets: Map<string, number>; bytes: number } {
  const offsets = new Map<string, number>()
  let bytes = 0
  for (const tensor of [...graph.inputs, ...graph.constants.keys()]) {
    offsets.set(tensor.name, bytes)
    bytes += aligned(tensorBytes(tensor, bounds))
  }
  return { offsets, bytes }
}

function placeFixed(layout: ParameterLayout, inputs: Map<string, number>): (tensor: Tensor) => FixedPlace {
  return (tensor) => {
    if (tensor.kind === 'parameter')
      return { arena: arenaNames.indexOf('parameters'), offset: layout.parameters.get(tensor.name)!.offset }
    if (tensor.kind === 'gradient')
      return { arena: arenaNames.indexOf('gradients'), offset: layout.parameters.get(tensor.name.slice('d.'.length))!.offset }
    return { arena: arenaNames.indexOf('inputs'), offset: inputs.get(tensor.name)! }
  }
}

/** Gradient norm and clipping, AdamW over the decayed and the other parameters, gradients back to zero. */
function buildUpdate(options: StepPlanOptions, layout: ParameterLayout): { graph: Graph; places: Map<Tensor, FixedPlace> } {
  const graph = new Graph()
  const places = new Map<Tensor, FixedPlace>()
  const flat = (name: ArenaName, offset: number, bytes: number): Tensor => {
    const kind = name === 'parameters' ? 'parameter' : name === 'gradients' ? 'gradient' : 'optimizer'
    const tensor = new Tensor({ name: `${name}[${offset}:${offset + bytes}]`, kind, shape: [bytes / 4] })
    places.set(tensor, { arena: arenaNames.indexOf(name), offset })
    return tensor
  }
  const gradients = flat('gradients', 0, layout.bytes)
  const { clipScale } = gradNorm(graph, { gradients, maxNorm: options.maxGradNorm })
  const ranges = [
    { start: 0, end: layout.decayedBytes, weightDecay: options.weightDecay },
    { start: layout.decayedBytes, end: layout.bytes, weightDecay: 0 },
  ]
  for (const { start, end, weightDecay } of ranges) {
    const { beta1, beta2, eps } = options
    adamw(graph, {
      parameters: flat('parameters', start, end - start),
      firstMoment: flat('optimizer', start, end - start),
      secondMoment: flat('optimizer', layout.bytes + start, end - start),
      gradients: flat('gradients', start, end - start),
      clipScale,
      learningRate: { scalar: 'learning_rate' },
      ...{ beta1, beta2, eps, weightDecay },
      step: { scalar: 'step' },
    })
  }
  graph.append(zeroOp, { out: gradients })
  return { graph, places }
}
