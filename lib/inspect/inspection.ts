import { basename } from 'node:path'
import { checkTensors, openModelFolder } from '../checkpoint/model-folder.js'
import { readModelConfig } from '../config/model-config.js'
import type { TrainConfig } from '../config/train-config.js'
import type { Role } from '../data/conversation.js'
import { type Example, type ExampleOptions, makeExample, notScored, renderRecord, withSystemTurn } from '../data/example.js'
import type { Examples } from '../data/examples.js'
import { packStep } from '../data/packer.js'
import { readRecord } from '../data/read-record.js'
import type { ChatRecord, TrainingRecord } from '../data/records.js'
import { loadChatTemplate } from '../data/template/chat-template.js'
import { tokenizationOptions } from '../data/tokenization.js'
import { loadTokenizer } from '../data/tokenizer/tokenizer.js'
import { CheckpointError, ConfigError, DataError } from '../errors.js'
import { declareParameters } from '../model/decoder-parameters.js'
import { openDevice } from '../native/device.js'
import { defaultMemoryLimit } from '../native/memory-limit.js'
import { Evaluator } from '../train/evaluator.js'
import { loadRunExamples, planRunBatches, required } from '../train/prepare.js'
import { markTurn, rolesOf, textsOf } from './token-texts.js'

/** One token of a record. */
export interface InspectedToken {
  id: number
  /** Text that it adds; '' where it only begins a character. */
  text: string
  /** Whose text it is; what the template writes is nobody's. */
  role: Role | 'template'
  scored: boolean
  /** In nats, for predicting this token; only where a model was asked and the token is scored. */
  loss?: number
}

/** Position of a record in training. */
export type Packing =
  | { kind: 'packed'; step: number; microBatch: number; microBatches: number; tokens: number; sequences: PackedNeighbour[] }
  | { kind: 'held out'; valSize: number }
  | { kind: 'dropped' }
  | { kind: 'not known'; why: string }

export interface PackedNeighbour {
  place: string
  /** Its first token in the micro-batch. */
  start: number
  length: number
  isThis: boolean
}

/** A record as training sees it. */
export interface Inspection {
  place: string
  turns: Role[]
  /** Parts of the rendered text; empty for a record that came as tokens. */
  segments: { text: string; scored: boolean }[]
  tokens: InspectedToken[]
  scoredTokens: number
  cutoffLen: number
  overLength: TrainConfig['overLength']
  packing: Packing
  /** The folder of the model that the losses are of. */
  lossModel?: string
}

export interface InspectOptions {
  /** Counting from 1 through all files. */
  row: string
  /** A model folder to take the loss of each token with; `true` for the trained one in `output_dir`. */
  loss?: string | boolean | undefined
}

/**
 * Inspects one record of a config's data sets.
 *
 * Throws what reading and tokenizing that record throws, and CONFIG_INVALID_VALUE where there is no such row; what is wrong with
 * other records only leaves its packing unknown.
 */
export async function inspectRecord(config: TrainConfig, options: InspectOptions): Promise<Inspection> {
  const { record, index, exampleOptions } = await loadRow(config, options.row)
  const example = makeExample(record, exampleOptions)
  const { tokenizer } = exampleOptions
  const texts = tokenizer === undefined ? [] : textsOf(tokenizer, example.inputIds)
  const roles = record.kind === 'chat' ? rolesOfRecord(record, texts, exampleOptions) : []
  const lossModel = options.loss ? modelOf(options.loss, config) : undefined
  const losses = lossModel === undefined ? undefined : await lossesOf(example, lossModel, config)
  const isScored = (index: number) => index > 0 && example.labels[index] !== notScored
  return {
    place: record.place,
    turns: record.kind === 'chat' ? record.turns.map(({ role }) => role) : [],
    segments: record.kind === 'chat' ? renderRecord(record, exampleOptions).segments : [],
    tokens: Array.from(example.inputIds, (id, index) => ({
      id,
      text: texts[index] ?? '',
      role: roles[index] ?? 'template',
      scored: isScored(index),
      ...(losses && isScored(index) && { loss: losses[index - 1]! }),
    })),
    scoredTokens: example.scoredTokens,
    cutoffLen: config.cutoffLen,
    overLength: config.overLength,
    packing: await packingOf(index, config),
    ...(lossModel !== undefined && { lossModel }),
  }
}

/** Rendered once more with marks around the texts: the same words may stand elsewhere, in the system turn or in the markup. */
function rolesOfRecord(record: ChatRecord, texts: readonly string[], options: ExampleOptions): InspectedToken['role'][] {
  const turns = withSystemTurn(record.turns, options)
  let marked: string | undefined
  try {
    marked = renderRecord({ ...record, turns: turns.map(markTurn) }, options).text
  } catch (error) {
    // A template may look at a text, and refuse it with marks.
    if (!(error instanceof DataError)) throw error
  }
  return rolesOf(turns, texts, marked)
}

async function loadRow(
  config: TrainConfig,
  row: string,
): Promise<{ record: TrainingRecord; index: number; exampleOptions: ExampleOptions }> {
  const modelFolder = required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct')
  const dataset = required(config.dataset, 'dataset', 'chains.jsonl')
  const { vocabSize } = await readModelConfig(modelFolder)
  const found = await readRecord(config, dataset, /^[1-9]\d*$/.test(row) ? Number(row) : Infinity)
  if (!('record' in found)) {
    const message = `expected --row from 1 to ${found.records} but received "${row}"`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { row })
  }
  const exampleOptions: ExampleOptions = { vocabSize, ...tokenizationOptions(config) }
  if (found.record.kind === 'chat') {
    exampleOptions.tokenizer = await loadTokenizer(modelFolder)
    exampleOptions.template = await loadChatTemplate(modelFolder, config.template, exampleOptions.tokenizer.specialTokens)
  }
  return { record: found.record, index: found.index, exampleOptions }
}

/** The first micro-batch that a record is in. */
async function packingOf(record: number, config: TrainConfig): Promise<Packing> {
  let loaded: Awaited<ReturnType<typeof loadRunExamples>>['loaded']
  try {
    ;({ loaded } = await loadRunExamples(config))
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return { kind: 'not known', why: error.message }
  }
  const { train: examples, validation } = loaded
  const index = findRecord(examples, record)
  if (index < 0) {
    const isHeldOut = config.evalDataset === undefined && findRecord(validation, record) >= 0
    return isHeldOut ? { kind: 'held out', valSize: config.valSize } : { kind: 'dropped' }
  }
  const { batches } = planRunBatches(examples, config)
  for (let step = 1; step <= batches.stepsPerEpoch; step++) {
    const { microBatches } = batches.step(step)
    const micro = microBatches.findIndex(({ exampleIndices }) => exampleIndices.includes(index))
    if (micro < 0) continue
    const { exampleIndices, cuSeqlens, inputIds } = microBatches[micro]!
    const sequences = exampleIndices.map((neighbour, sequence) => ({
      place: examples.infoOf(neighbour).place,
      start: cuSeqlens[sequence]!,
      length: cuSeqlens[sequence + 1]! - cuSeqlens[sequence]!,
      isThis: neighbour === index,
    }))
    return { kind: 'packed', step, microBatch: micro + 1, microBatches: microBatches.length, tokens: inputIds.length, sequences }
  }
  return { kind: 'dropped' }
}

function findRecord(examples: Examples, record: number): number {
  for (let index = 0; index < examples.count; index++) if (examples.infoOf(index).record === record) return index
  return -1
}

function modelOf(loss: string | true, { outputDir }: TrainConfig): string {
  if (loss !== true) return loss
  return required(outputDir, 'output_dir', './output')
}

/** [T], the loss of predicting what follows each token. */
async function lossesOf(
  { inputIds, labels, scoredTokens, place }: Example,
  folder: string,
  config: TrainConfig,
): Promise<Float32Array> {
  const model = await openModelFolder(folder).catch((error: unknown) => {
    if (!(error instanceof ConfigError || error instanceof CheckpointError) || folder !== config.outputDir) throw error
    if (error.code !== 'MODEL_NOT_FOUND') throw error
    throw new CheckpointError(
      error.code,
      `expected a trained model in ${basename(folder)} (output_dir) to take the loss with but there is none: train first, ` +
        'or name another model folder with --loss DIR',
      { folder },
      { cause: error },
    )
  })
  checkTensors(declareParameters(model.config).weights, model.tensors, { tied: model.config.tieWordEmbeddings })
  const device = await openDevice(config.device, { threads: config.threads })
  try {
    const evaluator = await Evaluator.load(device, model, {
      maxTokens: inputIds.length,
      maxSequences: 1,
      dtype: config.bf16 ? 'bf16' : 'f32',
      memoryLimit: config.memoryLimit ?? defaultMemoryLimit(config.device, device.info.memoryBytes),
    })
    const packing = { packing: false, capacity: inputIds.length, examplesPerMicroBatch: 1, lossReduction: 'token' as const }
    const [batch] = packStep([{ place, inputIds, labels, scoredTokens }], packing)
    return await evaluator.tokenLosses(batch!)
  } finally {
    await device.close()
  }
}
