import { availableParallelism } from 'node:os'
import * as v from 'valibot'
import {
  type ConfigKey,
  type ConfigKeys,
  choice,
  custom,
  expandHome,
  flag,
  integer,
  mayChange,
  number,
  path,
  text,
  toBoolean,
  toNumber,
  WrongPart,
  withoutSetting,
  withSetting,
} from './config-key.js'
import { expectedDevice, parseDeviceName } from './device-name.js'

function readNames(value: unknown): string | WrongPart | undefined {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || !list.every((name) => typeof name === 'string' && name.trim() !== '')) return undefined
  const names = list.map((name) => expandHome(name.trim()))
  const wrong = names.find((name) => name instanceof WrongPart)
  return wrong ?? (names.length > 0 ? names.join(',') : undefined)
}

/** Several numbers above 0: a list, or text with commas. */
function readProbabilities(value: unknown): readonly number[] | undefined {
  const list: unknown[] = Array.isArray(value) ? value : String(value).split(',')
  const numbers = list.map(toNumber)
  const isProbability = (number: unknown): number is number => typeof number === 'number' && Number.isFinite(number) && number > 0
  return numbers.length > 0 && numbers.every(isProbability) ? numbers : undefined
}

const byteUnits: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

function readBytes(value: unknown): number | WrongPart | undefined {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?\s*$/i.exec(String(value)) ?? []
  // 24 is meant for 24 GB: nothing fits into so few bytes.
  if (amount !== undefined && unit === undefined && Number(amount) < 1e6)
    return new WrongPart(`a size with its unit, such as ${amount}GB or ${amount}GiB,`, value)
  const bytes = Math.floor(Number(amount) * (byteUnits[(unit ?? 'b').toLowerCase()] ?? Number.NaN))
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined
}

/** Steps as Transformers takes them: a whole number, or below 1 a share of all steps of the run. */
function steps<D>(defaultValue: D, description: string, least = 1): ConfigKey<number, D> {
  const read = (value: unknown) => {
    const count = toNumber(value)
    const isShare = typeof count === 'number' && count > 0 && count < 1
    return isShare || (Number.isSafeInteger(count) && (count as number) >= least) ? (count as number) : undefined
  }
  const expected = `a whole number of at least ${least}, or a share of all steps below 1`
  return { type: 'number', expected, read, default: defaultValue, description }
}

function readDevice(value: unknown): string | undefined {
  return typeof value === 'string' && parseDeviceName(value) ? value : undefined
}

function readResume(value: unknown): boolean | string | WrongPart | undefined {
  const flagOrPath = toBoolean(value)
  if (typeof flagOrPath === 'boolean') return flagOrPath
  return typeof flagOrPath === 'string' && flagOrPath !== '' ? expandHome(flagOrPath) : undefined
}

function readOptimizer(value: unknown): 'adamw_torch' | undefined {
  const same = [
    'adamw_torch',
    'adamw_torch_fused',
    'adamw_torch_xla',
    'adamw_torch_npu_fused',
    'adamw_apex_fused',
    'adamw_hf',
    'adamw',
  ]
  return same.includes(value as string) ? 'adamw_torch' : undefined
}

/** Settings of a schedule: `{min_lr}` or `{min_lr_rate}`; on the command line as JSON. */
function readSchedulerSettings(value: unknown): { min_lr?: number; min_lr_rate?: number } | undefined {
  let settings = value
  if (typeof value === 'string') {
    try {
      settings = JSON.parse(value)
    } catch {
      return undefined
    }
  }
  const rate = v.pipe(v.unknown(), v.transform(toNumber), v.number(), v.finite(), v.minValue(0))
  const schema = v.strictObject({ min_lr: v.exactOptional(rate), min_lr_rate: v.exactOptional(v.pipe(rate, v.maxValue(1))) })
  const result = v.safeParse(schema, settings)
  return result.success ? result.output : undefined
}

const limoPrompt = 'Please reason step by step, and put your final answer within \\boxed{}.'

/**
 * Every key that has an effect, in the order of `--help`, with LLaMA-Factory's name and LIMO's default.
 * A default that depends on other keys is `undefined` here and resolved in train-settings.ts.
 */
export const keys = {
  model_name_or_path: mayChange(path(undefined, 'folder of the model to start from, in Hugging Face layout')),
  stage: withoutSetting(choice(['sft'], 'sft', 'training stage')),
  do_train: withoutSetting(
    custom('true', (value) => (toBoolean(value) === true ? true : undefined), true, 'whether to train', 'boolean'),
  ),
  finetuning_type: withoutSetting(choice(['full', 'freeze'], 'full', 'which weights are trained: all, or those of some layers')),
  freeze_trainable_layers: withoutSetting(integer({}, 2, 'with freeze: train so many of the last layers; −2: the first two')),
  freeze_trainable_modules: withoutSetting(
    custom('names of modules', readNames, 'all', 'with freeze: modules of these layers to train: self_attn,mlp'),
  ),
  freeze_extra_modules: withSetting(
    'freeze',
    custom(
      'names of modules',
      readNames,
      undefined,
      'with freeze: modules outside of the layers to train: embed_tokens,norm,lm_head',
    ),
  ),

  dataset: mayChange(
    custom('a name or path, or a list of them', readNames, undefined, 'names in dataset_info.json or paths of files'),
  ),
  eval_dataset: mayChange(
    custom('a name or path, or a list of them', readNames, undefined, 'data sets for evaluation, instead of val_size'),
  ),
  dataset_dir: mayChange(path('data', 'folder of dataset_info.json')),
  template: text(
    undefined,
    "chat template instead of the model folder's own: qwen, qwen3, llama3, deepseek3, deepseekr1, default, empty, or a name of its own",
  ),
  default_system: text(limoPrompt, 'system prompt of records without one; empty for none', { mayBeEmpty: true }),
  mask_history: flag(false, 'learn the last response of a conversation only'),
  train_on_prompt: flag(false, 'learn all text, the prompts too'),
  enable_thinking: flag(undefined, "given to the chat template; false for responses without a thought [the template's default]"),
  cutoff_len: integer({ min: 2 }, 16384, 'most tokens of an example, and of a packed micro-batch'),
  over_length: choice(['error', 'drop', 'truncate'], 'error', 'what happens to examples longer than cutoff_len'),
  max_samples: mayChange(integer({ min: 1 }, undefined, 'take only the first so many records of each dataset')),
  mix_strategy: choice(
    ['concat', 'interleave_under', 'interleave_over'],
    'concat',
    'several data sets one after another, or drawn from until the first, or every one, is used up',
  ),
  interleave_probs: custom(
    'a number above 0 for each dataset',
    readProbabilities,
    undefined,
    'chance of each dataset with an interleaving mix_strategy: 0.7,0.3 [they take turns]',
  ),
  tokenized_path: mayChange(
    path(undefined, 'folder of the cache of tokenized records [limo-native/examples in the user’s cache folder]'),
  ),
  preprocessing_num_workers: mayChange(integer({ min: 0 }, availableParallelism(), 'threads that tokenize a large data set')),
  packing: flag(true, 'pack the samples of a step into micro-batches; never changes the result'),
  val_size: custom(
    'a fraction below 1 or a whole number of records',
    (value) => {
      const size = toNumber(value)
      return typeof size === 'number' && size >= 0 && (size < 1 || Number.isSafeInteger(size)) ? size : undefined
    },
    0,
    'records held out for evaluation: a fraction or a number',
    'number',
  ),
  disable_shuffling: flag(false, 'keep the order of the file in every epoch'),

  per_device_train_batch_size: integer({ min: 1 }, undefined, 'samples per micro-batch [1]'),
  gradient_accumulation_steps: integer(
    { min: 1 },
    undefined,
    'micro-batches per step [1; 64 where the batch size is not given either: a global batch of 64]',
  ),
  learning_rate: number({ min: 0 }, 5e-6, 'highest learning rate'),
  lr_scheduler_type: choice(
    ['cosine', 'linear', 'constant', 'constant_with_warmup', 'cosine_with_min_lr'],
    'cosine',
    'how the learning rate changes',
  ),
  lr_scheduler_kwargs: withSetting(
    'minLrRate',
    custom('an object with min_lr or min_lr_rate', readSchedulerSettings, undefined, 'min_lr or min_lr_rate, as JSON', 'object'),
  ),
  warmup_ratio: number({ min: 0, below: 1 }, 0, 'share of the steps in which the learning rate rises from 0'),
  warmup_steps: steps(undefined, 'steps in which it rises, or their share below 1; wins over warmup_ratio', 0),
  num_train_epochs: mayChange(number({ above: 0 }, 15, 'passes over the data')),
  max_steps: mayChange(
    integer({ min: 1, or: -1 }, undefined, 'stop after so many steps, whatever num_train_epochs says; -1 for no limit'),
  ),
  optim: withoutSetting(custom('adamw_torch', readOptimizer, 'adamw_torch', 'the optimizer, AdamW')),
  weight_decay: number({ min: 0 }, 0, 'decay of weights with two or more dimensions'),
  adam_beta1: number({ min: 0, below: 1 }, 0.9, "decay of AdamW's first moment"),
  adam_beta2: number({ min: 0, below: 1 }, 0.999, "decay of AdamW's second moment"),
  adam_epsilon: number({ above: 0 }, 1e-8, "AdamW's epsilon, outside of the square root"),
  max_grad_norm: number({ min: 0 }, 1, 'clip gradients to this global norm; 0 for no clipping'),
  loss_reduction: choice(['token', 'sample'], 'token', 'whether every scored token or every sample counts equally in a step'),
  seed: mayChange(integer({ min: 0, below: 2 ** 32 }, 42, 'seed of everything random')),
  data_seed: integer({ min: 0, below: 2 ** 32 }, undefined, 'seed of the shuffling [seed]'),

  recompute: mayChange(
    choice(['none', 'full', 'auto'], 'auto', 'layers whose activations are computed again in the backward pass'),
  ),
  gradient_checkpointing: withoutSetting(flag(undefined, 'true is recompute: full')),
  disable_gradient_checkpointing: withoutSetting(flag(undefined, 'true is recompute: none')),
  memory_limit: mayChange(
    custom(
      'a number of bytes such as 8GB or 8GiB',
      readBytes,
      undefined,
      'most memory to allocate, such as 24GB or 24GiB [what is free]',
    ),
  ),
  bf16: flag(false, 'weights, activations and products in bfloat16, with float32 master weights [float32]'),
  fp16: withoutSetting(
    custom('false (float16 needs loss scaling)', (value) => (toBoolean(value) === false ? false : undefined), false, 'refused'),
  ),
  device: mayChange(custom(expectedDevice, readDevice, 'cpu', 'where to train: cpu, cuda or cuda:N')),
  threads: mayChange(integer({ min: 1, below: 1025 }, availableParallelism(), 'threads on the CPU')),

  output_dir: mayChange(path(undefined, 'folder for checkpoints, metrics and the trained model')),
  overwrite_output_dir: mayChange(flag(false, 'start anew in an output_dir that holds a run')),
  logging_steps: mayChange(steps(10, 'steps from one line of metrics to the next, or their share of all steps')),
  save_strategy: mayChange(choice(['steps', 'epoch', 'no'], 'steps', 'when checkpoints are written')),
  save_steps: mayChange(steps(500, 'steps from one checkpoint to the next, or their share of all steps')),
  save_total_limit: mayChange(integer({ min: 0 }, undefined, 'keep only so many of the newest checkpoints; 0 for all [all]')),
  eval_strategy: mayChange(
    choice(['no', 'steps', 'epoch'], undefined, 'when the held out records are evaluated [steps with eval_steps, else no]'),
  ),
  eval_steps: mayChange(steps(undefined, 'steps from one evaluation to the next, or their share of all steps [logging_steps]')),
  eval_on_start: mayChange(flag(false, 'evaluate before the first step too, if anything is evaluated')),
  per_device_eval_batch_size: mayChange(integer({ min: 1 }, 1, 'samples per micro-batch of an evaluation')),
  predict_with_generate: mayChange(
    flag(false, 'let the model answer held out records at each evaluation, and grade what is boxed'),
  ),
  predict_samples: mayChange(integer({ min: 1 }, 16, 'how many of the held out records it answers')),
  max_new_tokens: mayChange(integer({ min: 1 }, 1024, 'most tokens of such an answer')),
  resume_from_checkpoint: mayChange(
    custom(
      'true, false or a checkpoint folder',
      readResume,
      false,
      'true for the newest checkpoint in output_dir, or its folder',
    ),
  ),
  lengthen: mayChange(
    flag(false, 'go on from a checkpoint of a shorter run: steps still to come have the learning rates of the longer one'),
  ),
} as const satisfies ConfigKeys

export type TrainKeyName = keyof typeof keys

/** Other spellings of a key. */
export const aliases: Readonly<Record<string, TrainKeyName>> = { evaluation_strategy: 'eval_strategy' }
