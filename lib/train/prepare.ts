import { createHash } from 'node:crypto'
import { type ModelConfig, readModelConfig } from '../config/model-config.js'
import type { TrainConfig } from '../config/train-config.js'
import { type BatchPlan, planBatches } from '../data/batch-stream.js'
import { type ChatTemplate, loadChatTemplate } from '../data/chat-template.js'
import { resolveDatasets } from '../data/dataset-info.js'
import { type Example, type ExampleOptions, type ExampleReport, makeExamples } from '../data/example.js'
import { type PackedBatch, type PackOptions, packStep } from '../data/packer.js'
import { readRecords, type TrainingRecord } from '../data/records.js'
import { loadTokenizer, type TextTokenizer } from '../data/tokenizer.js'
import { splitValidation } from '../data/validation-split.js'
import { ConfigError } from '../errors.js'
import { backendOf } from '../native/backend.js'
import { cudaMemoryBytes } from '../native/device.js'
import { planStep, type StepPlan } from './step-plan.js'

/** The part of available memory that a run may take when `memory_limit` is not given. */
const MEMORY_SHARE = 0.9

/** The records of a config with what turns them into examples. */
export interface LoadedRecords {
  modelFolder: string
  model: ModelConfig
  records: TrainingRecord[]
  options: ExampleOptions
}

/** Everything about a run that is known before the device is opened: data, order, batches, programs, memory. */
export interface PreparedRun {
  config: TrainConfig
  modelFolder: string
  model: ModelConfig
  examples: Example[]
  validation: PackedBatch[]
  report: ExampleReport
  batches: BatchPlan
  step: StepPlan
  /** What a user should know of data and model, a line each. */
  notes: string[]
  /** A digest of all examples, in order: a resumed run must have the same. */
  examplesDigest: string
}

export function required<T>(value: T | undefined, key: string, example: string): T {
  if (value === undefined) {
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected ${key} but it is not set. Add \`${key}: ${example}\` to the config or --${key} ${example}.`,
      { key },
    )
  }
  return value
}

/** Reads the model's config, the records and, where records are text, the tokenizer and the chat template. */
export async function loadRecords(config: TrainConfig): Promise<LoadedRecords> {
  const modelFolder = required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct')
  const dataset = required(config.dataset, 'dataset', 'chains.jsonl')
  const model = await readModelConfig(modelFolder)
  const records: TrainingRecord[] = []
  for (const source of await resolveDatasets(dataset, config.datasetDir)) {
    const all = await readRecords(source.path, source.columns)
    for (const record of all.slice(0, config.maxSamples)) records.push(record)
  }
  let tokenizer: TextTokenizer | undefined
  let template: ChatTemplate | undefined
  if (records.some((record) => record.kind === 'chat')) {
    tokenizer = await loadTokenizer(modelFolder)
    template = await loadChatTemplate(modelFolder, config.template, tokenizer.specialTokens)
  }
  const { cutoffLen, overLength, defaultSystem, maskHistory, trainOnPrompt, enableThinking } = config
  return {
    modelFolder,
    model,
    records,
    options: {
      ...(tokenizer && { tokenizer }),
      ...(template && { template }),
      cutoffLen,
      overLength,
      defaultSystem,
      maskHistory,
      trainOnPrompt,
      enableThinking,
      vocabSize: model.vocabSize,
    },
  }
}

/** The examples to train on, those held out for evaluation, and how the former come in steps. Throws DATA_EMPTY. */
export function planExamples(
  all: readonly Example[],
  config: TrainConfig,
): { examples: Example[]; validation: Example[]; pack: PackOptions; batches: BatchPlan } {
  const { train: examples, validation } = splitValidation(all, config.valSize, config.dataSeed)
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
  return { examples, validation, pack, batches }
}

/**
 * Prepares a training run without opening a device or reading weights. `availableBytes` are those of a device that was opened.
 *
 * @throws ConfigError, DataError, CheckpointError; NativeError OUT_OF_MEMORY when the plan does not fit the memory limit
 */
export async function prepareRun(
  config: TrainConfig,
  { signal, availableBytes }: { signal?: AbortSignal | undefined; availableBytes?: number | undefined } = {},
): Promise<PreparedRun> {
  const { modelFolder, model, records, options } = await loadRecords(config)
  const { examples: all, report } = await makeExamples(records, options, signal)
  const { examples, validation, pack, batches } = planExamples(all, config)
  // One loss over all held out tokens, packed like training data.
  const validationBatches =
    validation.length === 0
      ? []
      : packStep(validation, {
          ...pack,
          capacity: batches.maxTokens,
          examplesPerMicroBatch: config.perDeviceEvalBatchSize,
          lossReduction: 'token',
        })
  const step = planStep({
    config: model,
    dtype: config.bf16 ? 'bf16' : 'f32',
    recompute: config.recompute,
    device: config.device,
    memoryLimit: config.memoryLimit ?? defaultMemoryLimit(config.device, availableBytes),
    threads: config.threads,
    maxTokens: Math.max(batches.maxTokens, ...validationBatches.map(({ inputIds }) => inputIds.length)),
    maxSequences: Math.max(batches.maxSequences, ...validationBatches.map(({ cuSeqlens }) => cuSeqlens.length - 1)),
    beta1: config.adamBeta1,
    beta2: config.adamBeta2,
    eps: config.adamEpsilon,
    weightDecay: config.weightDecay,
    maxGradNorm: config.maxGradNorm,
  })
  return {
    config,
    modelFolder,
    model,
    examples,
    validation: validationBatches,
    report,
    batches,
    step,
    notes: [...positionNotes(all, model), ...deviceNotes(config)],
    examplesDigest: digestOf(all),
  }
}

/** Most of the memory that the process, or the CUDA device, may have; nothing where that device is not on this machine. */
export function defaultMemoryLimit(device: string, availableBytes?: number): number | undefined {
  const isCuda = backendOf(device).name === 'cuda'
  const available = isCuda ? (availableBytes ?? cudaMemoryBytes(device)) : process.availableMemory()
  return available === undefined ? undefined : Math.floor(MEMORY_SHARE * available)
}

function deviceNotes({ device, memoryLimit, recompute }: TrainConfig): string[] {
  if (backendOf(device).name === 'cpu' || memoryLimit !== undefined || recompute !== 'auto') return []
  if (cudaMemoryBytes(device) !== undefined) return []
  return [`there is no ${device} here, so the plan takes its memory for unlimited: set memory_limit to what the device has free`]
}

/** Not an error: RoPE has an angle for every position, and some models are trained on longer chains on purpose. */
function positionNotes(examples: readonly Example[], { maxPositionEmbeddings }: ModelConfig): string[] {
  const beyond = examples.filter(({ inputIds }) => inputIds.length > maxPositionEmbeddings)
  if (beyond.length === 0) return []
  const longest = beyond.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 0)
  const which = beyond.length === 1 ? '1 example is' : `${beyond.length} examples are`
  return [
    `${which} longer than the model's max_position_embeddings of ${maxPositionEmbeddings} (the longest has ${longest} tokens, ` +
      `${beyond[0]!.place} is the first): the model may never have seen such positions`,
  ]
}

function digestOf(examples: Example[]): string {
  const hash = createHash('sha256')
  for (const { inputIds, labels } of examples) {
    hash.update(Int32Array.of(inputIds.length))
    hash.update(inputIds)
    hash.update(labels)
  }
  return hash.digest('hex')
}
