import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { lastingDefaults, lastingSettings } from '../../../lib/config/lasting-settings.js'
import { loadTrainConfig, parseTrainConfig, trainKeys } from '../../../lib/config/train-config.js'
import { withWholeSteps } from '../../../lib/config/train-settings.js'

const parse = (values: Record<string, unknown>) => parseTrainConfig(values, 'train.yaml')

/** LIMO's own file, with only what the comment in it says. */
const limoYaml = `model_name_or_path: Qwen/Qwen2.5-32B-Instruct
stage: sft
do_train: true
finetuning_type: full
deepspeed: examples/deepspeed/ds_z3_config.json
flash_attn: fa2
dataset: limo
cutoff_len: 16384
template: qwen
per_device_train_batch_size: 1
gradient_accumulation_steps: 1
learning_rate: 5.0e-6
num_train_epochs: 15
lr_scheduler_type: cosine
warmup_ratio: 0.0
bf16: true
`

t.test("LIMO's YAML is read unchanged", async (t) => {
  const path = join(t.testdir({ 'train_limo.yaml': limoYaml }), 'train_limo.yaml')
  const { config, notes, given } = await loadTrainConfig(path, {})
  t.match(config, {
    modelNameOrPath: 'Qwen/Qwen2.5-32B-Instruct',
    dataset: 'limo',
    cutoffLen: 16384,
    template: 'qwen',
    perDeviceTrainBatchSize: 1,
    gradientAccumulationSteps: 1,
    learningRate: 5e-6,
    numTrainEpochs: 15,
    lrSchedulerType: 'cosine',
    warmupRatio: 0,
    bf16: true,
  })
  t.equal(notes.length, 2)
  t.match(notes[0], /deepspeed: one process needs no sharding/)
  t.match(notes[1], /ignored.*: flash_attn$/)
  t.ok(given.has('cutoff_len'))
  t.notOk(given.has('weight_decay'))
})

t.test('without any key the defaults are those of LIMO', async (t) => {
  const { config, notes } = await loadTrainConfig(undefined, {})
  t.match(config, {
    defaultSystem: 'Please reason step by step, and put your final answer within \\boxed{}.',
    perDeviceTrainBatchSize: 1,
    gradientAccumulationSteps: 64,
    learningRate: 5e-6,
    lrSchedulerType: 'cosine',
    numTrainEpochs: 15,
    weightDecay: 0,
    adamBeta1: 0.9,
    adamBeta2: 0.999,
    adamEpsilon: 1e-8,
    maxGradNorm: 1,
    seed: 42,
    dataSeed: 42,
    overLength: 'error',
    packing: true,
    lossReduction: 'token',
    recompute: 'auto',
    evalStrategy: 'no',
    device: 'cpu',
    resumeFromCheckpoint: false,
  })
  t.same(notes, [])
  t.same(JSON.parse(JSON.stringify(config)), config, 'the config is plain JSON')
})

t.test('a batch size or an accumulation alone makes the other 1', async (t) => {
  t.match(parse({ per_device_train_batch_size: 4 }).config, { perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 1 })
  t.match(parse({ gradient_accumulation_steps: 8 }).config, { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 })
})

t.test('the command line wins, in either spelling and as strings', async (t) => {
  const path = join(
    t.testdir({ 'train.yaml': 'learning_rate: 1e-4\npacking: false\nevaluation_strategy: epoch\nval_size: 4\n' }),
    'train.yaml',
  )
  const overrides = { learning_rate: '2.0e-5', 'max-steps': '7', packing: 'true', 'eval-strategy': 'no', seed: undefined }
  const { config, given } = await loadTrainConfig(path, overrides as object)
  t.match(config, { learningRate: 2e-5, maxSteps: 7, packing: true, evalStrategy: 'no', valSize: 4 })
  t.same([...given].sort(), ['eval_strategy', 'learning_rate', 'max_steps', 'packing', 'val_size'])
  await t.rejects(loadTrainConfig(path, { learning_rate: 'fast' as '1' }), {
    code: 'CONFIG_INVALID_VALUE',
    message: 'expected a number of at least 0 for learning_rate but received "fast" (command line)',
  })
})

t.test('values are coerced as people write them', async (t) => {
  const read = (key: string, value: unknown) => parse({ [key]: value }).config
  t.equal(read('learning_rate', '5.0e-6').learningRate, 5e-6)
  t.equal(read('packing', 'False').packing, false)
  t.equal(read('dataset', ['a', ' b.jsonl']).dataset, 'a,b.jsonl')
  t.equal(read('dataset', 'a, b').dataset, 'a,b')
  t.equal(read('save_strategy', false).saveStrategy, 'no', 'YAML 1.1 reads no as false')
  t.equal(read('max_steps', -1).maxSteps, undefined)
  t.equal(read('max_samples', null).maxSamples, undefined, 'a key without a value is not set')
  t.equal(read('warmup_steps', 0).warmupSteps, undefined, 'as in Transformers, 0 leaves it to the ratio')
  t.equal(read('memory_limit', '8GB').memoryLimit, 8e9)
  t.equal(read('memory_limit', '1.5 GiB').memoryLimit, 1.5 * 2 ** 30)
  t.equal(read('memory_limit', 1000000).memoryLimit, 1e6)
  t.equal(read('optim', 'adamw_torch_fused').adamBeta1, 0.9)
  t.equal(read('device', 'cuda:1').device, 'cuda:1')
  t.equal(read('output_dir', 2024).outputDir, '2024')
  t.equal(read('default_system', '').defaultSystem, '')
  t.equal(read('resume_from_checkpoint', 'true').resumeFromCheckpoint, true)
  t.equal(read('resume_from_checkpoint', 'out/checkpoint-5').resumeFromCheckpoint, 'out/checkpoint-5')
  t.equal(read('data_seed', 7).dataSeed, 7)
})

t.test('a wrong value is named with its line', async (t) => {
  const path = join(t.testdir({ 'train.yaml': '# a comment\nstage: sft\n\nlearning_rate: x\n' }), 'train.yaml')
  await t.rejects(loadTrainConfig(path, {}), {
    code: 'CONFIG_INVALID_VALUE',
    message: 'expected a number of at least 0 for learning_rate but received "x" (train.yaml:4)',
    details: { key: 'learning_rate', place: 'train.yaml:4', received: 'x' },
  })
})

t.test('values out of range are refused', async (t) => {
  const wrong: [string, unknown][] = [
    ['learning_rate', -1],
    ['learning_rate', Number.NaN],
    ['learning_rate', Number.POSITIVE_INFINITY],
    ['learning_rate', '1e999'],
    ['learning_rate', true],
    ['adam_beta1', 1],
    ['adam_beta2', -0.1],
    ['adam_epsilon', 0],
    ['warmup_ratio', 1],
    ['warmup_steps', 1.5],
    ['num_train_epochs', 0],
    ['max_steps', 0],
    ['max_steps', -2],
    ['cutoff_len', 1],
    ['save_steps', 0],
    ['save_total_limit', -2],
    ['warmup_steps', 1.5],
    ['save_steps', 0],
    ['memory_limit', 24],
    ['memory_limit', '80'],
    ['output_dir', '$HOME/out'],
    ['dataset', ['a.jsonl', '$DATA/b.jsonl']],
    ['val_size', -1],
    ['val_size', 1.5],
    ['seed', 2 ** 32],
    ['packing', 'maybe'],
    ['packing', 1],
    ['over_length', 'ignore'],
    ['stage', 'dpo'],
    ['finetuning_type', 'lora'],
    ['do_train', false],
    ['fp16', true],
    ['optim', 'adamw_8bit'],
    ['device', 'mps'],
    ['memory_limit', 'lots'],
    ['memory_limit', '0GB'],
    ['threads', 0],
    ['dataset', []],
    ['dataset', ['']],
    ['dataset', {}],
    ['resume_from_checkpoint', ''],
    ['model_name_or_path', {}],
    ['lr_scheduler_type', 'polynomial'],
  ]
  for (const [key, value] of wrong) {
    t.throws(
      () => parse({ [key]: value }),
      { code: 'CONFIG_INVALID_VALUE', details: { key } },
      `${key}: ${JSON.stringify(value)}`,
    )
  }
})

t.test('an unknown key names the nearest one', async (t) => {
  t.throws(() => parse({ learning_rte: 1 }), {
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'unknown key learning_rte (train.yaml): did you mean learning_rate?',
  })
  const path = join(t.testdir({ 'a.yaml': 'stage: sft\ncutof_len: 4\n' }), 'a.yaml')
  await t.rejects(loadTrainConfig(path, {}), { code: 'CONFIG_UNKNOWN_KEY', message: /\(a\.yaml:2\): did you mean cutoff_len\?/ })
  const meant = {
    model: 'model_name_or_path',
    lr: 'learning_rate',
    batch_size: 'per_device_train_batch_size',
    epochs: 'num_train_epochs',
  }
  for (const [key, name] of Object.entries(meant))
    t.throws(() => parse({ [key]: 1 }), { code: 'CONFIG_UNKNOWN_KEY', details: { nearest: name } }, key)
  for (const key of ['x', '.b', 'base', 'frobnicate'])
    t.throws(() => parse({ [key]: 1 }), { message: `unknown key ${key} (train.yaml). The help of the command lists the keys.` })
  t.throws(() => parse({ __proto__x: 1 }), { code: 'CONFIG_UNKNOWN_KEY' })
  t.throws(() => parse({ constructor: 1 }), { code: 'CONFIG_UNKNOWN_KEY' })
})

t.test('keys that would change the result are refused, unless they are off', async (t) => {
  const refused: [string, unknown][] = [
    ['lora_rank', 8],
    ['quantization_bit', 4],
    ['neftune_noise_alpha', 5],
    ['label_smoothing_factor', 0.1],
    ['use_galore', true],
    ['pure_bf16', true],
    ['group_by_length', true],
    ['adapter_name_or_path', 'x'],
  ]
  for (const [key, value] of refused) {
    t.throws(
      () => parse({ [key]: value }),
      { code: 'CONFIG_INVALID_VALUE', message: new RegExp(`${key}.*would change`), details: { key } },
      key,
    )
  }
  const off = {
    neftune_noise_alpha: 0,
    lora_rank: null,
    label_smoothing_factor: '0',
  }
  t.match(parse(off).notes, [/ignored.*: label_smoothing_factor, lora_rank, neftune_noise_alpha$/])
})

t.test('mixtures and evaluation data', async (t) => {
  const mixed = parse({ dataset: ['a', 'b'], mix_strategy: 'interleave_over', interleave_probs: '0.7, 0.3' }).config
  t.match(mixed, { dataset: 'a,b', mixStrategy: 'interleave_over', interleaveProbs: [0.7, 0.3] })
  t.match(parse({ dataset: 'a', eval_dataset: 'b', eval_steps: 5 }), {
    config: { evalDataset: 'b', evalStrategy: 'steps' },
    notes: [],
  })
  t.match(parse({ eval_dataset: 'b' }).notes, [/eval_dataset: it is read but never evaluated/])
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ dataset: 'a,b', interleave_probs: [0.5, 0.5] }, /none with mix_strategy concat/],
    [{ dataset: 'a,b', mix_strategy: 'interleave_under', interleave_probs: '1' }, /a number for each dataset, 2 in all/],
    [{ dataset: 'a,b', mix_strategy: 'interleave_under', interleave_probs: '1,0' }, /a number above 0 for each dataset/],
    [{ mix_strategy: 'shuffle' }, /concat or interleave_under or interleave_over/],
    [{ eval_dataset: 'b', val_size: 0.1 }, /val_size 0\.1 and eval_dataset exclude each other/],
    [{ preprocessing_num_workers: -1 }, /an integer of at least 0/],
  ]
  for (const [values, message] of wrong) t.throws(() => parse(values), { code: 'CONFIG_INVALID_VALUE', message })
})

t.test('keys without a meaning here are listed once', async (t) => {
  const { notes } = parse({
    streaming: true,
    ddp_timeout: 180000000,
    overwrite_cache: true,
    report_to: 'none',
    plot_loss: true,
    dataloader_num_workers: 4,
    trust_remote_code: true,
    fsdp_config: {},
  })
  t.equal(notes.length, 1)
  t.match(notes[0], /dataloader_num_workers, ddp_timeout, fsdp_config, overwrite_cache, plot_loss, report_to, streaming/)
})

t.test("an example of LLaMA-Factory's with everything in it", async (t) => {
  const yaml = `### model
model_name_or_path: Qwen/Qwen2.5-7B-Instruct
image_max_pixels: 262144
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: full
freeze_vision_tower: true  # choices: [true, false]
deepspeed: examples/deepspeed/ds_z3_config.json
### dataset
dataset: identity,alpaca_en_demo
template: qwen
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4
### output
output_dir: saves/full/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 2
learning_rate: 1.0e-5
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
### eval
# eval_dataset: alpaca_en_demo
val_size: 0.1
per_device_eval_batch_size: 1
eval_strategy: steps
eval_steps: 500
`
  const path = join(t.testdir({ 'full.yaml': yaml }), 'full.yaml')
  const { config, notes } = await loadTrainConfig(path, {})
  t.match(config, { dataset: 'identity,alpaca_en_demo', numTrainEpochs: 3, evalStrategy: 'steps', resumeFromCheckpoint: false })
  t.equal(notes.length, 2)
})

t.test('a cosine to a minimum takes exactly one setting', async (t) => {
  const type = { lr_scheduler_type: 'cosine_with_min_lr', learning_rate: 1e-3 }
  t.equal(parse({ ...type, lr_scheduler_kwargs: { min_lr_rate: 0.1 } }).config.minLrRate, 0.1)
  t.equal(parse({ ...type, lr_scheduler_kwargs: { min_lr: '1e-4' } }).config.minLrRate, 0.1)
  t.equal(parse({ ...type, lr_scheduler_kwargs: '{"min_lr_rate":0.2}' }).config.minLrRate, 0.2)
  for (const settings of [
    undefined,
    {},
    { min_lr: 1, min_lr_rate: 1 },
    { min_lr: 1 },
    { num_cycles: 2 },
    { min_lr_rate: 2 },
    'x',
    [1],
  ]) {
    const given = settings === undefined ? {} : { lr_scheduler_kwargs: settings }
    t.throws(() => parse({ ...type, ...given }), { code: 'CONFIG_INVALID_VALUE', details: { key: 'lr_scheduler_kwargs' } })
  }
  t.throws(() => parse({ lr_scheduler_kwargs: { min_lr: 0 } }), { code: 'CONFIG_INVALID_VALUE' })
})

t.test('recomputation has three names', async (t) => {
  t.equal(parse({ disable_gradient_checkpointing: true }).config.recompute, 'none')
  t.equal(parse({ gradient_checkpointing: true }).config.recompute, 'full')
  t.equal(parse({ gradient_checkpointing: false }).config.recompute, 'auto')
  const both = parse({ gradient_checkpointing: true, recompute: 'none' })
  t.equal(both.config.recompute, 'none')
  t.match(both.notes, [/gradient_checkpointing: without effect beside recompute: none/])
})

t.test('an empty text is no folder, no data set and no template', async (t) => {
  for (const key of ['model_name_or_path', 'dataset', 'dataset_dir', 'template', 'output_dir']) {
    for (const value of ['', ' ']) t.throws(() => parse({ [key]: value }), { code: 'CONFIG_INVALID_VALUE', details: { key } })
  }
  t.equal(parse({ default_system: '' }).config.defaultSystem, '', 'but there may be no system prompt')
})

t.test('what of a conversation is learnt', async (t) => {
  t.match(parse({}).config, { maskHistory: false, trainOnPrompt: false })
  t.notOk('enableThinking' in parse({}).config, 'a template has its own default')
  t.equal(parse({ mask_history: 'true' }).config.maskHistory, true)
  t.equal(parse({ train_on_prompt: true, mask_history: false }).config.trainOnPrompt, true)
  t.equal(parse({ enable_thinking: false }).config.enableThinking, false)
  t.same(parse({ enable_thinking: true, mask_history: false }).notes, [], 'none of them is ignored')
  t.throws(() => parse({ mask_history: true, train_on_prompt: true }), {
    code: 'CONFIG_INVALID_VALUE',
    message: /^expected false with train_on_prompt true for mask_history but received true \(.*\)$/,
    details: { key: 'mask_history' },
  })
})

t.test('evaluation follows from what is given', async (t) => {
  t.match(parse({ val_size: 0.1, eval_steps: 50 }).config, { evalStrategy: 'steps', evalSteps: 50 })
  t.match(parse({ val_size: 0.1, eval_strategy: 'steps', logging_steps: 5 }).config, { evalStrategy: 'steps', evalSteps: 5 })
  t.match(parse({ val_size: 0.1 }).notes, [/never evaluated/])
  t.match(parse({ eval_on_start: true }), { config: { evalOnStart: true }, notes: [/eval_on_start: nothing is evaluated/] })
  t.match(parse({ eval_steps: 50 }), { config: { evalStrategy: 'no' }, notes: [/val_size is 0/] })
  t.throws(() => parse({ eval_strategy: 'epoch' }), { code: 'CONFIG_INVALID_VALUE', details: { key: 'eval_strategy' } })
})

t.test('a constant rate with warm-up says that it warms up', async (t) => {
  t.match(parse({ lr_scheduler_type: 'constant', warmup_steps: 3 }).notes, [/constant: the warm-up is done/])
  t.same(parse({ lr_scheduler_type: 'constant' }).notes, [])
})

t.test('what is no object of settings', async (t) => {
  for (const values of [null, undefined, 'train.yaml', [1]] as never[]) {
    const error = { name: 'ConfigError', code: 'CONFIG_INVALID_VALUE', message: /expected an object with keys of the config/ }
    t.throws(() => parse(values), error)
    if (values !== undefined) await t.rejects(loadTrainConfig(undefined, values), error)
  }
})

t.test('files that are no config', async (t) => {
  const folder = t.testdir({
    'broken.yaml': 'a: [1\nb: 2\n',
    'twice.yaml': 'seed: 1\nseed: 2\n',
    'list.yaml': '- 1\n',
    'empty.yaml': '# nothing\n',
    'alias.yaml': 'seed: *nowhere\n',
    'bomb.yaml': `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
    'key.yaml': '[a]: 1\n',
    'train.json': '{"seed": 3,\n "learning_rate": "x"}',
  })
  for (const name of ['broken', 'twice', 'list', 'alias', 'bomb', 'key']) {
    const code = name === 'bomb' ? /CONFIG_(MALFORMED|UNKNOWN_KEY)/ : 'CONFIG_MALFORMED'
    await t.rejects(loadTrainConfig(join(folder, `${name}.yaml`), {}), { code, message: new RegExp(`${name}.yaml|line`) }, name)
  }
  await t.rejects(loadTrainConfig(join(folder, 'absent.yaml'), {}), { code: 'CONFIG_NOT_FOUND' })
  await t.rejects(loadTrainConfig(folder, {}), { code: 'CONFIG_NOT_FOUND' })
  await t.rejects(loadTrainConfig(join(folder, 'train.json'), {}), { message: /train\.json:2/ })
  t.same((await loadTrainConfig(join(folder, 'empty.yaml'), {})).config, (await loadTrainConfig(undefined, {})).config)
  await writeFile(join(folder, 'bytes.yaml'), Buffer.from([0, 255, 254, 0, 1]))
  await t.rejects(loadTrainConfig(join(folder, 'bytes.yaml'), {}), { name: 'ConfigError' })
})

t.test('every key is described, and its default is one of its values', async (t) => {
  t.equal(new Set(trainKeys.map(({ key }) => key)).size, trainKeys.length)
  for (const { key, description, default: value } of trainKeys) {
    t.match(key, /^[a-z][a-z0-9_]*$/)
    t.ok(description.length > 5, key)
    if (value !== undefined) t.doesNotThrow(() => parse({ [key]: value }), key)
  }
})

t.test('a resumed run must share every setting that does not say otherwise', (t) => {
  const { config } = parseTrainConfig(
    { bf16: true, lr_scheduler_type: 'cosine_with_min_lr', lr_scheduler_kwargs: { min_lr_rate: 0.1 } },
    'x',
  )
  const lasting = lastingSettings(config)
  // A key that is not here may differ after a resume.
  t.same(Object.keys(lasting).sort(), [
    ...['adamBeta1', 'adamBeta2', 'adamEpsilon', 'bf16', 'cutoffLen', 'dataSeed', 'defaultSystem', 'disableShuffling'],
    ...[
      'enableThinking',
      'freeze',
      'gradientAccumulationSteps',
      'interleaveProbs',
      'learningRate',
      'lossReduction',
      'lrSchedulerType',
    ],
    ...['maskHistory', 'maxGradNorm', 'minLrRate', 'mixStrategy', 'overLength', 'packing', 'perDeviceTrainBatchSize', 'template'],
    ...['trainOnPrompt', 'valSize', 'warmupRatio', 'warmupSteps', 'weightDecay'],
  ])
  t.match(lasting, { bf16: true, minLrRate: 0.1, dataSeed: 42, template: null })
  t.same(Object.keys(lastingDefaults).sort(), Object.keys(lasting).sort())
  t.end()
})

t.test('freeze: LLaMA-Factory’s keys and defaults', async (t) => {
  const { config, notes } = parse({ finetuning_type: 'freeze' })
  t.same(config.freeze, { layers: 2, modules: ['all'], extraModules: [] })
  t.same(notes, [])
  const named = {
    freeze_trainable_layers: '-3',
    freeze_trainable_modules: 'mlp, self_attn',
    freeze_extra_modules: ['norm', 'lm_head'],
  }
  t.same(parse({ finetuning_type: 'freeze', ...named }).config.freeze, {
    layers: -3,
    modules: ['mlp', 'self_attn'],
    extraModules: ['norm', 'lm_head'],
  })
  const full = parse(named)
  t.notOk('freeze' in full.config)
  t.match(full.notes, [
    /^freeze_extra_modules, freeze_trainable_layers, freeze_trainable_modules: without effect, as everything is trained/,
  ])
  for (const value of [1.5, 'two', ''])
    t.throws(() => parse({ finetuning_type: 'freeze', freeze_trainable_layers: value }), { code: 'CONFIG_INVALID_VALUE' })
})

t.test('steps as shares of the run, as in Transformers', async (t) => {
  const { config } = parse({ warmup_steps: 0.1, logging_steps: 0.05, save_steps: '0.5', eval_steps: 0.3, save_total_limit: 0 })
  t.match(config, { warmupRatio: 0.1, loggingSteps: 0.05, saveSteps: 0.5 })
  t.equal(config.warmupSteps, undefined)
  t.equal(config.saveTotalLimit, undefined, '0 keeps all')
  t.match(withWholeSteps(config, 21), { loggingSteps: 2, saveSteps: 11, evalSteps: 7 })
  t.match(withWholeSteps(parse({ logging_steps: 7 }).config, 3), { loggingSteps: 7, saveSteps: 500 })
  t.throws(() => parse({ memory_limit: 24 }), { message: /24GB or 24GiB/ })
})

t.test('~ is the home folder', async (t) => {
  const { config } = parse({
    model_name_or_path: '~/m',
    dataset: '~/a.jsonl, b~/c',
    output_dir: '~',
    resume_from_checkpoint: '~/out/checkpoint-1',
  })
  t.match(config, {
    modelNameOrPath: `${homedir()}/m`,
    dataset: `${homedir()}/a.jsonl,b~/c`,
    outputDir: homedir(),
    resumeFromCheckpoint: `${homedir()}/out/checkpoint-1`,
  })
})

t.test('merge keys of YAML, and a key under two names', async (t) => {
  const read = async (text: string) => loadTrainConfig(join(t.testdir({ 'train.yaml': text }), 'train.yaml'), {})
  const { config } = await read('max_steps: 7\n<<: [{learning_rate: 1e-3, max_steps: 5}, {max_steps: 6, seed: 3}]\n')
  t.match(config, { learningRate: 1e-3, maxSteps: 7, seed: 3 })
  const anchored = await read('base: &base {seed: 4}\nmore: &more {max_steps: 9}\n<<: [*base, *more]\nlearning_rate: 2e-3\n')
  t.match(anchored.config, { learningRate: 2e-3, maxSteps: 9, seed: 4 })
  await t.rejects(read('base: &base {seed: 4}\n'), { message: /unknown key base/ }, 'nobody merges it')
  await t.rejects(read('<<: 5\n'), { code: 'CONFIG_MALFORMED', message: /<< .*train\.yaml:1/ })
  await t.rejects(read('<<: {learnig_rate: 1}\n'), { message: /unknown key learnig_rate \(train\.yaml:1\)/ })
  await t.rejects(read('eval_strategy: steps\nevaluation_strategy: epoch\n'), {
    code: 'CONFIG_INVALID_VALUE',
    message: /eval_strategy once but received it as eval_strategy and as evaluation_strategy \(train\.yaml:2\)/,
  })
  await t.rejects(read('output-dir: a\noutput_dir: b\n'), { message: /output_dir once/ })
  await t.rejects(read('seed: 1\n---\nseed: 2\n'), { code: 'CONFIG_MALFORMED', message: /several, separated by ---/ })
})
