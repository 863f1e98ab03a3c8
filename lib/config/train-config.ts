import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { ConfigError } from '../errors.js'
import { readConfigFile, type Written } from './config-file.js'
import { configNotes } from './config-notes.js'
import {
  invalidValue,
  resolveEvalStrategy,
  resolveInterleaveProbs,
  resolveMaskHistory,
  resolveMinLrRate,
  resolveRecompute,
} from './dependent-keys.js'
import { foreignKey, foreignKeys } from './foreign-keys.js'
import { isJsonObject } from './json-object.js'
import { showValue } from './show-value.js'
import { aliases, keys, type TrainKeyName, type TrainValues } from './train-keys.js'
import type { LoadedTrainConfig, TrainConfig } from './train-settings.js'

export type { LoadedTrainConfig, TrainConfig } from './train-settings.js'

/** Every key with its type, default and description, in the order of `--help`. */
export const trainKeys: readonly {
  key: string
  type: string
  choices?: readonly string[]
  default: unknown
  description: string
}[] = Object.entries(keys).map(([key, { type, choices, default: value, description }]) => ({
  key,
  type,
  ...(choices && { choices }),
  default: value,
  description,
}))

/**
 * Reads settings by LLaMA-Factory's names; `place` (`train.yaml`, `command line`) is named in errors.
 *
 * Throws a ConfigError: `CONFIG_UNKNOWN_KEY` naming the nearest known key; `CONFIG_INVALID_VALUE` for a wrong value, and for
 * a key that asks for something that is not done here and would change the result.
 */
export function parseTrainConfig(values: Record<string, unknown>, place: string): LoadedTrainConfig {
  expectSettings(values, place)
  return parseWritten(new Map(Object.entries(values).map(([key, value]) => [canonicalKey(key), { value, place }])))
}

/**
 * Reads a YAML or JSON file (none where `path` is undefined), then the overrides of the command line, which win.
 *
 * Throws a ConfigError: `CONFIG_NOT_FOUND`, `CONFIG_MALFORMED`, and those of {@link parseTrainConfig}, with line numbers.
 */
export async function loadTrainConfig(path: string | undefined, overrides: Record<string, unknown>): Promise<LoadedTrainConfig> {
  expectSettings(overrides, 'overrides')
  const written = path === undefined ? (new Map() as Written) : await readConfigFile(path)
  for (const [key, value] of Object.entries(overrides)) {
    if (value === undefined) continue
    const name = canonicalKey(key)
    for (const earlier of written.keys()) if (canonicalKey(earlier) === name) written.delete(earlier)
    written.set(name, { value, place: 'command line' })
  }
  return parseWritten(written)
}

/** Callers in JavaScript have no types that would tell them. */
function expectSettings(values: unknown, place: string): void {
  if (isJsonObject(values)) return
  const message = `expected an object with keys of the config but received ${showValue(values)} (${place})`
  throw new ConfigError('CONFIG_INVALID_VALUE', message, { place, received: values })
}

/** The name of a key however it was spelled: `output-dir` is output_dir, `evaluation_strategy` is eval_strategy. */
export function canonicalKey(spelled: string): string {
  const key = spelled.replaceAll('-', '_')
  return Object.hasOwn(aliases, key) ? aliases[key]! : key
}

function parseWritten(written: Written): LoadedTrainConfig {
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(keys).map(([key, { default: value }]) => [key, value]),
  )
  const given = new Set<string>()
  const ignored: string[] = []
  for (const [name, { value, place }] of written) {
    const key = canonicalKey(name)
    if (!Object.hasOwn(keys, key)) {
      checkForeign(key, value, place)
      ignored.push(key)
    } else if (value !== null && value !== undefined) {
      values[key] = readValue(key as TrainKeyName, value, place)
      given.add(key)
    }
  }
  const places = (key: TrainKeyName) => written.get(key)?.place ?? 'defaults'
  return resolve(values as unknown as TrainValues, given, ignored, places)
}

function checkForeign(key: string, value: unknown, place: string): void {
  const verdict = foreignKey(key, value)
  if (verdict === 'refused') {
    const message = `${key} ${showValue(value)} is not supported and would change the result (${place}): remove it`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { key, place, received: value })
  }
  if (verdict === 'ignored') return
  const nearest = closest(key, [...Object.keys(keys), ...Object.keys(aliases), ...foreignKeys])
  throw new ConfigError('CONFIG_UNKNOWN_KEY', `unknown key ${key} (${place}): did you mean ${nearest}?`, { key, place, nearest })
}

function readValue(key: TrainKeyName, value: unknown, place: string): unknown {
  const result = v.safeParse(keys[key].schema as v.GenericSchema, value)
  if (!result.success) throw invalidValue(key, keys[key].expected, value, place)
  return result.output
}

/** Settles what depends on more than one key. */
function resolve(
  values: TrainValues,
  given: Set<string>,
  ignored: string[],
  places: (key: TrainKeyName) => string,
): LoadedTrainConfig {
  const limoBatch = values.per_device_train_batch_size === undefined && values.gradient_accumulation_steps === undefined
  const config: TrainConfig = {
    ...(values.model_name_or_path !== undefined && { modelNameOrPath: values.model_name_or_path }),
    ...(values.dataset !== undefined && { dataset: values.dataset }),
    ...(values.eval_dataset !== undefined && { evalDataset: values.eval_dataset }),
    datasetDir: values.dataset_dir,
    ...(values.template !== undefined && { template: values.template }),
    defaultSystem: values.default_system,
    maskHistory: resolveMaskHistory(values, places),
    trainOnPrompt: values.train_on_prompt,
    ...(values.enable_thinking !== undefined && { enableThinking: values.enable_thinking }),
    cutoffLen: values.cutoff_len,
    overLength: values.over_length,
    ...(values.max_samples !== undefined && { maxSamples: values.max_samples }),
    mixStrategy: values.mix_strategy,
    ...resolveInterleaveProbs(values, places),
    ...(values.tokenized_path !== undefined && { tokenizedPath: values.tokenized_path }),
    preprocessingNumWorkers: values.preprocessing_num_workers,
    packing: values.packing,
    valSize: values.val_size,
    disableShuffling: values.disable_shuffling,
    perDeviceTrainBatchSize: values.per_device_train_batch_size ?? 1,
    gradientAccumulationSteps: values.gradient_accumulation_steps ?? (limoBatch ? 64 : 1),
    learningRate: values.learning_rate,
    lrSchedulerType: values.lr_scheduler_type,
    minLrRate: resolveMinLrRate(values, places),
    warmupRatio: values.warmup_ratio,
    ...(values.warmup_steps !== undefined && values.warmup_steps > 0 && { warmupSteps: values.warmup_steps }),
    numTrainEpochs: values.num_train_epochs,
    ...(values.max_steps !== undefined && values.max_steps > 0 && { maxSteps: values.max_steps }),
    weightDecay: values.weight_decay,
    adamBeta1: values.adam_beta1,
    adamBeta2: values.adam_beta2,
    adamEpsilon: values.adam_epsilon,
    maxGradNorm: values.max_grad_norm,
    lossReduction: values.loss_reduction,
    seed: values.seed,
    dataSeed: values.data_seed ?? values.seed,
    recompute: resolveRecompute(values, given),
    ...(values.memory_limit !== undefined && { memoryLimit: values.memory_limit }),
    bf16: values.bf16,
    device: values.device,
    threads: values.threads,
    ...(values.output_dir !== undefined && { outputDir: values.output_dir }),
    overwriteOutputDir: values.overwrite_output_dir,
    loggingSteps: values.logging_steps,
    saveStrategy: values.save_strategy,
    saveSteps: values.save_steps,
    ...(values.save_total_limit !== undefined && { saveTotalLimit: values.save_total_limit }),
    evalStrategy: resolveEvalStrategy(values, places),
    evalSteps: values.eval_steps ?? values.logging_steps,
    perDeviceEvalBatchSize: values.per_device_eval_batch_size,
    predictWithGenerate: values.predict_with_generate,
    predictSamples: values.predict_samples,
    maxNewTokens: values.max_new_tokens,
    resumeFromCheckpoint: values.resume_from_checkpoint,
  }
  return { config, notes: configNotes(config, given, ignored), given }
}
