import type { AttributeValue, Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const gradNormOp: OpDefinition = contracts.grad_norm

export const adamwOp: OpDefinition = contracts.adamw

/** Norm of all gradients [N], an output of the graph, and the factor that clips them to `maxNorm` (0: no clipping). */
export function gradNorm(graph: Graph, args: { gradients: Tensor; maxNorm: number }): { norm: Tensor; clipScale: Tensor } {
  const norm = graph.output('grad_norm', [1])
  const clipScale = graph.activation('clip_scale', [1], 'f32')
  graph.append(gradNormOp, { norm, clip_scale: clipScale, gradients: args.gradients }, { max_norm: args.maxNorm })
  return { norm, clipScale }
}

export interface AdamwSettings {
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
}

export interface AdamwArguments {
  parameters: Tensor
  firstMoment: Tensor
  secondMoment: Tensor
  gradients: Tensor
  clipScale: Tensor
  /** [N] bfloat16, written: the new parameters rounded. */
  rounded?: Tensor | undefined
  learningRate: AttributeValue
  settings: AdamwSettings
  /** Counts from 1. */
  step: AttributeValue
}

/** One AdamW update of flat arrays [N] in place. */
export function adamw(graph: Graph, args: AdamwArguments): void {
  const {
    parameters,
    firstMoment,
    secondMoment,
    gradients,
    clipScale,
    rounded,
    learningRate,
    settings: { weightDecay, ...settings },
    step,
  } = args
  graph.append(
    adamwOp,
    { parameters, first_moment: firstMoment, second_moment: secondMoment, gradients, clip_scale: clipScale, rounded },
    { learning_rate: learningRate, ...settings, weight_decay: weightDecay, step },
  )
}
