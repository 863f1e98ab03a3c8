import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readMetrics, type StepMetrics } from '../../lib/train/metrics.js'
import { goldenFamilies } from '../lib/train/golden-files.js'
import { cudaTargets } from '../ops/run-op.js'
import { readTensors, relativeL2 } from '../tensor-files.js'
import { asOptions, runCli } from './run-cli.js'

/* The runs of the golden models as a user makes them: rows.jsonl and a model folder in, metrics.jsonl and a model folder out. */

interface GoldenRun {
  learning_rate: number
  lr_scheduler_type: string
  warmup_steps: number
  adam_beta1: number
  adam_beta2: number
  adam_epsilon: number
  weight_decay: number
  max_grad_norm: number
  gradient_accumulation_steps: number
  per_device_train_batch_size: number
  num_train_epochs: number
  loss_reduction: Record<
    'token' | 'sample',
    { step: number; lr: number; loss: number; scored_tokens: number; grad_norm: number }[]
  >
}

type Settings = Record<string, string | number | boolean>

/** Room for one or two rows (the longest has 88 tokens): packing makes several micro-batches of a step. */
const smallCapacity = { cutoff_len: 96 }
/** Room for all four rows of a step. */
const largeCapacity = { cutoff_len: 1024 }

const variants: { name: string; settings: Settings; sameBits?: boolean }[] = [
  { name: 'token, packed', settings: { ...smallCapacity } },
  { name: 'token, packed, recompute full', settings: { ...smallCapacity, recompute: 'full' }, sameBits: true },
  { name: 'token, packed, one thread', settings: { ...smallCapacity, threads: 1 }, sameBits: true },
  { name: 'token, unpacked', settings: { packing: false } },
  { name: 'token, packed, 4 rows at a time', settings: layout(4, 1, largeCapacity) },
  { name: 'token, unpacked, 2 rows at a time', settings: layout(2, 2, { packing: false }) },
  // Where this checkout has built the emulated device.
  ...cudaTargets
    .slice(0, 1)
    .map(({ device }) => ({ name: 'token, packed, CUDA', settings: { ...smallCapacity, device: device! } })),
  { name: 'sample, packed', settings: { ...largeCapacity, loss_reduction: 'sample' } },
  { name: 'sample, unpacked, 2 rows at a time', settings: layout(2, 2, { packing: false, loss_reduction: 'sample' }) },
]

function layout(batchSize: number, accumulation: number, settings: Settings): Settings {
  return { per_device_train_batch_size: batchSize, gradient_accumulation_steps: accumulation, ...settings }
}

/**
 * AdamW divides a gradient by its own size, so weights inherit the relative error of gradients, 1e-4. But a key's bias adds
 * nearly the same to all scores of a query where RoPE hardly turns (the last pair of each head), which softmax ignores: its
 * true gradient there is 1e-8, a sum over some 200 positions of parts of 1e-4 and more, of which float32 keeps one digit or
 * two. A tenth of the way that such a weight goes in 12 steps (the sum of the learning rates is 0.012) is 1e-3 of the
 * tensor's norm of about 1.
 */
function weightTolerance(tensor: string): number {
  return tensor.endsWith('k_proj.bias') ? 1e-3 : 1e-4
}

async function trainOnRows(folder: string, run: GoldenRun, outputDir: string, settings: Settings): Promise<void> {
  const { loss_reduction: _, lr_scheduler_type, ...numbers } = run
  const known = Object.entries(numbers).filter(([, value]) => typeof value === 'number')
  const { code, stderr } = await runCli([
    'train',
    ...asOptions({
      model_name_or_path: folder,
      dataset: join(folder, 'rows.jsonl'),
      output_dir: outputDir,
      lr_scheduler_type,
      ...Object.fromEntries(known.filter(([key]) => key !== 'steps')),
      ...{ disable_shuffling: true, logging_steps: 1, save_strategy: 'no', threads: 2 },
      ...settings,
    }),
  ])
  if (code !== 0) throw new Error(`train ended with ${code}: ${stderr}`)
}

for (const { family, folder, skip } of goldenFamilies) {
  t.test(`golden ${family} through the command line`, { skip }, async (t) => {
    const run: GoldenRun = JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'))
    const wantedWeights = await readTensors(join(folder, 'trained-on-rows.safetensors'))
    const output = t.testdir()
    let firstBytes: Buffer | undefined

    for (const { name, settings, sameBits } of variants) {
      const outputDir = join(output, name.replaceAll(/\W+/g, '-'))
      await trainOnRows(folder, run, outputDir, settings)

      const reduction = settings.loss_reduction === 'sample' ? 'sample' : 'token'
      const rows = (await readMetrics(outputDir)) as StepMetrics[]
      t.equal(rows.length, run.loss_reduction[reduction].length, `${name}: every step is logged`)
      for (const [index, want] of run.loss_reduction[reduction].entries()) {
        const row = rows[index]!
        t.equal(row.step, want.step + 1)
        const off = `${name}: step ${row.step}`
        t.ok(Math.abs(row.learningRate - want.lr) <= 1e-12, `${off}: learning rate ${row.learningRate} is ${want.lr}`)
        t.ok(Math.abs(row.loss - want.loss) <= 1e-5 * want.loss, `${off}: loss ${row.loss} is ${want.loss}`)
        t.equal(row.scoredTokens, want.scored_tokens, `${off}: scored tokens`)
        t.ok(
          Math.abs(row.gradNorm - want.grad_norm) <= 1e-4 * want.grad_norm,
          `${off}: norm ${row.gradNorm} is ${want.grad_norm}`,
        )
      }

      if (reduction === 'sample') continue
      const bytes = await readFile(join(outputDir, 'model.safetensors'))
      firstBytes ??= bytes
      if (sameBits) t.ok(bytes.equals(firstBytes), `${name}: the same bits as ${variants[0]!.name}`)
      const weights = await readTensors(join(outputDir, 'model.safetensors'))
      t.same([...weights.keys()].sort(), [...wantedWeights.keys()].sort(), `${name}: names of the weights`)
      for (const [tensor, wanted] of wantedWeights) {
        const error = relativeL2(weights.get(tensor)!, wanted)
        t.ok(error <= weightTolerance(tensor), `${name}: ${tensor} after training: relative L2 error ${error}`)
      }
    }
  })
}
