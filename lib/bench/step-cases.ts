import type { ModelConfig } from '../config/model-config.js'
import type { PackedBatch } from '../data/packer.js'
import { countParameters } from '../model/decoder-parameters.js'
import { backendOf } from '../native/backend.js'
import type { Device } from '../native/device.js'
import { defaultMemoryLimit } from '../native/memory-limit.js'
import { planTraining } from '../train/train-plan.js'
import { TrainSession } from '../train/train-session.js'
import { type ComputeType, fromBf16 } from './compute-type.js'
import { randomIds, randomValues } from './measure.js'
import type { PreparedCase } from './op-case.js'
import type { BenchScale } from './sizes.js'
import { firstLosses } from './step-reference.js'

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

/** Qwen2.5-1.5B. */
const Q15 = qwen2({
  vocabSize: 151936,
  hiddenSize: 1536,
  numHiddenLayers: 28,
  numAttentionHeads: 12,
  numKeyValueHeads: 2,
  intermediateSize: 8960,
})
const tiny = qwen2({
  vocabSize: 160,
  hiddenSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  intermediateSize: 96,
})

/** The steps that are measured on each kind of device; Q is Qwen2.5-0.5B, and a CUDA device has chains as long as LIMO's. */
export const stepCases: Readonly<Record<BenchScale, readonly StepCase[]>> = {
  cpu: [
    { name: 'S', config: S, tokens: 1024 },
    { name: 'M', config: M, tokens: 2048 },
    { name: 'Q', config: Q, tokens: 512 },
    { name: 'Q', config: Q, tokens: 2048 },
  ],
  cuda: [
    { name: 'Q', config: Q, tokens: 16384 },
    { name: 'Q1.5', config: Q15, tokens: 16384 },
  ],
  small: [{ name: 'tiny', config: tiny, tokens: 80 }],
}

/** The letters of a step's shape. */
export function stepShape({ config, tokens }: StepCase): Record<string, number> {
  return { T: tokens, V: config.vocabSize, C: config.hiddenSize, L: config.numHiddenLayers }
}

/**
 * Floating-point operations of a training step: 6 for each parameter that a matrix product uses and token (the tied
 * embedding counts once, as the vocabulary projection), and causal attention counted once: 2 products forward and 4
 * backward of T²/2 scores. Recomputation is not counted, nor is the fifth product of attention's backward pass.
 */
export function stepFlops({ config, tokens }: StepCase): number {
  const { numHiddenLayers, numAttentionHeads, headDim } = config
  return 6 * countParameters(config) * tokens + 6 * numHiddenLayers * numAttentionHeads * headDim * tokens * tokens
}

/** Tokens whose losses are held against double: of a model that takes seconds to read, as few as attention needs. */
const checkedTokens = (config: ModelConfig) => (countParameters(config) < 1e9 ? 4 : 2)

/** Puts a step on a device, with random weights and one sequence of random tokens. */
export async function prepareStep(device: Device, type: ComputeType, { config, tokens }: StepCase): Promise<PreparedCase> {
  const plan = planTraining({
    ...{ config, dtype: type.dtype, recompute: 'auto', threads: device.info.threads, maxTokens: tokens, maxSequences: 1 },
    ...{ device: device.name, memoryLimit: memoryLimitOf(device) },
    ...{ adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }, maxGradNorm: 1 },
  })
  const session = await TrainSession.create(device, plan)
  const { parts } = plan.layout
  for (const [index, { name, shape, offset, bytes }] of [...parts.values()].entries()) {
    const isNorm = shape.length === 1 && !name.endsWith('bias')
    const values = isNorm ? new Float32Array(bytes / 4).fill(1) : randomValues(bytes / 4, index + 1, { scale: 0.02 })
    await session.arenas.parameters.write(offset, values)
  }
  await session.roundWeights()
  const batch = randomBatch(tokens, config.vocabSize)
  let steps = 0
  const run = async () => {
    const result = await session.runMicroStep(batch)
    steps++
    await session.update(steps, 1e-5)
    return result
  }
  const readWeight = async (name: string) => {
    const { offset, bytes } = parts.get(name)!
    if (type.dtype === 'bf16') return fromBf16(new Uint16Array((await session.arenas.weights.read(offset / 2, bytes / 2)).buffer))
    return new Float32Array((await session.arenas.parameters.read(offset, bytes)).buffer)
  }
  return {
    bytes: plan.totalBytes - plan.bytes.scratch,
    run,
    async check() {
      const expected = await firstLosses({ config, read: readWeight, ids: batch.inputIds }, checkedTokens(config))
      const { tokenLosses } = await run()
      // Every layer rounds the residual stream twice; the errors add up like independent ones.
      const roundings = 2 * type.roundoff * Math.sqrt(2 * config.numHiddenLayers)
      for (const [t, loss] of expected.entries()) {
        const got = tokenLosses[t]!
        if (!(Math.abs(got - loss) <= 1e-5 * loss + roundings))
          throw new Error(`expected the loss of token ${t} to be ${loss} but received ${got}`)
      }
    },
  }
}

/** Memory limit: on a CUDA device most of its memory, because its steps are long enough to recompute some layers. */
function memoryLimitOf({ name, info }: Device): number | undefined {
  return !backendOf(name).hasOwnMemory ? undefined : defaultMemoryLimit(name, info.memoryBytes)
}

function randomBatch(tokens: number, vocabSize: number): PackedBatch {
  const ids = randomIds(tokens, vocabSize, 7)
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
