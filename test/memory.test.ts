import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { byteLevelTokenizerFiles } from '../lib/model/byte-tokenizer.js'
import { writeInitialModel } from '../lib/model/initialize.js'
import type { ConfigJson } from '../lib/model/presets.js'
import { presets } from '../lib/model/presets.js'
import { allTests, shellEnvironment, whySlowTestsAreSkipped, withoutHooks } from './command-line.js'
import { repositoryRoot, sharedPath, tokenizerFolder } from './shared-files.js'

/* The memory of a whole process against its plan, and a run on real chains at their full length. */

const skip = !allTests ? whySlowTestsAreSkipped : process.platform !== 'linux' ? 'memory is read from /proc' : false

interface Measured {
  planBytes: number
  maxTokens: number
  losses: number[]
  idleBytes: number
  peakBytes: number
}

async function measureRun(config: Record<string, unknown>): Promise<Measured> {
  const script = join(repositoryRoot, 'dist', 'test', 'memory-run.js')
  const [env, ...unset] = withoutHooks
  const args = [...unset, process.execPath, script, JSON.stringify(config)]
  const { stdout } = await promisify(execFile)(env, args, { env: shellEnvironment() })
  return JSON.parse(stdout)
}

async function makeModel(t: Test, shape: ConfigJson, tokenizer: { folder: string } | { files: Record<string, string> }) {
  const folder = mkdtempSync(join(tmpdir(), 'limo-memory-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const model = join(folder, 'model')
  await writeInitialModel(model, { configJson: { ...presets.tiny, ...shape, rope_theta: 1e6 }, seed: 1, tokenizer })
  return { folder, model }
}

t.test('a run above 1 GB peaks within 5% of its plan, saving included', { skip, timeout: 300_000 }, async (t) => {
  const vocabulary = 32000
  const shape = {
    vocab_size: vocabulary,
    hidden_size: 512,
    num_hidden_layers: 8,
    num_attention_heads: 8,
    intermediate_size: 1408,
  }
  const { folder, model } = await makeModel(t, shape, { files: byteLevelTokenizerFiles() })
  const rows = Array.from({ length: 2 }, (_, row) => {
    const ids = Array.from({ length: 2048 }, (_, position) => (position * 7919 + row) % vocabulary)
    return `${JSON.stringify({ input_ids: ids, labels: ids })}\n`
  })
  writeFileSync(join(folder, 'rows.jsonl'), rows.join(''))
  const { planBytes, idleBytes, peakBytes } = await measureRun({
    ...{ model_name_or_path: model, dataset: join(folder, 'rows.jsonl'), output_dir: join(folder, 'out') },
    ...{ cutoff_len: 2048, per_device_train_batch_size: 1, gradient_accumulation_steps: 1, max_steps: 2, recompute: 'none' },
  })
  t.ok(planBytes > 1e9, `the plan is ${planBytes} bytes`)
  const ratio = (peakBytes - idleBytes) / planBytes
  t.ok(Math.abs(ratio - 1) <= 0.05, `peak over idle is ${ratio.toFixed(4)} of the plan`)
})

const chains = sharedPath('data', 'sft', 'long-chains.jsonl')
const skipChains = skip || (chains === undefined && 'shared/data is absent')

t.test('long chains with the vocabulary of Qwen2.5 train within 2.5 GB', { skip: skipChains, timeout: 300_000 }, async (t) => {
  const shape = { vocab_size: 151936, max_position_embeddings: 32768 }
  const { folder, model } = await makeModel(t, shape, { folder: tokenizerFolder('qwen2_5') })
  const { maxTokens, losses, peakBytes } = await measureRun({
    ...{ model_name_or_path: model, dataset: chains, template: 'qwen', output_dir: join(folder, 'out'), cutoff_len: 16384 },
    // Two steps of eight chains: 50,000 tokens, in micro-batches that are packed to 16,384.
    ...{ per_device_train_batch_size: 1, gradient_accumulation_steps: 8, max_steps: 2, learning_rate: 1e-3, save_strategy: 'no' },
  })
  t.equal(maxTokens, 16384)
  t.ok(
    losses.every((loss, step) => step === 0 || loss < losses[step - 1]!),
    `the loss falls: ${losses}`,
  )
  t.ok(peakBytes < 2.5e9, `the process peaks at ${peakBytes} bytes`)
})
