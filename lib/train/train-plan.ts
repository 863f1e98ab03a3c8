import type { ModelConfig } from '../config/model-config.js'
import { type LimoError, NativeError } from '../errors.js'
import { formatBytes } from '../format-bytes.js'
import { appendBackward } from '../graph/backward.js'
import { Graph } from '../graph/graph.js'
import { type Bounds, type MemoryPlan, planMemory } from '../graph/memory-plan.js'
import type { AdamwSettings } from '../graph/ops/adamw.js'
import type { Tensor } from '../graph/tensor.js'
import { appendDecoder } from '../model/decoder.js'
import { type DecoderParameters, declareParameters, type TrainableWeights } from '../model/decoder-parameters.js'
import type { ComputeDtype } from '../native/addon-types.js'
import { backendOf } from '../native/backend.js'
import { layOutParameters, type ParameterLayout, placeParameters, weightBytes } from '../plan/parameters.js'
import { recomputeLayers } from '../plan/passes/recompute.js'
import { type CommonStorage, type Placement, type Plan, PlanBuilder } from '../plan/plan.js'
import { buildRounding, buildUpdate, type FlatGraph, type TrainStorage } from './update-graphs.js'

export type TrainProgram = 'microStep' | 'evaluate' | 'update' | 'roundWeights'

export type Recompute = 'none' | 'full' | 'auto'

/** What the memory and the programs of a training step follow from. */
export interface TrainPlanOptions extends Bounds {
  config: ModelConfig
  /** All weights when absent. */
  isTrainable?: TrainableWeights | undefined
  /** Of weights, activations and products. */
  dtype?: ComputeDtype
  recompute: Recompute
  /** Bytes that `auto` must stay within, all arenas and working memory together. */
  memoryLimit?: number | undefined
  /** The name of the device that runs the step, which need not be on this machine; `cpu` when absent. */
  device?: string
  /** Threads of the device: each has working memory on the CPU. */
  threads: number
  /** Its weight decay acts on matrices alone. */
  adamw: AdamwSettings
  /** 0: no clipping. */
  maxGradNorm: number
}

/**
 * Everything about a training step that is known before anything is allocated. Its programs: `microStep` (forward, backward, accumulate),
 * `evaluate` (forward), `update`, and `roundWeights`, which rounds the master weights to bfloat16 after they were loaded.
 */
export interface TrainPlan extends Plan<TrainStorage | CommonStorage, TrainProgram> {
  dtype: ComputeDtype
  bounds: Bounds
  layout: ParameterLayout
  /** Layers that are run forward again before their backward pass. */
  recomputedLayers: number
}

/**
 * Compiles the micro-step (forward, backward, accumulate), the evaluation and the update, and plans their memory.
 *
 * @throws NativeError OUT_OF_MEMORY where it does not fit the memory limit, unless `whatever` is asked for: then as many layers are
 * recomputed as there are
 */
export function planTraining(options: TrainPlanOptions, { whatever = false } = {}): TrainPlan {
  const planner = new TrainPlanner(options)
  const chosen = chooseRecomputation(options, planner, whatever)
  const remedy =
    '(`limo-native plan` has the parts). Lower cutoff_len, set memory_limit so that `recompute: auto` fits it, take a smaller model or ' +
    'free the device.'
  const { dtype, bounds, layout } = planner
  return { ...planner.builderOf(chosen).build(), remedy, dtype, bounds, layout, recomputedLayers: chosen.recomputed }
}

/** Bytes of memory of the device that a run takes with so many layers recomputed; without describing its programs. */
export function measureTraining(options: TrainPlanOptions, recomputed: number): number {
  const planner = new TrainPlanner(options)
  return planner.totalBytes(planner.candidate(recomputed))
}

/** What plans of a run have in common, however many layers are recomputed. */
class TrainPlanner {
  readonly dtype: ComputeDtype
  readonly bounds: Bounds
  readonly layout: ParameterLayout
  private readonly parameters: DecoderParameters
  private readonly update: FlatGraph<TrainStorage>
  private readonly rounding: FlatGraph<'parameters' | 'weights'>
  private readonly evaluation: { graph: Graph; memory: MemoryPlan }

  constructor(private readonly options: TrainPlanOptions) {
    this.parameters = declareParameters(options.config, options.isTrainable)
    this.layout = layOutParameters(this.parameters)
    this.dtype = options.dtype ?? 'f32'
    this.bounds = { maxTokens: options.maxTokens, maxSequences: options.maxSequences }
    this.update = buildUpdate(options, this.layout)
    this.rounding = buildRounding(this.layout, this.dtype)
    const graph = buildDecoderGraph(options, this.parameters, { train: false, recomputed: 0 })
    this.evaluation = { graph, memory: this.planMemory(graph) }
  }

  candidate(recomputed: number): Candidate {
    const graph = buildDecoderGraph(this.options, this.parameters, { train: true, recomputed })
    return { graph, memory: this.planMemory(graph), recomputed: Math.min(recomputed, layersWithBackward(graph).length) }
  }

  totalBytes(candidate: Candidate): number {
    return this.builderOf(candidate).measure().totalBytes
  }

  builderOf({ graph, memory }: Candidate): PlanBuilder<TrainStorage, TrainProgram> {
    const { layout, dtype, bounds, update, rounding, evaluation } = this
    const place = placeTrained(layout, dtype)
    const sizes = {
      parameters: dtype === 'f32' ? layout.bytes : layout.trainedBytes,
      weights: dtype === 'f32' ? 0 : weightBytes(layout, dtype),
      gradients: layout.trainedBytes,
      optimizer: 2 * layout.trainedBytes,
    }
    return new PlanBuilder<TrainStorage, TrainProgram>(sizes, this.options)
      .add('microStep', graph, { bounds, memory, place })
      .add('evaluate', evaluation.graph, { bounds, memory: evaluation.memory, place })
      .add('update', update.graph, update)
      .add('roundWeights', rounding.graph, rounding)
  }

  private planMemory(graph: Graph): MemoryPlan {
    return planMemory(graph, this.bounds, backendOf(this.options.device ?? 'cpu').name)
  }
}

/** A model and its loss, without gradients and optimizer state. */
export function planEvaluation(
  options: Pick<TrainPlanOptions, 'config' | 'dtype' | 'device' | 'threads' | 'maxTokens' | 'maxSequences'>,
): Plan<'weights' | CommonStorage, 'evaluate'> & { layout: ParameterLayout } {
  const parameters = declareParameters(options.config)
  const layout = layOutParameters(parameters)
  const dtype = options.dtype ?? 'f32'
  const graph = buildDecoderGraph(options, parameters, { train: false, recomputed: 0 })
  const plan = new PlanBuilder<'weights', 'evaluate'>({ weights: weightBytes(layout, dtype) }, options)
    .add('evaluate', graph, { bounds: options, place: placeParameters(layout, 'weights') })
    .build()
  return { ...plan, layout }
}

function buildDecoderGraph(
  options: Pick<TrainPlanOptions, 'dtype' | 'config' | 'maxTokens' | 'device'>,
  parameters: DecoderParameters,
  how: { train: boolean; recomputed: number },
): Graph {
  const graph = new Graph(options.dtype)
  const { config, maxTokens, device = 'cpu' } = options
  appendDecoder(graph, { config, parameters, maxTokens, logitsBytes: backendOf(device).logitsBytes, train: how.train })
  if (how.train) appendBackward(graph)
  // The first layers hold their activations for the longest time.
  recomputeLayers(graph, new Set(layersWithBackward(graph).slice(0, how.recomputed)))
  return graph
}

/** Layers that hold activations for a backward pass: all from the first trained one on. */
function layersWithBackward(graph: Graph): number[] {
  const layers = new Set(graph.nodes.flatMap(({ layer, phase }) => (layer !== undefined && phase === 'backward' ? [layer] : [])))
  return [...layers].sort((a, b) => a - b)
}

interface Candidate {
  graph: Graph
  memory: MemoryPlan
  recomputed: number
}

/** `auto` takes the fewest layers with which the run fits its memory limit, and none without a limit. */
function chooseRecomputation(options: TrainPlanOptions, planner: TrainPlanner, whatever: boolean): Candidate {
  const layers = options.config.numHiddenLayers
  const limit = options.memoryLimit
  const fits = (candidate: Candidate) => limit === undefined || planner.totalBytes(candidate) <= limit
  const checked = (candidate: Candidate): Candidate => {
    if (whatever || fits(candidate)) return candidate
    throw doesNotFit(planner.totalBytes(candidate), limit!, options)
  }
  if (options.recompute !== 'auto') return checked(planner.candidate(options.recompute === 'full' ? layers : 0))
  const none = planner.candidate(0)
  if (fits(none)) return none
  let [low, high] = [1, layers]
  let best = checked(planner.candidate(layers))
  if (!fits(best)) return best
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const candidate = planner.candidate(middle)
    if (fits(candidate)) {
      best = candidate
      high = middle
    } else low = middle + 1
  }
  return best
}

function doesNotFit(bytes: number, limit: number, options: TrainPlanOptions): LimoError {
  return new NativeError(
    'OUT_OF_MEMORY',
    `expected a run within ${formatBytes(limit)} but it takes ${formatBytes(bytes)} for ${options.maxTokens} tokens a micro-batch` +
      `${options.recompute === 'none' ? ' without recomputation' : ' even with every layer recomputed'}. Lower cutoff_len, ` +
      `${options.recompute === 'none' ? 'set recompute: auto, ' : ''}take a smaller model or raise memory_limit.`,
    { bytes, limit },
  )
}

/** Parameters as products read them, and gradients, each in a storage of their own. */
function placeTrained(layout: ParameterLayout, dtype: ComputeDtype): (tensor: Tensor) => Placement<TrainStorage> {
  const placeWeight = placeParameters<TrainStorage>(layout, dtype === 'f32' ? 'parameters' : 'weights')
  return (tensor) =>
    tensor.kind === 'gradient'
      ? { storage: 'gradients', offset: layout.parameters.get(tensor.name.slice('d.'.length))!.offset }
      : placeWeight(tensor)
}
