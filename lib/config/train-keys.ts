import { availableParallelism } from 'node:os'
import * as v from 'valibot'

/** One key of the training config: what it takes, what it is when left out, and what it does. */
export interface TrainKey<T, D> {
  type: 'string' | 'number' | 'integer' | 'boolean' | 'choice' | 'object'
  /** What a value must be, as error messages say it. */
  expected: string
  choices?: readonly string[]
  /** From YAML, JSON or the command line (where every value may be a string) to the value used. */
  schema: v.GenericSchema<unknown, T>
  default: D
  description: string
  /**
   * A resumed run may have another value: it changes no number of the run, or what it changes is compared in another way (the model, the
   * examples, the number of steps). Every other key must be as it was.
   */
  mayChange?: true
}

interface Range {
  min?: number
  above?: number
  below?: number
  /** An integer outside of the range that is allowed as well, with its own meaning. */
  or?: number
}

/** Python and YAML 1.1 spellings that YAML 1.2 leaves as strings, and those of a command line. */
const booleanWords: Record<string, boolean> = { true: true, yes: true, on: true, false: false, no: false, off: false }

function toBoolean(value: unknown): unknown {
  return typeof value === 'string' ? (booleanWords[value.trim().toLowerCase()] ?? value) : value
}

function toNumber(value: unknown): unknown {
  return typeof value === 'string' && /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value) ? Number(value) : value
}

function text<D>(defaultValue: D, description: string, { mayBeEmpty } = { mayBeEmpty: false }): TrainKey<string, D> {
  // The command line may have turned a path such as 2024 into a number.
  const toText = (value: unknown) => (typeof value === 'number' ? String(value) : value)
  const check = v.check((value: string) => mayBeEmpty || value.trim() !== '')
  const schema = v.pipe(v.unknown(), v.transform(toText), v.string(), check)
  const expected = mayBeEmpty ? 'a string' : 'a string that is not empty'
  return { type: 'string', expected, schema, default: defaultValue, description }
}

function flag<D>(defaultValue: D, description: string): TrainKey<boolean, D> {
  const schema = v.pipe(v.unknown(), v.transform(toBoolean), v.boolean())
  return { type: 'boolean', expected: 'true or false', schema, default: defaultValue, description }
}

function inRange(value: number, { min = -Infinity, above = -Infinity, below = Infinity, or }: Range): boolean {
  return Number.isFinite(value) && (value === or || (value >= min && value > above && value < below))
}

function rangeWords({ min, above, below, or }: Range): string {
  const bounds = [
    min === undefined ? '' : `of at least ${min}`,
    above === undefined ? '' : `above ${above}`,
    below === undefined ? '' : `below ${below}`,
  ].filter((bound) => bound !== '')
  return `${bounds.length > 0 ? ` ${bounds.join(' and ')}` : ''}${or === undefined ? '' : `, or ${or}`}`
}

function number<D>(range: Range, defaultValue: D, description: string): TrainKey<number, D> {
  const check = v.check((value: number) => inRange(value, range))
  const schema = v.pipe(v.unknown(), v.transform(toNumber), v.number(), check)
  return { type: 'number', expected: `a number${rangeWords(range)}`, schema, default: defaultValue, description }
}

function integer<D>(range: Range, defaultValue: D, description: string): TrainKey<number, D> {
  const check = v.check((value: number) => Number.isSafeInteger(value) && inRange(value, range))
  const schema = v.pipe(v.unknown(), v.transform(toNumber), v.number(), check)
  return { type: 'integer', expected: `an integer${rangeWords(range)}`, schema, default: defaultValue, description }
}

function choice<const C extends string, D>(choices: readonly C[], defaultValue: D, description: string): TrainKey<C, D> {
  // YAML 1.1 and JSON users write false for the choice "no".
  const toChoice = (value: unknown) => (value === false && (choices as readonly string[]).includes('no') ? 'no' : value)
  const schema = v.pipe(v.unknown(), v.transform(toChoice), v.picklist(choices))
  return { type: 'choice', expected: choices.join(' or '), choices, schema, default: defaultValue, description }
}

function custom<T, D>(
  expected: string,
  read: (value: unknown) => T | undefined,
  defaultValue: D,
  description: string,
  type: TrainKey<T, D>['type'] = 'string',
): TrainKey<T, D> {
  const isRead = (value: T | undefined): value is T => value !== undefined
  const schema = v.pipe(
    v.unknown(),
    v.transform(read),
    v.check(isRead),
    v.transform((value) => value as T),
  )
  return { type, expected, schema, default: defaultValue, description }
}

function readNames(value: unknown): string | undefined {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || !list.every((name) => typeof name === 'string' && name.trim() !== '')) return undefined
  return list.length > 0 ? list.map((name) => name.trim()).join(',') : undefined
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

function readBytes(value: unknown): number | undefined {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?\s*$/i.exec(String(value)) ?? []
  const bytes = Math.floor(Number(amount) * (byteUnits[(unit ?? 'b').toLowerCase()] ?? Number.NaN))
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined
}

function readDevice(value: unknown): string | undefined {
  return typeof value === 'string' && /^(cpu|cuda(:\d{1,3})?|cuda-emulated)$/.test(value) ? value : undefined
}

function readResume(value: unknown): boolean | string | undefined {
  const flagOrPath = toBoolean(value)
  return typeof flagOrPath === 'boolean' || (typeof flagOrPath === 'string' && flagOrPath !== '') ? flagOrPath : undefined
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

function mayChange<T, D>(key: TrainKey<T, D>): TrainKey<T, D> {
  return { ...key, mayChange: true }
}

const limoPrompt = 'Please reason step by step, and put your final answer within \\boxed{}.'

/**
 * Every key that has an effect, in the order of `--help`, with LLaMA-Factory's name and LIMO's default.
 * What a default depends on is resolved by `parseTrainConfig`; it is `undefined` here.
 */
export const keys = {
  model_name_or_path: mayChange(text(undefined, 'folder of the model to start from, in Hugging Face layout')),
  stage: mayChange(choice(['sft'], 'sft', 'training stage')),
  do_train: mayChange(
    custom('true', (value) => (toBoolean(value) === true ? true : undefined), true, 'whether to train', 'boolean'),
  ),
  finetuning_type: mayChange(choice(['full'], 'full', 'which weights are trained: all of them')),

  dataset: mayChange(
    custom('a name or path, or a list of them', readNames, undefined, 'names in dataset_info.json or paths of files'),
  ),
  eval_dataset: mayChange(
    custom('a name or path, or a list of them', readNames, undefined, 'data sets for evaluation, instead of val_size'),
  ),
  dataset_dir: mayChange(text('data', 'folder of dataset_info.json')),
  template: text(undefined, "chat template by name, instead of the model folder's own"),
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
    text(undefined, 'folder of the cache of tokenized records [limo-native/examples in the user’s cache folder]'),
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
  lr_scheduler_kwargs: custom(
    'an object with min_lr or min_lr_rate',
    readSchedulerSettings,
    undefined,
    'min_lr or min_lr_rate, as JSON',
    'object',
  ),
  warmup_ratio: number({ min: 0, below: 1 }, 0, 'share of the steps in which the learning rate rises from 0'),
  warmup_steps: integer({ min: 0 }, undefined, 'steps in which it rises; wins over warmup_ratio'),
  num_train_epochs: mayChange(number({ above: 0 }, 15, 'passes over the data')),
  max_steps: mayChange(
    integer({ min: 1, or: -1 }, undefined, 'stop after so many steps, whatever num_train_epochs says; -1 for no limit'),
  ),
  optim: mayChange(custom('adamw_torch', readOptimizer, 'adamw_torch', 'optimizer: AdamW')),
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
  gradient_checkpointing: mayChange(flag(undefined, 'true is recompute: full')),
  disable_gradient_checkpointing: mayChange(flag(undefined, 'true is recompute: none')),
  memory_limit: mayChange(
    custom('a number of bytes such as 8GB or 8GiB', readBytes, undefined, 'most memory to allocate [what is free]'),
  ),
  bf16: flag(false, 'weights, activations and products in bfloat16, with float32 master weights [float32]'),
  fp16: mayChange(
    custom('false (float16 needs loss scaling)', (value) => (toBoolean(value) === false ? false : undefined), false, 'refused'),
  ),
  device: mayChange(custom('cpu, cuda or cuda:N', readDevice, 'cpu', 'where to train: cpu, cuda or cuda:N')),
  threads: mayChange(integer({ min: 1, below: 1025 }, availableParallelism(), 'threads on the CPU')),

  output_dir: mayChange(text(undefined, 'folder for checkpoints, metrics and the trained model')),
  overwrite_output_dir: mayChange(flag(false, 'start anew in an output_dir that holds a run')),
  logging_steps: mayChange(integer({ min: 1 }, 10, 'steps from one line of metrics to the next')),
  save_strategy: mayChange(choice(['steps', 'epoch', 'no'], 'steps', 'when checkpoints are written')),
  save_steps: mayChange(integer({ min: 1 }, 500, 'steps from one checkpoint to the next')),
  save_total_limit: mayChange(integer({ min: 1 }, undefined, 'keep only the newest checkpoints [all]')),
  eval_strategy: mayChange(
    choice(['no', 'steps', 'epoch'], undefined, 'when the held out records are evaluated [steps with eval_steps, else no]'),
  ),
  eval_steps: mayChange(integer({ min: 1 }, undefined, 'steps from one evaluation to the next [logging_steps]')),
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
} as const satisfies Record<string, TrainKey<unknown, unknown>>

type Keys = typeof keys
export type TrainKeyName = keyof Keys
/** What each key holds once read. */
export type TrainValues = {
  [K in TrainKeyName]: v.InferOutput<Keys[K]['schema']> | (Keys[K]['default'] extends undefined ? undefined : never)
}

/** Other spellings of a key. */
export const aliases: Readonly<Record<string, TrainKeyName>> = { evaluation_strategy: 'eval_strategy' }
