import { Graph } from '../graph/graph.js'
import type { Bounds } from '../graph/memory-plan.js'
import { type AdamwSettings, adamw, gradNorm } from '../graph/ops/adamw.js'
import { castOp, zeroOp } from '../graph/ops/elementwise.js'
import { Tensor } from '../graph/tensor.js'
import type { ComputeDtype } from '../native/addon-types.js'
import type { ParameterLayout } from '../plan/parameters.js'
import type { Placement } from '../plan/plan.js'

/**
 * The storages of a training run besides its inputs and activations. In float32 `parameters` are all weights. In bfloat16 `weights` are
 * all of them, as products read them, and `parameters` the float32 master weights of those that are trained.
 */
export type TrainStorage = 'parameters' | 'weights' | 'gradients' | 'optimizer'

/** What an update depends on. */
export interface UpdateOptions {
  /** Maximum norm of the gradient; see `gradNorm`. */
  maxGradNorm: number
  adamw: AdamwSettings
  /** Type of activations, weights and products. */
  dtype?: ComputeDtype
}

/** A graph on ranges of whole storages, whatever lies there. */
export class FlatGraph<S extends TrainStorage> {
  readonly graph = new Graph()
  readonly bounds: Bounds = { maxTokens: 0, maxSequences: 0 }
  private readonly placements = new Map<Tensor, Placement<S>>()

  /** Bytes [start, end) of float32 in a storage as a vector; in `weights`, the same elements as bfloat16. */
  range(storage: S, start: number, end: number): Tensor {
    const dtype = storage === 'weights' ? 'bf16' : 'f32'
    const kind = storage === 'gradients' ? 'gradient' : storage === 'optimizer' ? 'optimizer' : 'parameter'
    const tensor = new Tensor({ name: `${storage}[${start}:${end}]`, kind, shape: [(end - start) / 4], dtype })
    this.placements.set(tensor, { storage, offset: dtype === 'bf16' ? start / 2 : start })
    return tensor
  }

  readonly place = (tensor: Tensor): Placement<S> => this.placements.get(tensor)!
}

/** Gradient norm and clipping, AdamW over the decayed and the other parameters, gradients back to zero. */
export function buildUpdate(options: UpdateOptions, layout: ParameterLayout): FlatGraph<TrainStorage> {
  const flat = new FlatGraph<TrainStorage>()
  const { graph } = flat
  const range = flat.range.bind(flat)
  const gradients = range('gradients', 0, layout.trainedBytes)
  const { clipScale } = gradNorm(graph, { gradients, maxNorm: options.maxGradNorm })
  const groups = [
    { start: 0, end: layout.decayedBytes, settings: options.adamw },
    { start: layout.decayedBytes, end: layout.trainedBytes, settings: { ...options.adamw, weightDecay: 0 } },
  ]
  for (const { start, end, settings } of groups) {
    if (start === end) continue
    adamw(graph, {
      parameters: range('parameters', start, end),
      firstMoment: range('optimizer', start, end),
      secondMoment: range('optimizer', layout.trainedBytes + start, layout.trainedBytes + end),
      gradients: range('gradients', start, end),
      clipScale,
      rounded: options.dtype === 'bf16' ? range('weights', start, end) : undefined,
      learningRate: { scalar: 'learning_rate' },
      settings,
      step: { scalar: 'step' },
    })
  }
  graph.append(zeroOp, { out: gradients })
  return flat
}

/** Rounds master weights to the bfloat16 that products read; in float32 there is nothing to do. */
export function buildRounding(layout: ParameterLayout, dtype: ComputeDtype): FlatGraph<'parameters' | 'weights'> {
  const flat = new FlatGraph<'parameters' | 'weights'>()
  if (dtype === 'bf16')
    flat.graph.append(castOp, {
      out: flat.range('weights', 0, layout.trainedBytes),
      x: flat.range('parameters', 0, layout.trainedBytes),
    })
  return flat
}
