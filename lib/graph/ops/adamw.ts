import type { AttributeValue, Graph } from '../graph.js'
import { type OpDefinition, read, update, write } from '../op.js'
import type { Tensor } from '../tensor.js'

export const gradNormOp: OpDefinition = {
  name: 'grad_norm',
  operands: { norm: write('1'), clip_scale: write('1'), gradients: read('N') },
  attributes: ['max_norm'],
}

export const adamwOp: OpDefinition = {
  name: 'adamw',
  operands: {
    parameters: update('N'),
    first_moment: update('N'),
    second_moment: update('N'),
    gradients: read('N'),
    clip_scale: read('1'),
  },
  attributes: ['learning_rate', 'beta1', 'beta2', 'eps', 'weight_decay', 'step'],
}

/** Norm of all gradients [N], an output of the graph, and the factor that clips them to `maxNorm` (0: no clipping). */
export function gradNorm(graph: Graph, args: { gradients: Tensor; maxNorm: number }): { norm: Tensor; clipScale: Tensor } {
  const norm = graph.output('grad_norm', [1])
  const clipScale = graph.activation('clip_scale', [1])
  graph.append(gradNormOp, { norm, clip_scale: clipScale, gradients: args.gradients }, { max_norm: args.maxNorm })
  return { norm, clipScale }
}

export interface AdamwArguments {
  parameters: Tensor
  firstMoment: Tensor
  secondMoment: Tensor
  gradients: Tensor
  clipScale: Tensor
  learningRate: AttributeValue
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  /** Counts from 1. */
  step: AttributeValue
}

/** One AdamW update of flat arrays [N] in place. */
export function adamw(graph: Graph, args: AdamwArguments): void {
  const { parameters, firstMoment, secondMoment, gradients, clipScale, learningRate, beta1, beta2, eps, weightDecay, step } = args
  graph.append(
    adamwOp,
    { parameters, first_moment: firstMoment, second_moment: secondMoment, gradients, clip_scale: clipScale },
    { learning_rate: learningRate, beta1, beta2, eps, weight_decay: weightDecay, step },
  )
}
