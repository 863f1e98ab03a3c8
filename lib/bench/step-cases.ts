import type { ModelConfig } from '../config/model-config.js'
import type { PackedBatch } from '../data/packer.js'
import { countParameters } from '../model/parameters.js'
import type { Device } from '../native/device.js'
import { TrainStep } from '../train/step.js'
import { planStep } from '../train/step-plan.js'
import { medianOf, randomValues } from './measure.js'

/** A whole training step of a model at a number of tokens. */
export interface StepCase {
  name: string
  config: ModelConfig
  tokens: number
}

function qwen2(
  shape: Pick<
    ModelConfig,
    'vocabSize' | 'hiddenSize' | 'numHiddenLayers' | 'numAttentionHeads' | 'numKeyValueHeads' | 'intermediateSize'
  >,
): ModelConfig {
  return {
    ...{ modelType: 'qwen2', ...shape, headDim: shape.hiddenSize / shape.numAttentionHeads },
    ...{ rmsNormEps: 1e-6, ropeTheta: 1e6, tieWordEmbeddings: true, attentionBias: true, qkNorm: false },
    ...{ maxPositionEmbeddings: 32768, initializerRange: 0.02 },
  }
}

const S = qwen2({
  vocabSize: 4096,
  hiddenSize: 256,
  numHiddenLayers: 4,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  intermediateSize: 704,
})
const M = qwen2({
  vocabSize: 32000,
  hiddenSize: 512,
  numHiddenLayers: 8,
  numAttentionHeads: 8,
  numKeyValueHeads: 2,
  intermediateSize: 1408,
})
const Q = qwen2({
  vocabSize: 151936,
  hiddenSize: 896,
  numHiddenLayers: 24,
  numAttentionHeads: 14,
  numKeyValueHeads: 2,
  intermediateSize: 4864,
})

export const stepCases: readonly StepCase[] = [
  { name: 'S', config: S, tokens: 1024 },
  { name: 'M', config: M, tokens: 2048 },
  { name: 'Q', config: Q, tokens: 512 },
  { name: 'Q', config: Q, tokens: 2048 },
]

/**
 * Floating-point operations of a training step: 6 for each parameter that a matrix product uses and token (the tied
 * embedding counts once, as the vocabulary projection), and causal attention counted once: 2 products forward and 4
 * backward of T²/2 scores. Recomputation is not counted, nor is the fifth product of attention's backward pass.
 */
export function stepFlops({ config, tokens }: StepCase): number {
  const { numHiddenLayers, numAttentionHeads, headDim } = config
  return 6 * countParameters(config) * tokens + 6 * numHiddenLayers * numAttentionHeads * headDim * tokens * tokens
}

export interface StepResult {
  medianMs: number
  planBytes: number
  /** Loss of the first step: log(vocabulary) for weights this small, which is how a step is checked before it is timed. */
  loss: number
}

/** Takes `steps` steps of one sequence of random tokens after one that is not counted. */
export async function runStepCase(device: Device, { config, tokens }: StepCase, steps: number): Promise<StepResult> {
  const plan = planStep({
    ...{ config, recompute: 'none', threads: device.info.threads, maxTokens: tokens, maxSequences: 1 },
    ...{ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
  })
  const step = await TrainStep.create(device, plan)
  for (const [index, part] of [...plan.layout.parts.values()].entries()) {
    const values =
      part.shape.length === 1 && !part.name.endsWith('bias')
        ? new Float32Array(part.bytes / 4).fill(1)
        : randomValues(part.bytes / 4, index + 1)
    if (part.shape.length === 2 || part.name.endsWith('bias')) for (let i = 0; i < values.length; i++) values[i]! *= 0.02
    await step.arenas.parameters.write(part.offset, values)
  }
  const batch = randomBatch(tokens, config.vocabSize)
  let loss = 0
  const times: number[] = []
  for (let n = 0; n <= steps; n++) {
    const start = performance.now()
    const result = await step.runMicroStep(batch)
    await step.update(n + 1, 1e-5)
    if (n === 0) loss = result.loss
    else times.push(performance.now() - start)
  }
  const expected = Math.log(config.vocabSize)
  if (!(Math.abs(loss - expected) < 0.1 * expected))
    throw new Error(`expected a first loss near ${expected} but received ${loss}`)
  return { medianMs: medianOf(times), planBytes: plan.totalBytes, loss }
}

function randomBatch(tokens: number, vocabSize: number): PackedBatch {
  const ids = Int32Array.from(randomValues(tokens, 7), (value) => Math.floor(((value + 1) / 2) * vocabSize) % vocabSize)
  const labels = new Int32Array(tokens).fill(-100)
  labels.set(ids.subarray(1))
  return {
    inputIds: ids,
    labels,
    lossWeights: new Float32Array(tokens).fill(1 / (tokens - 1)),
    positions: Int32Array.from(ids.keys()),
    cuSeqlens: Int32Array.of(0, tokens),
    scoredTokens: tokens - 1,
    exampleIndices: [0],
  }
}
