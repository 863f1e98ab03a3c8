import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readHeader, type TensorEntry } from '../../lib/checkpoint/safetensors.js'
import { presets } from '../../lib/model/presets.js'
import { tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, runCli } from './run-cli.js'

/* A run in bfloat16 as a user makes it: what its folders hold, and that the number of threads and stopping change nothing. */

const settings = { bf16: true, max_steps: 8, save_strategy: 'steps', save_steps: 4, per_device_train_batch_size: 2 }

function bytesOf({ file, byteOffset, byteLength }: TensorEntry): Buffer {
  return readFileSync(file).subarray(byteOffset, byteOffset + byteLength)
}

/** The bytes of a float32 tensor rounded to bfloat16, to nearest, ties to even. */
function rounded(entry: TensorEntry): Buffer {
  const bytes = bytesOf(entry)
  const out = Buffer.alloc(bytes.length / 2)
  for (let i = 0; i < bytes.length / 4; i++) {
    const bits = bytes.readUInt32LE(4 * i)
    out.writeUInt16LE(((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff, 2 * i)
  }
  return out
}

t.test('bf16: true', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 30 })
  const train = async (outputDir: string, more: Record<string, string | number | boolean> = {}) => {
    const options = asOptions({ ...tinySettings(inputs, join(folder, outputDir)), ...settings, ...more })
    return runCli(['train', ...options])
  }
  const contents = (outputDir: string) =>
    ['model.safetensors', join('training-state', 'optimizer.safetensors')].map((name) =>
      readFileSync(join(folder, outputDir, name)),
    )

  t.equal((await train('out', { threads: 1 })).code, 0)
  const { entries: model } = await readHeader(join(folder, 'out', 'model.safetensors'))
  const { entries: state } = await readHeader(join(folder, 'out', 'training-state', 'optimizer.safetensors'))
  for (const [name, entry] of model) {
    t.equal(entry.dtype, 'BF16', name)
    t.equal(state.get(`master.${name}`)!.dtype, 'F32')
    t.ok(bytesOf(entry).equals(rounded(state.get(`master.${name}`)!)), `${name} is its master weight rounded`)
  }
  t.equal(JSON.parse(readFileSync(join(folder, 'out', 'config.json'), 'utf8')).torch_dtype, 'bfloat16')

  t.equal((await train('threads', { threads: 2 })).code, 0)
  t.same(contents('threads'), contents('out'), 'two threads give the same bits as one')

  cpSync(join(folder, 'out', 'checkpoint-4'), join(folder, 'resumed', 'checkpoint-4'), { recursive: true })
  cpSync(join(folder, 'out', 'metrics.jsonl'), join(folder, 'resumed', 'metrics.jsonl'))
  const other = await train('resumed', { resume_from_checkpoint: true, bf16: false })
  t.match(other.stderr, /bf16: true then, false now.*\[CHECKPOINT_MISMATCH\]/)
  t.equal((await train('resumed', { resume_from_checkpoint: true })).code, 0)
  t.same(contents('resumed'), contents('out'), 'resumed at step 4 gives the same bits')

  t.test('a bfloat16 model goes in and comes out', async (t) => {
    const from = { model_name_or_path: join(folder, 'out'), max_steps: 1, learning_rate: 1e-30 }
    t.equal((await train('again', from)).code, 0)
    const { entries } = await readHeader(join(folder, 'again', 'model.safetensors'))
    for (const [name, entry] of entries) t.ok(bytesOf(entry).equals(bytesOf(model.get(name)!)), `${name}, bit for bit`)
  })

  t.test('plan tells its memory', async (t) => {
    const plan = async (bf16: boolean) =>
      JSON.parse((await runCli(['plan', '--json', ...asOptions({ ...tinySettings(inputs, folder), bf16 })])).stdout)
    const [half, full] = [await plan(true), await plan(false)]
    t.equal(half.dtype, 'bf16')
    t.equal(half.bytes.weights, half.bytes.parameters / 2)
    t.equal(full.bytes.weights, 0)
    t.ok(half.bytes.activations < 0.7 * full.bytes.activations, 'activations take little more than half')
  })
})
