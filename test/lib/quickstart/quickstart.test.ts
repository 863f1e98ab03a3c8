import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { TrainConfigInput } from '../../../lib/config/train-config.js'
import { defaultChains } from '../../../lib/quickstart/chains.js'
import { prepareQuickstart } from '../../../lib/quickstart/quickstart.js'

t.test('what is there already stays, with every edit', async (t) => {
  const folder = join(t.testdir(), 'quick')
  const inputs = join(folder, 'inputs')
  const { config, configPath } = await prepareQuickstart({ output_dir: folder })
  t.equal(config.numTrainEpochs, 1)
  t.same(readdirSync(inputs).sort(), ['base-model', 'chains.jsonl', 'held-out.jsonl', 'train.yaml'])

  const edited = readFileSync(configPath, 'utf8').replace('num_train_epochs: 1', 'num_train_epochs: 3 # mine')
  writeFileSync(configPath, edited)
  const chains = readFileSync(join(inputs, 'chains.jsonl'), 'utf8').split('\n').slice(0, 10).join('\n')
  writeFileSync(join(inputs, 'chains.jsonl'), chains)
  const weights = statSync(join(inputs, 'base-model', 'model.safetensors'))
  const again = await prepareQuickstart({ output_dir: folder, max_steps: 5 })
  t.match(again.config, { numTrainEpochs: 3, maxSteps: 5 }, 'an edited config is the one that counts')
  t.equal(readFileSync(configPath, 'utf8'), edited)
  t.equal(readFileSync(join(inputs, 'chains.jsonl'), 'utf8'), chains)
  t.same(statSync(join(inputs, 'base-model', 'model.safetensors')), weights)

  rmSync(join(inputs, 'chains.jsonl'))
  rmSync(configPath)
  await prepareQuickstart({ output_dir: folder })
  t.equal(
    readFileSync(join(inputs, 'chains.jsonl'), 'utf8').trim().split('\n').length,
    defaultChains.count,
    'what is missing is written again',
  )
  t.notOk(readFileSync(configPath, 'utf8').includes('# mine'))

  const old = join(t.testdir(), 'old')
  mkdirSync(join(old, 'inputs'), { recursive: true })
  writeFileSync(join(old, 'inputs', 'held-out.jsonl'), '{}\n')
  await prepareQuickstart({ output_dir: old })
  t.not(readFileSync(join(old, 'inputs', 'held-out.jsonl'), 'utf8'), '{}\n', 'new chains have new problems beside them')
})

t.test('what is wrong is said before anything is written', async (t) => {
  const folder = join(t.testdir(), 'quick')
  await t.rejects(prepareQuickstart({ output_dir: folder, device: 'cuda:99' }), { code: 'DEVICE_UNAVAILABLE' })
  // @ts-expect-error the key does not exist
  await t.rejects(prepareQuickstart({ output_dir: folder, learning_rat: 1 }), { code: 'CONFIG_UNKNOWN_KEY' })
  // @ts-expect-error no number
  await t.rejects(prepareQuickstart({ output_dir: folder, learning_rate: 'fast' }), { code: 'CONFIG_INVALID_VALUE' })
  t.notOk(existsSync(folder))
})

t.test('keys may have dashes', async (t) => {
  const folder = join(t.testdir(), 'quick')
  const { config } = await prepareQuickstart({
    ...{ 'output-dir': folder, 'max-steps': 7, 'lr-scheduler-kwargs': { min_lr: 1e-4 } },
  } as TrainConfigInput)
  t.match(config, { outputDir: folder, maxSteps: 7 })
  t.ok(existsSync(join(folder, 'inputs', 'train.yaml')))
})
