import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import { readHeader } from '../../../lib/checkpoint/safetensors.js'
import type { PackedBatch } from '../../../lib/data/packer.js'
import { openDevice } from '../../../lib/native/device.js'
import { learningRateAt } from '../../../lib/train/lr-schedule.js'
import { TrainStep } from '../../../lib/train/step.js'
import { planStep, type Recompute } from '../../../lib/train/step-plan.js'
import { loadRegion } from '../../../lib/train/weights.js'
import { sharedPath } from '../../shared-files.js'
import { readTensor, relativeL2 } from '../../tensor-files.js'

interface GoldenBatch {
  input_ids: number[]
  labels: number[]
  cu_seqlens: number[]
}

interface Expected {
  batches: {
    scored_tokens: number
    loss: number
    token_losses: number[]
    grad_norm: number
    grad_norms: Record<string, number>
  }[]
  training: {
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
}

/** A golden batch with each scored token weighing 1 / scoredTokens. */
function packedBatch(batch: GoldenBatch, scoredTokens: number): PackedBatch {
  const positions = new Int32Array(batch.input_ids.length)
  for (let s = 0; s + 1 < batch.cu_seqlens.length; s++)
    for (let i = batch.cu_seqlens[s]!; i < batch.cu_seqlens[s + 1]!; i++) positions[i] = i - batch.cu_seqlens[s]!
  return {
    inputIds: Int32Array.from(batch.input_ids),
    labels: Int32Array.from(batch.labels),
    lossWeights: Float32Array.from(batch.labels, (label) => (label === -100 ? 0 : 1 / scoredTokens)),
    positions,
    cuSeqlens: Int32Array.from(batch.cu_seqlens),
    scoredTokens: batch.labels.filter((label) => label !== -100).length,
    exampleIndices: [],
  }
}

async function openStep(folder: string, training: Expected['training'], recompute: Recompute) {
  const model = await openModelFolder(folder)
  const device = await openDevice('cpu', { threads: 2 })
  const plan = planStep({
    config: model.config,
    recompute,
    threads: 2,
    maxTokens: 128,
    maxSequences: 16,
    beta1: training.adam_beta1,
    beta2: training.adam_beta2,
    eps: training.adam_epsilon,
    weightDecay: training.weight_decay,
    maxGradNorm: training.max_grad_norm,
  })
  const step = await TrainStep.create(device, plan)
  await loadRegion({ arena: step.arenas.parameters, offset: 0 }, plan.layout, model.tensors)
  return { device, step, layout: plan.layout }
}

async function readPart(step: TrainStep, arena: 'parameters' | 'gradients', name: string): Promise<Float32Array> {
  const part = step.plan.layout.parts.get(name)!
  const bytes = await step.arenas[arena].read(part.offset, part.bytes)
  return new Float32Array(bytes.buffer, bytes.byteOffset, part.bytes / 4)
}

for (const family of ['qwen2', 'qwen3', 'llama3']) {
  for (const recompute of ['none', 'full'] as const) {
    const folder = sharedPath('golden', family)
    t.test(`golden ${family}, recompute ${recompute}`, { skip: folder === undefined && 'shared/golden is absent' }, async (t) => {
      const batches: GoldenBatch[] = JSON.parse(await readFile(join(folder!, 'batches.json'), 'utf8'))
      const expected: Expected = JSON.parse(await readFile(join(folder!, 'expected.json'), 'utf8'))
      const { device, step } = await openStep(folder!, expected.training, recompute)
      t.teardown(() => device.close())

      for (const [index, batch] of batches.entries()) {
        const want = expected.batches[index]!
        const packed = packedBatch(batch, want.scored_tokens)
        const { loss } = await step.evaluate(packed)
        const trained = await step.runMicroStep(packed)
        t.equal(trained.loss, loss, `batch ${index}: evaluation and training give the same loss`)
        t.ok(Math.abs(loss - want.loss) <= 1e-5 * want.loss, `batch ${index}: loss ${loss} is ${want.loss}`)
        const tokenLosses = [...trained.tokenLosses].filter((_, t) => batch.labels[t] !== -100)
        t.ok(relativeL2(tokenLosses, want.token_losses) <= 1e-5, `batch ${index}: the loss of every token`)
        for (const [name, norm] of Object.entries(want.grad_norms)) {
          const gradient = await readPart(step, 'gradients', name)
          const got = Math.hypot(...gradient)
          t.ok(Math.abs(got - norm) <= 1e-4 * norm, `batch ${index}: norm of the gradient of ${name}: ${got} is ${norm}`)
        }
        if (index === 1) {
          for (const entry of (await readHeader(join(folder!, 'grads.safetensors'))).entries.values()) {
            const error = relativeL2(await readPart(step, 'gradients', entry.name), await readTensor(entry))
            t.ok(error <= 1e-4, `gradient of ${entry.name}: relative L2 error ${error}`)
          }
        }
        const norm = await step.update(1, 0)
        t.ok(Math.abs(norm - want.grad_norm) <= 1e-5 * want.grad_norm, `batch ${index}: norm of all gradients`)
      }
    })

    t.test(
      `golden ${family} training, recompute ${recompute}`,
      { skip: folder === undefined && 'shared/golden is absent' },
      async (t) => {
        const batches: GoldenBatch[] = JSON.parse(await readFile(join(folder!, 'batches.json'), 'utf8'))
        const { training }: Expected = JSON.parse(await readFile(join(folder!, 'expected.json'), 'utf8'))
        const { device, step, layout } = await openStep(folder!, training, recompute)
        t.teardown(() => device.close())
        const schedule = {
          learningRate: training.learning_rate,
          type: 'cosine' as const,
          warmupSteps: training.warmup_steps,
          totalSteps: training.steps,
          minLrRate: 0,
        }
        for (const want of training.trajectory) {
          const micro = want.micro_batches.map((index) => batches[index]!)
          const scored = micro.reduce((sum, batch) => sum + batch.labels.filter((label) => label !== -100).length, 0)
          let loss = 0
          for (const batch of micro) loss += (await step.runMicroStep(packedBatch(batch, scored))).loss
          const learningRate = learningRateAt(want.step, schedule)
          t.ok(Math.abs(learningRate - want.lr) <= 1e-12, `step ${want.step}: learning rate`)
          const norm = await step.update(want.step + 1, learningRate)
          t.ok(Math.abs(loss - want.loss) <= 1e-5 * want.loss, `step ${want.step}: loss ${loss} is ${want.loss}`)
          t.ok(
            Math.abs(norm - want.grad_norm) <= 1e-4 * want.grad_norm,
            `step ${want.step}: gradient norm ${norm} is ${want.grad_norm}`,
          )
        }
        const trained = (await readHeader(join(folder!, 'trained.safetensors'))).entries
        for (const name of layout.parts.keys()) {
          const error = relativeL2(await readPart(step, 'parameters', name), await readTensor(trained.get(name)!))
          // As for gradients: AdamW divides a gradient by its own size, so weights inherit the relative error of gradients.
          t.ok(error <= 1e-4, `${name} after training: relative L2 error ${error}`)
        }
      },
    )
  }
}
