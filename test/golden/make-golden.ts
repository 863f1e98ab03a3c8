import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type SafetensorsDtype, tensorBytes } from '../../lib/checkpoint/safetensors.js'
import { writeSafetensors } from '../../lib/checkpoint/safetensors-writer.js'
import { parseModelConfig } from '../../lib/config/model-config.js'
import { declareParameters } from '../../lib/model/decoder-parameters.js'
import type { ConfigJson } from '../../lib/model/presets.js'
import { Random } from '../../lib/random/random.js'
import { learningRateAt } from '../../lib/train/lr-schedule.js'
import { countScored, type GoldenBatch, type GoldenTraining } from '../lib/train/golden-files.js'
import { normOf, ReferenceStep, referenceBatch } from '../lib/train/golden-reference.js'
import { normalValues } from '../ops/random-values.js'
import { repositoryRoot } from '../shared-files.js'

/*
 * Makes the golden models of this folder: tiny models of each family with random weights, and what the reference interpreter
 * (test/graph/reference-interpreter.ts, every operation from its definition, in double) says of their losses, gradients and training.
 * They are numbers to notice a change by. The interpreter itself is held against numbers from elsewhere by golden-reference.test.ts.
 *
 *     npm run build:types && node dist/test/golden/make-golden.js
 */

const common = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 40,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  max_position_embeddings: 256,
  hidden_act: 'silu',
  torch_dtype: 'float32',
}

const configs: Record<string, ConfigJson> = {
  qwen2: { ...common, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', tie_word_embeddings: true },
  qwen3: { ...common, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 16, tie_word_embeddings: false },
  llama3: {
    ...common,
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    tie_word_embeddings: false,
    attention_bias: false,
    mlp_bias: false,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
  },
}

const training: Omit<GoldenTraining, 'trajectory'> = {
  steps: 8,
  learning_rate: 0.002,
  warmup_steps: 2,
  adam_beta1: 0.9,
  adam_beta2: 0.95,
  adam_epsilon: 1e-8,
  weight_decay: 0.1,
  max_grad_norm: 1,
}
/** Sequences of one token, of a few, and longer than the others. */
const batchLengths = [[21], [4, 1, 16, 3], [40, 9]]
const microBatches = [
  [0, 1],
  [2, 0],
  [1, 2],
]
/** Rows of the run that the command line makes; so many make a step. */
const rows = { count: 12, aStep: 4, epochs: 2 }

interface Row {
  input_ids: number[]
  labels: number[]
}

function makeBatch(random: Random, lengths: number[]): GoldenBatch {
  const cu_seqlens = [0]
  for (const length of lengths) cu_seqlens.push(cu_seqlens.at(-1)! + length)
  const tokens = cu_seqlens.at(-1)!
  return {
    input_ids: Array.from({ length: tokens }, () => random.below(common.vocab_size)),
    // The first third of what is predicted is a prompt.
    labels: Array.from({ length: tokens }, (_, t) => (t % 3 === 0 ? -100 : random.below(common.vocab_size))),
    cu_seqlens,
  }
}

/** Already tokenized, its labels where its tokens are; the first third is not scored. */
function makeRow(random: Random): Row {
  const input_ids = Array.from({ length: 6 + random.below(30) }, () => random.below(common.vocab_size))
  return { input_ids, labels: input_ids.map((id, t) => (3 * t < input_ids.length ? -100 : id)) }
}

/** The rows of a step as one packed batch: position t predicts the label of t + 1. */
function packRows(step: readonly Row[]): GoldenBatch {
  const batch: GoldenBatch = { input_ids: [], labels: [], cu_seqlens: [0] }
  for (const { input_ids, labels } of step) {
    batch.input_ids.push(...input_ids)
    batch.labels.push(...labels.slice(1), -100)
    batch.cu_seqlens.push(batch.input_ids.length)
  }
  return batch
}

/** A batch in which every scored token counts equally, or every sequence does. */
function weighted(batch: GoldenBatch, reduction: 'token' | 'sample') {
  const reference = referenceBatch(batch, countScored(batch))
  if (reduction === 'token') return reference
  const lossWeights = new Float64Array(batch.labels.length)
  const sequences = batch.cu_seqlens.length - 1
  for (let s = 0; s < sequences; s++) {
    const [start, end] = [batch.cu_seqlens[s]!, batch.cu_seqlens[s + 1]!]
    const scored = batch.labels.slice(start, end).filter((label) => label !== -100).length
    for (let t = start; t < end; t++) if (batch.labels[t] !== -100) lossWeights[t] = 1 / (scored * sequences)
  }
  return { ...reference, lossWeights }
}

/** Norms near 1, biases and weights of a size that makes every part of the model count. */
function makeWeights(config: ReturnType<typeof parseModelConfig>): Map<string, Float32Array> {
  let seed = 100
  return new Map(
    declareParameters(config).weights.map(({ name, shape }) => {
      const count = shape.reduce((product, size) => product * size, 1)
      const isNorm = name.endsWith('norm.weight')
      const values = normalValues(++seed, count, isNorm ? 0.1 : shape.length === 1 ? 0.3 : 0.15)
      return [name, isNorm ? values.map((value) => 1 + value) : values]
    }),
  )
}

async function writeTensors(path: string, shapes: ReadonlyMap<string, number[]>, valuesOf: (name: string) => ArrayLike<number>) {
  const dtype: SafetensorsDtype = 'F32'
  const writers = [...shapes].map(([name, shape]) => {
    const values = Float32Array.from(valuesOf(name))
    const bytes = new Uint8Array(values.buffer)
    return {
      name,
      dtype,
      shape,
      byteLength: tensorBytes(dtype, shape),
      write: (sink: (chunk: Uint8Array) => Promise<void>) => sink(bytes),
    }
  })
  await writeSafetensors(path, writers)
}

async function makeGolden(family: string, configJson: ConfigJson): Promise<void> {
  const folder = join(repositoryRoot, 'test', 'golden', family)
  mkdirSync(folder, { recursive: true })
  const writeJson = (name: string, value: unknown) => writeFileSync(join(folder, name), `${JSON.stringify(value)}\n`)
  const config = parseModelConfig(configJson, 'config.json')
  const weights = makeWeights(config)
  const open = () => new ReferenceStep(config, weights, 'f32')
  const { layout } = open()
  const shapes = new Map([...layout.parts.values()].map(({ name, shape }) => [name, shape]))
  const partOf = (values: Float64Array, name: string) => {
    const { offset, bytes } = layout.parts.get(name)!
    return values.subarray(offset / 4, (offset + bytes) / 4)
  }
  writeJson('config.json', configJson)
  await writeTensors(join(folder, 'model.safetensors'), shapes, (name) => weights.get(name)!)

  const random = new Random(7)
  const batches = batchLengths.map((lengths) => makeBatch(random, lengths))
  writeJson('batches.json', batches)
  const step = open()
  const expected = []
  for (const [index, batch] of batches.entries()) {
    const { loss, tokenLosses } = step.runMicroStep(referenceBatch(batch, countScored(batch)))
    expected.push({
      scored_tokens: countScored(batch),
      loss,
      token_losses: [...tokenLosses].filter((_, t) => batch.labels[t] !== -100),
      grad_norm: normOf(step.gradients),
      grad_norms: Object.fromEntries([...shapes.keys()].map((name) => [name, normOf(partOf(step.gradients, name))])),
    })
    if (index === 1) await writeTensors(join(folder, 'grads.safetensors'), shapes, (name) => partOf(step.gradients, name))
    step.gradients.fill(0)
  }

  const schedule = (totalSteps: number) => ({
    ...{ learningRate: training.learning_rate, type: 'cosine' as const, minLrRate: 0 },
    ...{ warmupSteps: training.warmup_steps, totalSteps },
  })
  const settings = { ...training, trajectory: [] }
  const trained = open()
  const trajectory: GoldenTraining['trajectory'] = []
  for (let index = 0; index < training.steps; index++) {
    const indices = microBatches[index % microBatches.length]!
    const scored = indices.reduce((sum, batch) => sum + countScored(batches[batch]!), 0)
    let loss = 0
    for (const batch of indices) loss += trained.runMicroStep(referenceBatch(batches[batch]!, scored)).loss
    const lr = learningRateAt(index, schedule(training.steps))
    trajectory.push({ step: index, micro_batches: indices, lr, loss, grad_norm: trained.update(index + 1, lr, settings) })
  }
  writeJson('expected.json', { batches: expected, training: { ...training, trajectory } })
  await writeTensors(join(folder, 'trained.safetensors'), shapes, (name) => partOf(trained.parameters, name))

  const chosen = Array.from({ length: rows.count }, () => makeRow(random))
  writeFileSync(join(folder, 'rows.jsonl'), chosen.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const steps = (rows.count / rows.aStep) * rows.epochs
  const loss_reduction: Record<string, unknown[]> = {}
  for (const reduction of ['token', 'sample'] as const) {
    const run = open()
    loss_reduction[reduction] = Array.from({ length: steps }, (_, index) => {
      const first = (index * rows.aStep) % rows.count
      const batch = packRows(chosen.slice(first, first + rows.aStep))
      const { loss } = run.runMicroStep(weighted(batch, reduction))
      const lr = learningRateAt(index, schedule(steps))
      const scored_tokens = countScored(batch)
      return { step: index, lr, loss, scored_tokens, grad_norm: run.update(index + 1, lr, settings) }
    })
    if (reduction === 'token')
      await writeTensors(join(folder, 'trained-on-rows.safetensors'), shapes, (name) => partOf(run.parameters, name))
  }
  writeJson('run.json', {
    ...{ ...training, steps, lr_scheduler_type: 'cosine' },
    ...{ per_device_train_batch_size: 1, gradient_accumulation_steps: rows.aStep, num_train_epochs: rows.epochs, loss_reduction },
  })
}

for (const [family, config] of Object.entries(configs)) await makeGolden(family, config)
