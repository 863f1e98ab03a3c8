import { ConfigError } from '../errors.js'
import { showValue } from './show-value.js'
import type { TrainKeyName, TrainValues } from './train-keys.js'
import type { TrainConfig } from './train-settings.js'

/*
 * Settings that follow from more than one key.
 */

export function invalidValue(key: string, expected: string, received: unknown, place: string): ConfigError {
  const message = `expected ${expected} for ${key} but received ${showValue(received)} (${place})`
  return new ConfigError('CONFIG_INVALID_VALUE', message, { key, place, expected, received })
}

/** LLaMA-Factory refuses both together too: one leaves out what the other asks for. */
export function resolveMaskHistory(values: TrainValues, places: (key: TrainKeyName) => string): boolean {
  if (values.mask_history && values.train_on_prompt) {
    throw invalidValue('mask_history', 'false with train_on_prompt true', true, places('mask_history'))
  }
  return values.mask_history
}

/** Transformers' `get_cosine_with_min_lr_schedule_with_warmup`: exactly one of min_lr and min_lr_rate. */
export function resolveMinLrRate(values: TrainValues, places: (key: TrainKeyName) => string): number {
  const { lr_scheduler_type: type, lr_scheduler_kwargs: settings, learning_rate: learningRate } = values
  const place = places(settings === undefined ? 'lr_scheduler_type' : 'lr_scheduler_kwargs')
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

export function resolveInterleaveProbs(
  { mix_strategy: strategy, interleave_probs: probabilities, dataset }: TrainValues,
  places: (key: TrainKeyName) => string,
): { interleaveProbs?: readonly number[] } {
  if (probabilities === undefined) return {}
  const wrong = (expected: string) => invalidValue('interleave_probs', expected, probabilities, places('interleave_probs'))
  if (strategy === 'concat') throw wrong('none with mix_strategy concat (interleave_under and interleave_over take them)')
  const count = dataset?.split(',').length ?? 0
  if (probabilities.length !== count) throw wrong(`a number for each dataset, ${count} in all,`)
  return { interleaveProbs: probabilities }
}

export function resolveRecompute(values: TrainValues, given: Set<string>): TrainConfig['recompute'] {
  if (given.has('recompute')) return values.recompute
  if (values.disable_gradient_checkpointing === true) return 'none'
  return values.gradient_checkpointing === true ? 'full' : values.recompute
}

export function resolveEvalStrategy(values: TrainValues, places: (key: TrainKeyName) => string): TrainConfig['evalStrategy'] {
  if (values.eval_dataset !== undefined && values.val_size > 0) {
    throw invalidValue('val_size', 'no val_size with eval_dataset', values.val_size, places('val_size'))
  }
  const hasNone = values.val_size === 0 && values.eval_dataset === undefined
  const strategy = values.eval_strategy ?? (values.eval_steps === undefined || hasNone ? 'no' : 'steps')
  if (strategy !== 'no' && hasNone) {
    throw invalidValue(
      'val_size',
      `a val_size above 0, or an eval_dataset, with eval_strategy ${strategy}`,
      0,
      places('eval_strategy'),
    )
  }
  return strategy
}
