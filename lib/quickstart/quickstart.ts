import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFileAtomically } from '../checkpoint/durable-file.js'
import {
  canonicalKey,
  type LoadedTrainConfig,
  loadTrainConfig,
  parseTrainConfig,
  type TrainConfigInput,
} from '../config/train-config.js'
import { mergesOf } from '../data/tokenizer/byte-level/merge-trainer.js'
import { CheckpointError } from '../errors.js'
import { byteLevelTokenizerFiles } from '../model/byte-tokenizer.js'
import { type InitialModel, writeInitialModel } from '../model/initialize.js'
import { byteLevelVocabulary, presets } from '../model/presets.js'
import { openDevice } from '../native/device.js'
import { type ArithmeticChain, defaultChains, generateChains, heldOutProblems } from './chains.js'

/** Default folder of the quickstart. */
export const quickstartFolder = 'limo-quickstart'

/**
 * The settings that teach the tiny model to add and subtract, found by trial on other problems than those it is scored on: each chain
 * once rather than a few of them often, the decay of 1.0, and the small RoPE base of the model matter most. The
 * trials, and what makes copying sure, are in docs/decisions/teaching-the-quickstart-to-copy.md.
 */
const recipe = {
  default_system: '',
  cutoff_len: 2048,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 1,
  learning_rate: 1e-3,
  bf16: true,
  lr_scheduler_type: 'cosine_with_min_lr',
  lr_scheduler_kwargs: { min_lr_rate: 0.1 },
  warmup_ratio: 0.05,
  num_train_epochs: 1,
  weight_decay: 1.0,
  adam_beta2: 0.98,
  logging_steps: 25,
  save_strategy: 'no',
  overwrite_output_dir: true,
} as const satisfies TrainConfigInput

/** Problems that the model is scored on before and after; none of them was used to choose the recipe. */
const HELD_OUT = 100
const HELD_OUT_SEED = 2025

/** The config of the first run, and where its inputs are. */
export interface Quickstart extends LoadedTrainConfig {
  folder: string
  /** The YAML file to run again or to change. */
  configPath: string
  /** The model that training starts from. */
  baseModel: string
  /** Problems that are not trained on. */
  problemsPath: string
}

/**
 * Writes what a first training run needs into `<folder>/inputs`: chains about arithmetic, a tiny model with random weights and
 * its tokenizer, and the config. What is there already stays as it is, with every edit. The run's output goes to the folder
 * itself. `overrides` are keys of the config, as from a command line; what is wrong with them is said before anything is
 * written.
 *
 * @throws ConfigError; CheckpointError OUTPUT_EXISTS when the folder holds something else, WRITE_FAILED; NativeError
 * DEVICE_UNAVAILABLE
 */
export async function prepareQuickstart(overrides: TrainConfigInput = {}): Promise<Quickstart> {
  const given = Object.fromEntries(
    Object.entries(overrides)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [canonicalKey(key), value]),
  )
  const folder = String(given.output_dir ?? quickstartFolder)
  const inputs = join(folder, 'inputs')
  const configPath = join(inputs, 'train.yaml')
  const chainsPath = join(inputs, 'chains.jsonl')
  const problemsPath = join(inputs, 'held-out.jsonl')
  const modelFolder = join(inputs, 'base-model')
  const settings = { model_name_or_path: modelFolder, dataset: chainsPath, output_dir: folder, ...recipe }
  const { config } = existsSync(configPath)
    ? await loadTrainConfig(configPath, given)
    : parseTrainConfig({ ...settings, ...given }, 'command line')
  await checkFolder(folder, [configPath, chainsPath, modelFolder])
  if (config.device !== 'cpu') await (await openDevice(config.device)).close()

  await makeFolder(inputs)
  const hasChains = existsSync(chainsPath)
  // Problems first: they are those of these chains.
  if (!hasChains || !existsSync(problemsPath)) await writeRows(problemsPath, heldOutProblems(HELD_OUT, HELD_OUT_SEED))
  if (!hasChains) await writeRows(chainsPath, generateChains(defaultChains))
  if (!existsSync(modelFolder)) await writeInitialModel(modelFolder, initialModel())
  if (!existsSync(configPath)) await writeFileAtomically(configPath, (sink) => sink(Buffer.from(stringify(settings))))
  return { folder, configPath, baseModel: modelFolder, problemsPath, ...(await loadTrainConfig(configPath, given)) }
}

/** A tiny model whose tokens are the words of the chains, digits and single characters: a third fewer to read and to write. */
function initialModel(): InitialModel {
  // So many have every word.
  const chains = generateChains({ ...defaultChains, count: 4000 })
  const merges = mergesOf(chains.flatMap(({ question, solution }) => ['user\n', question, 'assistant\n', solution]))
  const configJson = { ...presets.tiny, ...byteLevelVocabulary(merges.length) }
  return { configJson, seed: 42, tokenizer: { files: byteLevelTokenizerFiles(merges) } }
}

/** Rows with the columns of LIMO's. */
async function writeRows(path: string, chains: readonly ArithmeticChain[]): Promise<void> {
  const lines = chains.map(({ question, solution, answer }) => `${JSON.stringify({ question, solution, answer })}\n`)
  await writeFileAtomically(path, (sink) => sink(Buffer.from(lines.join(''))))
}

/** A quickstart goes into a folder that is new, or that holds one, perhaps of a run that was killed while it wrote. */
async function checkFolder(folder: string, inputPaths: string[]): Promise<void> {
  const entries = await readdir(folder).catch(() => [] as string[])
  if (entries.every((name) => name === 'inputs') || inputPaths.some((path) => existsSync(path))) return
  throw new CheckpointError(
    'OUTPUT_EXISTS',
    `expected an empty folder for the quickstart but ${folder} holds other files. Choose another with --output_dir.`,
    { folder },
  )
}
