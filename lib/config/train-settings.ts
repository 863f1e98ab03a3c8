import { ConfigError } from '../errors.js'
import { inBrackets, invalidValue } from './read-keys.js'
import { type InputOf, type SettingsOf, settingsOf, type ValuesOf } from './settings.js'
import { keys, type TrainKeyName } from './train-keys.js'

/** Settings that follow from more than one key. */
interface ResolvedSettings {
  perDeviceTrainBatchSize: number
  gradientAccumulationSteps: number
  /** Lowest learning rate as a share of the highest; 0 but for cosine_with_min_lr. */
  minLrRate: number
  dataSeed: number
  /** What is trained while the rest of the model is frozen; absent where everything is trained. */
  freeze?: { layers: number; modules: string[]; extraModules: string[] }
  evalStrategy: 'no' | 'steps' | 'epoch'
  evalSteps: number
}

/** The settings of a training run with every default resolved. Plain JSON; `trainKeys` says what each means. */
export interface TrainConfig extends Omit<SettingsOf<typeof keys>, keyof ResolvedSettings>, ResolvedSettings {}

/**
 * Keys of a training config with their values, as a program writes them: those of `train --help`, by LLaMA-Factory's names. What comes
 * from elsewhere, as JSON or with other tools' keys, is given `as TrainConfigInput`; it is checked when it is read all the same.
 */
export type TrainConfigInput = InputOf<typeof keys>

export interface LoadedTrainConfig {
  config: TrainConfig
  /** What a user should know, a line each: what is ignored, what is done otherwise than the words suggest. */
  notes: string[]
  /** The keys that were set, in snake_case. */
  given: Set<string>
}

type TrainValues = ValuesOf<typeof keys>
type PlaceOf = (key: TrainKeyName) => string

/** Settles what depends on more than one key; every other setting is its key's value. Throws CONFIG_INVALID_VALUE. */
export function resolveSettings(values: TrainValues, given: Set<string>, placeOf: PlaceOf): TrainConfig {
  checkMaskHistory(values, placeOf)
  checkInterleaveProbs(values, placeOf)
  checkLengthen(values, placeOf)
  const { per_device_train_batch_size: batchSize, gradient_accumulation_steps: accumulation } = values
  const isLimoBatch = batchSize === undefined && accumulation === undefined
  // As in Transformers 5, which has no ratio beside it.
  const isWarmupShare = values.warmup_steps !== undefined && values.warmup_steps > 0 && values.warmup_steps < 1
  const settings = settingsOf(keys, {
    ...values,
    // 0 leaves it to the ratio, as in Transformers.
    warmup_steps: isWarmupShare || values.warmup_steps === 0 ? undefined : values.warmup_steps,
    warmup_ratio: isWarmupShare ? values.warmup_steps! : values.warmup_ratio,
    save_total_limit: values.save_total_limit === 0 ? undefined : values.save_total_limit,
    max_steps: values.max_steps === -1 ? undefined : values.max_steps,
    recompute: resolveRecompute(values, given),
  })
  const { freeze: _, ...whole } = settings
  return {
    ...whole,
    ...(values.finetuning_type === 'freeze' && { freeze: resolveFreeze(values) }),
    perDeviceTrainBatchSize: batchSize ?? 1,
    gradientAccumulationSteps: accumulation ?? (isLimoBatch ? 64 : 1),
    minLrRate: resolveMinLrRate(values, placeOf),
    dataSeed: values.data_seed ?? values.seed,
    evalStrategy: resolveEvalStrategy(values, placeOf),
    evalSteps: values.eval_steps ?? values.logging_steps,
  }
}

function resolveFreeze(values: TrainValues): NonNullable<TrainConfig['freeze']> {
  return {
    layers: values.freeze_trainable_layers,
    modules: values.freeze_trainable_modules.split(','),
    extraModules: values.freeze_extra_modules?.split(',') ?? [],
  }
}

/** LLaMA-Factory refuses both together too: one leaves out what the other asks for. */
function checkMaskHistory(values: TrainValues, placeOf: PlaceOf): void {
  if (!values.mask_history || !values.train_on_prompt) return
  throw invalidValue('mask_history', 'false with train_on_prompt true', true, placeOf('mask_history'))
}

function checkLengthen({ lengthen, resume_from_checkpoint: checkpoint }: TrainValues, placeOf: PlaceOf): void {
  if (lengthen && checkpoint === false)
    throw invalidValue('lengthen', 'resume_from_checkpoint together with it', lengthen, placeOf('lengthen'))
}

function checkInterleaveProbs(
  { mix_strategy: strategy, interleave_probs: probabilities, dataset }: TrainValues,
  placeOf: PlaceOf,
): void {
  if (probabilities === undefined) return
  const wrong = (expected: string) => invalidValue('interleave_probs', expected, probabilities, placeOf('interleave_probs'))
  if (strategy === 'concat') throw wrong('none with mix_strategy concat (interleave_under and interleave_over take them)')
  const count = dataset?.split(',').length ?? 0
  if (probabilities.length !== count) throw wrong(`a number for each dataset, ${count} in all,`)
}

/** Transformers' `get_cosine_with_min_lr_schedule_with_warmup`: exactly one of min_lr and min_lr_rate. */
function resolveMinLrRate(values: TrainValues, placeOf: PlaceOf): number {
  const { lr_scheduler_type: type, lr_scheduler_kwargs: settings, learning_rate: learningRate } = values
  const place = placeOf(settings === undefined ? 'lr_scheduler_type' : 'lr_scheduler_kwargs')
  const wrong = (expected: string) => invalidValue('lr_scheduler_kwargs', expected, settings, place)
  const count = Object.keys(settings ?? {}).length
  if (type !== 'cosine_with_min_lr') {
    if (count > 0) throw wrong(`no settings with lr_scheduler_type ${type} (cosine_with_min_lr takes them)`)
    return 0
  }
  if (count !== 1) throw wrong('exactly one of min_lr and min_lr_rate with lr_scheduler_type cosine_with_min_lr')
  if (settings?.min_lr === undefined) return settings?.min_lr_rate ?? 0
  if (settings.min_lr > learningRate) throw wrong(`a min_lr of at most learning_rate (${learningRate})`)
  return learningRate === 0 ? 0 : settings.min_lr / learningRate
}

function resolveRecompute(values: TrainValues, given: Set<string>): TrainConfig['recompute'] {
  if (given.has('recompute')) return values.recompute
  if (values.disable_gradient_checkpointing === true) return 'none'
  return values.gradient_checkpointing === true ? 'full' : values.recompute
}

/** For keys that do not go together. */
function excluding(problem: string, remedy: string, key: TrainKeyName, placeOf: PlaceOf): ConfigError {
  const place = placeOf(key)
  return new ConfigError('CONFIG_INVALID_VALUE', `${problem}${inBrackets(place)}: ${remedy}`, { key, place })
}

/** The settings of a run whose number of steps is known: shares of it become steps, rounded up as Transformers does. */
export function withWholeSteps(config: TrainConfig, totalSteps: number): TrainConfig {
  const whole = (steps: number) => (steps < 1 ? Math.max(1, Math.ceil(steps * totalSteps)) : steps)
  return {
    ...config,
    loggingSteps: whole(config.loggingSteps),
    saveSteps: whole(config.saveSteps),
    evalSteps: whole(config.evalSteps),
  }
}

function resolveEvalStrategy(values: TrainValues, placeOf: PlaceOf): TrainConfig['evalStrategy'] {
  if (values.eval_dataset !== undefined && values.val_size > 0) {
    throw excluding(`val_size ${values.val_size} and eval_dataset exclude each other`, 'remove one', 'val_size', placeOf)
  }
  const hasNone = values.val_size === 0 && values.eval_dataset === undefined
  const strategy = values.eval_strategy ?? (values.eval_steps === undefined || hasNone ? 'no' : 'steps')
  if (strategy !== 'no' && hasNone) {
    const problem = `eval_strategy ${strategy} evaluates records that are held out, but there are none`
    throw excluding(problem, 'set val_size above 0, or eval_dataset', 'eval_strategy', placeOf)
  }
  return strategy
}
