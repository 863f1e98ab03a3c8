import type { ChatMetadata } from '../checkpoint/chat-metadata.js'
import { checkSettings } from '../config/check-settings.js'
import { longestContext, type ModelConfig, readModelConfig } from '../config/model-config.js'
import { missingKey } from '../config/read-keys.js'
import type { TrainConfig } from '../config/train-config.js'
import { withWholeSteps } from '../config/train-settings.js'
import { type BatchPlan, planBatches } from '../data/batch-stream.js'
import type { Examples } from '../data/examples.js'
import { type LoadedExamples, type LoadOptions, loadExamples } from '../data/load-examples.js'
import type { ExampleReport } from '../data/over-length.js'
import type { PackOptions } from '../data/packer.js'
import { loadTokenizer } from '../data/tokenizer/tokenizer.js'
import { planValidation, type ValidationPlan } from '../data/validation-plan.js'
import { ConfigError } from '../errors.js'
import { readGenerationConfig } from '../generate/generation-config.js'
import { type GenerationPlan, planGeneration } from '../generate/generation-plan.js'
import type { TrainableWeights } from '../model/decoder-parameters.js'
import { trainableBy } from '../model/freeze.js'
import { backendOf } from '../native/backend.js'
import { cudaMemoryBytes } from '../native/device.js'
import { defaultMemoryLimit } from '../native/memory-limit.js'
import { type ChatFormat, chatFormatOf } from './chat-format.js'
import { type GenerationScorePlan, heldOutProblemsOf } from './generation-score.js'
import { planTraining, type TrainPlan, type TrainPlanOptions } from './train-plan.js'

/** Everything about a run that is known before the device is opened: data, order, batches, programs, memory. */
export interface PreparedRun {
  config: TrainConfig
  modelFolder: string
  model: ModelConfig
  /** To train on. */
  examples: Examples
  /** Held out. */
  validation: ValidationPlan
  report: ExampleReport
  batches: BatchPlan
  plan: TrainPlan
  /** What the plan was made of, with the memory limit that it has to fit. */
  planOptions: TrainPlanOptions
  /** Held out problems that the model answers at each evaluation. */
  generation: GenerationScorePlan | undefined
  /** What it takes: the cache, inputs and activations of generation, beside the arenas of the step. */
  generationBytes: number
  /** What the written model folder says of its chat format. */
  chat: ChatMetadata
  /** What a user should know of data and model, a line each. */
  notes: string[]
  /** A digest of all examples, in order: a resumed run must have the same. */
  examplesDigest: string
}

export function required<T>(value: T | undefined, key: string, example: string): T {
  if (value === undefined) throw missingKey(key, example)
  return value
}

/** Reads the model's config and the data sets, through the cache of tokenized examples. */
export async function loadRunExamples(
  config: TrainConfig,
  { signal, onProgress }: PrepareOptions = {},
): Promise<{ modelFolder: string; model: ModelConfig; loaded: LoadedExamples }> {
  const modelFolder = required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct')
  const dataset = required(config.dataset, 'dataset', 'chains.jsonl')
  const model = await readModelConfig(modelFolder)
  const loaded = await loadExamples(config, dataset, { modelFolder, vocabSize: model.vocabSize, signal, onProgress })
  return { modelFolder, model, loaded }
}

/** How the examples to train on come in steps. */
export function planRunBatches(examples: Examples, config: TrainConfig): { pack: PackOptions; batches: BatchPlan } {
  const pack = {
    packing: config.packing,
    capacity: config.cutoffLen,
    examplesPerMicroBatch: config.perDeviceTrainBatchSize,
    lossReduction: config.lossReduction,
  }
  const batches = planBatches(examples, {
    examplesPerStep: config.perDeviceTrainBatchSize * config.gradientAccumulationSteps,
    numTrainEpochs: config.numTrainEpochs,
    ...(config.maxSteps !== undefined && { maxSteps: config.maxSteps }),
    seed: config.dataSeed,
    disableShuffling: config.disableShuffling,
    pack,
  })
  return { pack, batches }
}

export interface PrepareOptions {
  signal?: AbortSignal | undefined
  /** Those of a device that was opened. */
  availableBytes?: number | undefined
  /** Make a plan even where it does not fit the memory limit. */
  whatever?: boolean
  /** Told now and then how far the tokenizing of a file is; never for what the cache has. */
  onProgress?: LoadOptions['onProgress']
}

/**
 * Prepares a training run without opening a device or reading weights.
 *
 * @throws ConfigError, DataError, CheckpointError; NativeError OUT_OF_MEMORY when the plan does not fit the memory limit
 */
export async function prepareRun(config: TrainConfig, options: PrepareOptions = {}): Promise<PreparedRun> {
  checkSettings(config)
  const { modelFolder, model, loaded } = await loadRunExamples(config, options)
  const { train: examples, report } = loaded
  const { pack, batches } = planRunBatches(examples, config)
  // One loss over all held out tokens, packed like training data.
  const validation = planValidation(loaded.validation, {
    ...pack,
    capacity: batches.maxTokens,
    examplesPerMicroBatch: config.perDeviceEvalBatchSize,
    lossReduction: 'token',
  })
  const isTrainable = config.freeze && trainableBy(config.freeze, model)
  const memoryLimit = config.memoryLimit ?? defaultMemoryLimit(config.device, options.availableBytes)
  const chat = await chatFormatOf({ config, modelFolder, model, examples })
  const generation = config.predictWithGenerate
    ? await planScore(config, { modelFolder, model, validation: loaded.validation, memoryLimit, isTrainable, chat })
    : undefined
  const generationBytes = generation === undefined ? 0 : bytesBesideWeights(generation.plan)
  const planOptions: TrainPlanOptions = {
    config: model,
    isTrainable,
    dtype: config.bf16 ? 'bf16' : 'f32',
    recompute: config.recompute,
    device: config.device,
    memoryLimit: memoryLimit && Math.max(0, memoryLimit - generationBytes),
    threads: config.threads,
    maxTokens: Math.max(batches.maxTokens, validation.maxTokens),
    maxSequences: Math.max(batches.maxSequences, validation.maxSequences),
    adamw: {
      beta1: config.adamBeta1,
      beta2: config.adamBeta2,
      eps: config.adamEpsilon,
      weightDecay: config.weightDecay,
    },
    maxGradNorm: config.maxGradNorm,
  }
  const plan = planTraining(planOptions, { whatever: options.whatever ?? false })
  return {
    config: withWholeSteps(config, batches.totalSteps),
    modelFolder,
    model,
    examples,
    validation,
    report,
    batches,
    plan,
    planOptions,
    generation,
    generationBytes,
    chat: chat.metadata,
    notes: [
      ...loaded.notes,
      ...chat.notes,
      ...positionNotes(examples, model),
      ...evalNotes(loaded.evalReport),
      ...deviceNotes(config),
    ],
    examplesDigest: loaded.digest,
  }
}

/** How the model answers held out records while it is trained. Throws CONFIG_INVALID_VALUE where there are none. */
async function planScore(
  config: TrainConfig,
  run: {
    modelFolder: string
    model: ModelConfig
    validation: Examples
    memoryLimit: number | undefined
    isTrainable: TrainableWeights | undefined
    chat: ChatFormat
  },
): Promise<GenerationScorePlan> {
  const { modelFolder, model, validation } = run
  if (validation.count === 0) {
    const message = 'expected val_size or eval_dataset with predict_with_generate: it is held out records that the model answers'
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { key: 'predict_with_generate' })
  }
  const tokenizer = await loadTokenizer(modelFolder)
  const problems = heldOutProblemsOf(validation, config.predictSamples, tokenizer)
  const longest = Math.max(...problems.map(({ promptIds }) => promptIds.length))
  const maxLength = longest + config.maxNewTokens
  const plan = planGeneration({
    config: model,
    dtype: config.bf16 ? 'bf16' : 'f32',
    device: config.device,
    threads: config.threads,
    maxSequences: Math.min(16, problems.length),
    maxLength,
    prefillTokens: Math.min(1024, maxLength),
    memoryLimit: run.memoryLimit,
    isTrainable: run.isTrainable,
  })
  const own = await readGenerationConfig(modelFolder, model, tokenizer)
  const generationConfig = { ...own, endIds: new Set([...own.endIds, ...run.chat.endIds]) }
  return { plan, problems, tokenizer, config: generationConfig, maxNewTokens: config.maxNewTokens }
}

/** What generation takes beside training, whose weights and working memory it uses. */
function bytesBesideWeights({ bytes }: GenerationPlan): number {
  return bytes.cache + bytes.inputs + bytes.activations
}

function deviceNotes({ device, memoryLimit, recompute }: TrainConfig): string[] {
  if (!backendOf(device).hasOwnMemory || memoryLimit !== undefined || recompute !== 'auto') return []
  if (cudaMemoryBytes(device) !== undefined) return []
  return [`there is no ${device} here, so the plan takes its memory for unlimited: set memory_limit to what the device has free`]
}

function evalNotes(report: ExampleReport | undefined): string[] {
  const { dropped = [], truncated = [] } = report ?? {}
  const note = (what: string, count: number) =>
    count === 0 ? [] : [`eval_dataset: ${count} examples ${what}, longer than cutoff_len`]
  return [...note('dropped', dropped.length), ...note('truncated', truncated.length)]
}

/** Not an error: RoPE has an angle for every position, and some models are trained on longer chains on purpose. */
function positionNotes(examples: Examples, model: ModelConfig): string[] {
  const context = longestContext(model)
  let [count, longest, first] = [0, 0, -1]
  for (let index = 0; index < examples.count; index++) {
    const length = examples.infoOf(index).length
    if (length <= context) continue
    if (first < 0) first = index
    count += 1
    longest = Math.max(longest, length)
  }
  if (count === 0) return []
  const which = count === 1 ? '1 example is' : `${count} examples are`
  return [
    `${which} longer than the ${model.ropeScaling?.type === 'yarn' ? 'context that YaRN stretches to,' : "model's max_position_embeddings of"} ${context} (the longest has ${longest} tokens, ` +
      `${examples.infoOf(first).place} is the first): the model may never have seen such positions`,
  ]
}
