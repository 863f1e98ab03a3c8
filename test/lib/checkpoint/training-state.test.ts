import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { removeStaleTemporaries } from '../../../lib/checkpoint/atomic-folder.js'
import { publishFinalModel } from '../../../lib/checkpoint/final-model.js'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import {
  type CheckpointContents,
  checkResumable,
  findLatestCheckpoint,
  openCheckpoint,
  pruneCheckpoints,
  type TrainingState,
  writeCheckpoint,
} from '../../../lib/checkpoint/training-state.js'
import { parseModelConfig } from '../../../lib/config/model-config.js'
import { declareParameters } from '../../../lib/model/decoder-parameters.js'
import { configText, countingTensor, failingTensor } from './writers.js'

const tensors = declareParameters(parseModelConfig(JSON.parse(configText), 'config.json')).weights.map(({ name, shape }) =>
  countingTensor(name, shape),
)
const state = (step: number): TrainingState => ({
  step,
  epoch: step / 8,
  totalSteps: 24,
  settings: { seed: 42, learningRate: 1e-3 },
  examples: { count: 32, digest: 'abc' },
})

function contents(step: number, change: Partial<CheckpointContents['model']> = {}): CheckpointContents {
  const moments = tensors.flatMap(({ name, shape }) => [
    countingTensor(`exp_avg.${name}`, shape),
    countingTensor(`exp_avg_sq.${name}`, shape),
  ])
  const model = { configText, tensors, tokenizer: { files: { 'tokenizer.json': '{}' } }, ...change }
  return { model, state: state(step), optimizer: moments }
}

async function outputWith(test: Test, ...steps: number[]): Promise<string> {
  const output = join(test.testdir(), 'run')
  for (const step of steps) await writeCheckpoint(output, step, contents(step))
  return output
}

t.test('a checkpoint comes back as it went', async (t) => {
  const output = await outputWith(t, 8)
  const folder = join(output, 'checkpoint-8')
  t.same(await findLatestCheckpoint(output), { folder, skipped: [] })
  const checkpoint = await openCheckpoint(folder, { verify: true })
  t.same(checkpoint.state, state(8))
  t.equal(checkpoint.model.tensors.size, tensors.length)
  t.equal(checkpoint.optimizer.size, 2 * tensors.length)
  t.match(checkpoint.optimizer.get('exp_avg_sq.model.norm.weight'), { dtype: 'F32', shape: [4] })
  t.equal((await openModelFolder(folder)).config.hiddenSize, 4, 'it is a model folder')
})

t.test('the newest complete checkpoint counts', async (t) => {
  const output = await outputWith(t, 9, 10, 100)
  const newest = async () => {
    const { folder, skipped } = await findLatestCheckpoint(output)
    return [folder && basename(folder), ...skipped.map(({ folder, reason }) => `${basename(folder)}: ${reason}`)]
  }
  t.same(await newest(), ['checkpoint-100'], 'by number, not by name')
  truncateSync(join(output, 'checkpoint-100', 'model.safetensors'), 100)
  t.match(await newest(), ['checkpoint-10', /^checkpoint-100: model\.safetensors: expected \d+ bytes but it has 100$/])
  rmSync(join(output, 'checkpoint-10', 'manifest.json'))
  t.match(await newest(), ['checkpoint-9', /^checkpoint-100/, /^checkpoint-10: manifest\.json: .* not written to its end$/])
  rmSync(join(output, 'checkpoint-9', 'training-state'), { recursive: true })
  t.match(await newest(), [undefined, /^checkpoint-100/, /^checkpoint-10/, /^checkpoint-9: .*\.\w+: the manifest lists it/])
  t.same(await findLatestCheckpoint(join(output, 'absent')), { folder: undefined, skipped: [] })
})

t.test('a checkpoint that is not what was written is named by file', async (t) => {
  const output = await outputWith(t, 1)
  const good = join(output, 'checkpoint-1')
  const damaged = async (damage: (folder: string) => void, message: RegExp, verify = true) => {
    const folder = join(output, 'damaged')
    rmSync(folder, { recursive: true, force: true })
    cpSync(good, folder, { recursive: true })
    damage(folder)
    await t.rejects(openCheckpoint(folder, { verify }), { name: 'CheckpointError', code: 'CHECKPOINT_CORRUPT', message })
  }
  const flip = (name: string) => (folder: string) => {
    const path = join(folder, name)
    const bytes = readFileSync(path)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(path, bytes)
  }
  const rewrite = (name: string, change: (json: Record<string, never>) => unknown) => (folder: string) => {
    const path = join(folder, name)
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))))
  }
  await damaged(flip('model.safetensors'), /model\.safetensors: its contents are not those that were written/)
  await damaged(flip('training-state/optimizer.safetensors'), /optimizer\.safetensors/)
  await damaged((folder) => truncateSync(join(folder, 'model.safetensors'), 5), /expected \d+ bytes but it has 5/, false)
  await damaged((folder) => rmSync(join(folder, 'config.json')), /config\.json: the manifest lists it/, false)
  await damaged((folder) => rmSync(join(folder, 'manifest.json')), /not written to its end/)
  await damaged((folder) => writeFileSync(join(folder, 'manifest.json'), '{"files"'), /manifest\.json: expected JSON/)
  await damaged(
    (folder) => writeFileSync(join(folder, 'manifest.json'), '{"files": {}}'),
    /state\.json: manifest\.json does not list/,
  )
  const entry = { bytes: 1, sha256: '0'.repeat(64) }
  for (const name of ['../outside', '/etc/passwd', 'a/../../b', '', '.', 'a//b', 'a\\b']) {
    const manifest = JSON.stringify({ files: { [name]: entry } })
    await damaged((folder) => writeFileSync(join(folder, 'manifest.json'), manifest), /manifest\.json: expected the files/)
  }
  // A state of another version has right sizes and hashes as long as those are not looked at.
  await damaged(
    rewrite('manifest.json', () => ({ files: { 'training-state/state.json': { bytes: -1 } } })),
    /expected the files/,
  )
})

t.test('a state of another format is refused', async (t) => {
  const output = await outputWith(t, 1)
  const folder = join(output, 'checkpoint-1')
  const path = join(folder, 'training-state', 'state.json')
  const text = readFileSync(path, 'utf8')
  for (const [from, to, code, message] of [
    ['"format": 2', '"format": 1', 'CHECKPOINT_MISMATCH', /is of format 1 and this version .* from format 2/],
    ['"format": 2', '"format": "2"', 'CHECKPOINT_CORRUPT', /expected 2 for format/],
    ['"step": 1', '"step": -', 'CHECKPOINT_CORRUPT', /expected JSON/],
    ['"epoch": 0.125', '"epoch": "one"', 'CHECKPOINT_CORRUPT', /epoch/],
  ] as const) {
    const changed = text.replace(from, to)
    writeFileSync(path, changed)
    const manifestPath = join(folder, 'manifest.json')
    const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'))
    manifest.files['training-state/state.json'].bytes = statSync(path).size
    writeFileSync(manifestPath, JSON.stringify(manifest))
    await t.rejects(openCheckpoint(folder, { verify: false }), { code, message })
  }
})

t.test('no checkpoint where one was asked for', async (t) => {
  await t.rejects(openCheckpoint(join(t.testdir(), 'checkpoint-7'), { verify: true }), {
    name: 'CheckpointError',
    code: 'CHECKPOINT_NOT_FOUND',
    message: /checkpoint-7/,
  })
})

const as = (folder: string, lengthen = false) => ({ folder, lengthen })

t.test('a run with other settings is told which', async (t) => {
  const now = { settings: { learningRate: 1e-3, seed: 42 }, totalSteps: 24, examples: { count: 32, digest: 'abc' } }
  t.doesNotThrow(() => checkResumable(state(8), now, as('checkpoint-8')), 'the order of keys does not matter')
  t.throws(() => checkResumable(state(8), { ...now, settings: { seed: 1, extra: [1] } }, as('checkpoint-8')), {
    name: 'CheckpointError',
    code: 'CHECKPOINT_MISMATCH',
    message: /learningRate: 0\.001 then, 0\.000005 now; seed: 42 then, 1 now; extra: nothing then, \[1\] now/,
  })
  const inFloat32 = { ...now, settings: { ...now.settings, bf16: false, maskHistory: false, enableThinking: null } }
  t.doesNotThrow(() => checkResumable(state(8), inFloat32, as('c')), 'a setting that it does not name has its default')
  const inBfloat16 = { ...now, settings: { ...now.settings, bf16: true } }
  t.throws(() => checkResumable(state(8), inBfloat16, as('c')), { message: /bf16: false then, true now/ })
  t.throws(() => checkResumable(state(8), { ...now, totalSteps: 30 }, as('c')), {
    message:
      /total steps: 24 then, 30 now\)\. The learning rate of every step depends on the total steps.*lengthen: true.*model_name_or_path: c and an output_dir/,
  })
  t.doesNotThrow(() => checkResumable(state(8), { ...now, totalSteps: 30 }, as('c', true)))
  const longerAndOther = { ...now, totalSteps: 30, settings: { ...now.settings, seed: 1 } }
  t.throws(() => checkResumable(state(8), longerAndOther, as('c', true)), {
    message: /settings \(seed: 42 then, 1 now\)\. Set them back/,
  })
  t.throws(() => checkResumable(state(8), { ...now, totalSteps: 20 }, as('c', true)), { message: /total steps: 24 then, 20 now/ })
  t.throws(() => checkResumable(state(8), { ...now, examples: { count: 32, digest: 'x' } }, as('c')), { message: /digest/ })
})

t.test('a full disk leaves the earlier checkpoint', async (t) => {
  const output = await outputWith(t, 1)
  for (const code of ['ENOSPC', 'EACCES']) {
    const broken = { ...contents(2), optimizer: [failingTensor('exp_avg.x', code)] }
    await t.rejects(writeCheckpoint(output, 2, broken), { code: 'WRITE_FAILED', details: { reason: code } })
    const again = contents(1, { tensors: [failingTensor('x', code)] })
    await t.rejects(writeCheckpoint(output, 1, again), { code: 'WRITE_FAILED' }, 'even when it was to be replaced')
  }
  t.same(readdirSync(output), ['checkpoint-1'])
  t.ok(await openCheckpoint(join(output, 'checkpoint-1'), { verify: true }))
})

t.test('an output folder that cannot be made', async (t) => {
  const folder = t.testdir({ file: '' })
  await t.rejects(writeCheckpoint(join(folder, 'file'), 1, contents(1)), { code: 'WRITE_FAILED' })
})

t.test('the oldest checkpoints go, others stay', async (t) => {
  const output = await outputWith(t, 1, 2, 10, 20)
  mkdirSync(join(output, 'checkpoint-3'))
  writeFileSync(join(output, 'checkpoint-3', 'of-another-tool'), '')
  await pruneCheckpoints(output, 2)
  t.same(readdirSync(output).sort(), ['checkpoint-10', 'checkpoint-20', 'checkpoint-3'])
  await pruneCheckpoints(output, 0)
  t.same(readdirSync(output).sort(), ['checkpoint-20', 'checkpoint-3'], 'the newest always stays')
})

t.test('the finished model lies in the output folder', async (t) => {
  const output = await outputWith(t, 1)
  const sharded = contents(2, { maxShardBytes: 200 })
  const second = await writeCheckpoint(output, 2, sharded)
  await publishFinalModel(second, output)
  const checkpointFiles = () => readdirSync(output).filter((name) => !name.startsWith('checkpoint-'))
  t.ok(checkpointFiles().includes('model.safetensors.index.json'))
  t.equal((await openModelFolder(output)).tensors.size, tensors.length)
  const shard = checkpointFiles().find((name) => name.endsWith('.safetensors'))!
  t.equal(statSync(join(output, shard)).ino, statSync(join(second, shard)).ino, 'weights take no space twice')
  t.not(statSync(join(output, 'config.json')).ino, statSync(join(second, 'config.json')).ino, 'a config is safe to edit')

  await publishFinalModel(join(output, 'checkpoint-1'), output)
  t.same(
    checkpointFiles().sort(),
    ['config.json', 'manifest.json', 'model.safetensors', 'tokenizer.json', 'training-state'],
    'no old shards',
  )
  const manifest = JSON.parse(readFileSync(join(output, 'manifest.json'), 'utf8'))
  t.same(Object.keys(manifest.files).sort(), [
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'training-state/optimizer.safetensors',
    'training-state/state.json',
  ])
  t.ok(await openCheckpoint(second, { verify: true }), 'the other checkpoint is untouched')
  await t.rejects(publishFinalModel(join(output, 'checkpoint-9'), output), { code: 'CHECKPOINT_CORRUPT' })
})

t.test('killed at any moment, the newest checkpoint that shows is whole', async (t) => {
  const script = fileURLToPath(new URL('write-checkpoints.js', import.meta.url))
  const output = join(t.testdir(), 'run')
  for (let round = 0; round < 6; round++) {
    rmSync(output, { recursive: true, force: true })
    const child = spawn(process.execPath, [script, output], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    await setTimeout(40 + 23 * round)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const shown = existsSync(output) ? readdirSync(output).filter((name) => name.startsWith('checkpoint-')) : []
    for (const name of shown) t.ok(await openCheckpointFiles(join(output, name)), `${name} is whole`)
    await removeStaleTemporaries(output)
    t.same(existsSync(output) ? readdirSync(output).sort() : [], shown.sort(), 'nothing else is left')
  }
})

/** The killed writer's weights are no real model: only manifest and hashes are of interest. */
async function openCheckpointFiles(folder: string): Promise<boolean> {
  const { checkHashes, checkSizes, readManifest } = await import('../../../lib/checkpoint/manifest.js')
  const manifest = await readManifest(folder)
  await checkSizes(folder, manifest)
  await checkHashes(folder, manifest)
  return true
}
