import { join } from 'node:path'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import type { ModelConfig } from '../../../lib/config/model-config.js'
import { appendBackward } from '../../../lib/graph/backward.js'
import { Graph } from '../../../lib/graph/graph.js'
import { appendDecoder } from '../../../lib/model/decoder.js'
import { declareParameters, type TrainableWeights } from '../../../lib/model/decoder-parameters.js'
import type { ComputeDtype } from '../../../lib/native/addon-types.js'
import { layOutParameters, type ParameterLayout } from '../../../lib/plan/parameters.js'
import { interpretReference } from '../../graph/reference-interpreter.js'
import { adamw, clipScale, type Settings } from '../../ops/adamw-reference.js'
import { rotaryFrequencies } from '../../ops/rope-reference.js'
import { readTensors } from '../../tensor-files.js'
import { type Golden, type GoldenBatch, type GoldenTraining, packedBatch } from './golden-files.js'

type Numbers = ArrayLike<number>

/** A packed batch, whose loss weights may be double. */
export interface ReferenceBatch {
  inputIds: Numbers
  labels: Numbers
  lossWeights: Numbers
  positions: Numbers
  cuSeqlens: Numbers
}

export function normOf(values: Numbers): number {
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2
  return Math.sqrt(squares)
}

/** As packedBatch, with the weights in double. */
export function referenceBatch(batch: GoldenBatch, scoredTokens: number): ReferenceBatch {
  const packed = packedBatch(batch, scoredTokens)
  return { ...packed, lossWeights: Float64Array.from(batch.labels, (label) => (label === -100 ? 0 : 1 / scoredTokens)) }
}

/**
 * A training step in double, weights, gradients and moments too: in float32 what is exact; in bfloat16 it rounds the weights and
 * activations, and nothing else, as the graph stores them.
 */
export class ReferenceStep {
  readonly layout: ParameterLayout
  /** As in the arenas of a native step. */
  readonly parameters: Float64Array
  readonly gradients: Float64Array
  private readonly firstMoment: Float64Array
  private readonly secondMoment: Float64Array
  private readonly graph: Graph

  constructor(
    private readonly config: ModelConfig,
    weights: ReadonlyMap<string, Float32Array>,
    dtype: ComputeDtype,
    isTrainable?: TrainableWeights,
  ) {
    const parameters = declareParameters(config, isTrainable)
    this.layout = layOutParameters(parameters)
    const zeros = () => new Float64Array(this.layout.trainedBytes / 4)
    this.gradients = zeros()
    this.firstMoment = zeros()
    this.secondMoment = zeros()
    this.parameters = new Float64Array(this.layout.bytes / 4)
    for (const { name, offset } of this.layout.parts.values()) this.parameters.set(weights.get(name)!, offset / 4)
    this.graph = new Graph(dtype)
    appendDecoder(this.graph, { config, parameters, maxTokens: 128, train: true })
    appendBackward(this.graph)
  }

  /** Forward and backward of a batch; its gradients are added to those at hand. */
  runMicroStep(batch: ReferenceBatch): { loss: number; tokenLosses: Float64Array } {
    const { outputs, gradients } = interpretReference(this.graph, {
      parameters: new Map([...this.layout.parameters.keys()].map((name) => [name, this.rangeOf(this.parameters, name)])),
      inputs: {
        input_ids: batch.inputIds,
        labels: batch.labels,
        loss_weights: batch.lossWeights,
        positions: batch.positions,
        cu_seqlens: batch.cuSeqlens,
      },
      constants: { inverse_frequency: rotaryFrequencies(this.config) },
    })
    for (const [name, values] of gradients) {
      const sum = this.rangeOf(this.gradients, name)
      for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!
    }
    return { loss: outputs.get('loss')![0]!, tokenLosses: outputs.get('token_loss')! }
  }

  /** Clips the gradients, updates the weights and sets the gradients to zero; `step` counts from 1. Returns their norm. */
  update(step: number, learningRate: number, training: GoldenTraining): number {
    const norm = normOf(this.gradients)
    const clip = clipScale(norm, training.max_grad_norm)
    const settings = {
      learning_rate: learningRate,
      beta1: training.adam_beta1,
      beta2: training.adam_beta2,
      eps: training.adam_epsilon,
    }
    const decayed = this.layout.decayedBytes / 4
    this.updateRange(0, decayed, clip, step, { ...settings, weight_decay: training.weight_decay })
    this.updateRange(decayed, this.gradients.length, clip, step, { ...settings, weight_decay: 0 })
    this.gradients.fill(0)
    return norm
  }

  private updateRange(start: number, end: number, clip: number, step: number, settings: Settings): void {
    const state = {
      parameters: this.parameters.subarray(start, end),
      first_moment: this.firstMoment.subarray(start, end),
      second_moment: this.secondMoment.subarray(start, end),
    }
    const updated = adamw(state, this.gradients.subarray(start, end), clip, step, settings)
    for (const name of ['parameters', 'first_moment', 'second_moment'] as const) state[name].set(updated[name].values)
  }

  private rangeOf(values: Float64Array, parameter: string): Float64Array {
    const { offset, bytes } = this.layout.parameters.get(parameter)!
    return values.subarray(offset / 4, (offset + bytes) / 4)
  }
}

export async function openReferenceStep({ folder }: Golden, dtype: ComputeDtype): Promise<ReferenceStep> {
  const { config } = await openModelFolder(folder)
  return new ReferenceStep(config, await readTensors(join(folder, 'model.safetensors')), dtype)
}
