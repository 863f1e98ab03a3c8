import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import type { PackedBatch } from '../../../lib/data/packer.js'
import type { TrainableWeights } from '../../../lib/model/decoder-parameters.js'
import type { ComputeDtype } from '../../../lib/native/addon-types.js'
import type { Device } from '../../../lib/native/device.js'
import type { ParameterLayout } from '../../../lib/plan/parameters.js'
import { learningRateAt } from '../../../lib/train/lr-schedule.js'
import { loadWeights } from '../../../lib/train/session-state.js'
import { planTraining, type Recompute } from '../../../lib/train/train-plan.js'
import { TrainSession } from '../../../lib/train/train-session.js'
import { allTests } from '../../command-line.js'
import { repositoryRoot, sharedPath } from '../../shared-files.js'
import { readTensors } from '../../tensor-files.js'

/* The golden models, and training steps on them: small ones of this repository, and larger ones of shared/golden, whose numbers are PyTorch's. */

export interface GoldenFamily {
  family: string
  folder: string
  skip: string | false
}

const names = ['qwen2', 'qwen3', 'llama3']

const ownGoldens: GoldenFamily[] = names.map((name) => ({
  family: `${name}, small`,
  folder: join(repositoryRoot, 'test', 'golden', name),
  skip: false,
}))

const sharedGoldens: GoldenFamily[] = names.map((name) => {
  const folder = sharedPath('golden', name)
  const reason = allTests ? false : 'the larger golden models: npm run test:all'
  return { family: name, folder: folder!, skip: folder === undefined ? 'shared/golden is absent' : reason }
})

export const goldenFamilies = [...ownGoldens, ...sharedGoldens]

export interface GoldenBatch {
  input_ids: number[]
  labels: number[]
  cu_seqlens: number[]
}

interface ExpectedBatch {
  scored_tokens: number
  loss: number
  token_losses: number[]
  grad_norm: number
  grad_norms: Record<string, number>
}

export interface GoldenTraining {
  steps: number
  learning_rate: number
  warmup_steps: number
  adam_beta1: number
  adam_beta2: number
  adam_epsilon: number
  weight_decay: number
  max_grad_norm: number
  trajectory: { step: number; micro_batches: number[]; lr: number; loss: number; grad_norm: number }[]
}

/** A folder of shared/golden. */
export interface Golden {
  folder: string
  batches: GoldenBatch[]
  expected: ExpectedBatch[]
  training: GoldenTraining
  /** Gradients of batch 1. */
  gradients: Map<string, Float32Array>
  trained: Map<string, Float32Array>
}

export async function readGolden(folder: string): Promise<Golden> {
  const readJson = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'))
  const { batches: expected, training } = await readJson('expected.json')
  const gradients = await readTensors(join(folder, 'grads.safetensors'))
  const trained = await readTensors(join(folder, 'trained.safetensors'))
  return { folder, batches: await readJson('batches.json'), expected, training, gradients, trained }
}

export function countScored(batch: GoldenBatch): number {
  return batch.labels.filter((label) => label !== -100).length
}

/** The losses of the scored tokens alone, as expected.json has them. */
export function scoredLosses(batch: GoldenBatch, tokenLosses: ArrayLike<number>): number[] {
  return Array.from(tokenLosses).filter((_, t) => batch.labels[t] !== -100)
}

/** A golden batch with each scored token weighing 1 / scoredTokens. */
export function packedBatch(batch: GoldenBatch, scoredTokens: number): PackedBatch {
  const positions = new Int32Array(batch.input_ids.length)
  for (let s = 0; s + 1 < batch.cu_seqlens.length; s++)
    for (let i = batch.cu_seqlens[s]!; i < batch.cu_seqlens[s + 1]!; i++) positions[i] = i - batch.cu_seqlens[s]!
  return {
    inputIds: Int32Array.from(batch.input_ids),
    labels: Int32Array.from(batch.labels),
    lossWeights: Float32Array.from(batch.labels, (label) => (label === -100 ? 0 : 1 / scoredTokens)),
    positions,
    cuSeqlens: Int32Array.from(batch.cu_seqlens),
    scoredTokens: countScored(batch),
    exampleIndices: [],
  }
}

/** The micro-batches of each golden training step, with the scored tokens of all of them and the learning rate. */
export function* trainingSteps({ batches, training }: Golden) {
  const schedule = {
    learningRate: training.learning_rate,
    type: 'cosine' as const,
    warmupSteps: training.warmup_steps,
    totalSteps: training.steps,
    minLrRate: 0,
  }
  for (const want of training.trajectory) {
    const microBatches = want.micro_batches.map((index) => batches[index]!)
    const scoredTokens = microBatches.reduce((sum, batch) => sum + countScored(batch), 0)
    yield { want, microBatches, scoredTokens, learningRate: learningRateAt(want.step, schedule) }
  }
}

/** A training step on a golden model, its weights loaded. */
export async function openGoldenSession(
  { folder, training }: Golden,
  device: Device,
  options: { dtype: ComputeDtype; recompute: Recompute; isTrainable?: TrainableWeights },
): Promise<TrainSession> {
  const model = await openModelFolder(folder)
  const plan = planTraining({
    ...options,
    config: model.config,
    device: device.name,
    threads: device.info.threads,
    maxTokens: 128,
    maxSequences: 16,
    adamw: {
      beta1: training.adam_beta1,
      beta2: training.adam_beta2,
      eps: training.adam_epsilon,
      weightDecay: training.weight_decay,
    },
    maxGradNorm: training.max_grad_norm,
  })
  const session = await TrainSession.create(device, plan)
  await loadWeights(session, model.tensors)
  return session
}

export type Float32Arena = 'parameters' | 'gradients'

/** All numbers of an arena, in the order of the layout. */
export async function readArena(session: TrainSession, arena: Float32Arena): Promise<Float32Array> {
  const bytes = await session.arenas[arena].read(0, session.plan.bytes[arena])
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

/** The numbers of one weight, or of its gradient, of those of an arena. */
export function partOf<T extends Float32Array | Float64Array>(
  values: T,
  { layout }: { layout: ParameterLayout },
  name: string,
): T {
  const { offset, bytes } = layout.parts.get(name)!
  return values.subarray(offset / 4, (offset + bytes) / 4) as T
}
