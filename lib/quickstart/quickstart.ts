import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { type LoadedTrainConfig, loadTrainConfig } from '../config/train-config.js'
import { CheckpointError } from '../errors.js'
import { byteLevelTokenizerFiles } from '../model/byte-tokenizer.js'
import { writeInitialModel } from '../model/initialize.js'
import { presets } from '../model/presets.js'
import { defaultChains, generateChains } from './chains.js'

/** Where the embedded default goes unless told otherwise. */
export const quickstartFolder = 'limo-quickstart'

/**
 * The settings that teach the tiny model to add and subtract, found by trial: the decay of 1.0, the small RoPE base of the
 * model and the learning rate matter most.
 */
const recipe = {
  default_system: '',
  cutoff_len: 2048,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 1,
  learning_rate: 1.5e-3,
  lr_scheduler_type: 'cosine_with_min_lr',
  lr_scheduler_kwargs: { min_lr_rate: 0.1 },
  warmup_ratio: 0.05,
  num_train_epochs: 25,
  weight_decay: 1.0,
  adam_beta2: 0.98,
  logging_steps: 25,
  save_strategy: 'no',
  overwrite_output_dir: true,
}

export interface Quickstart extends LoadedTrainConfig {
  folder: string
  /** The YAML file to run again or to change. */
  configPath: string
}

/**
 * Writes everything that a first training run needs into `<folder>/inputs`: chains about arithmetic, a tiny model with
 * random weights and its tokenizer, and the config. The run's output goes to the folder itself. `overrides` are keys of the
 * config, as from a command line.
 *
 * @throws CheckpointError OUTPUT_EXISTS when the folder holds something else, WRITE_FAILED
 */
export async function prepareQuickstart(overrides: Record<string, unknown>): Promise<Quickstart> {
  const folder = String(overrides.output_dir ?? quickstartFolder)
  const inputs = join(folder, 'inputs')
  const configPath = join(inputs, 'train.yaml')
  const entries = await readdir(folder).catch(() => [] as string[])
  if (entries.length > 0 && !existsSync(configPath)) {
    throw new CheckpointError(
      'OUTPUT_EXISTS',
      `expected an empty folder for the quickstart but ${folder} holds other files. Choose another with --output_dir.`,
      {
        folder,
      },
    )
  }
  await makeFolder(inputs)
  const chainsPath = join(inputs, 'chains.jsonl')
  const modelFolder = join(inputs, 'base-model')
  const rows = generateChains(defaultChains).map((chain) => `${JSON.stringify(chain)}\n`)
  await writeFileAtomically(chainsPath, (sink) => sink(Buffer.from(rows.join(''))))
  await writeInitialModel(modelFolder, { configJson: presets.tiny!, seed: 42, tokenizer: { files: byteLevelTokenizerFiles() } })
  const config = { model_name_or_path: modelFolder, dataset: chainsPath, output_dir: folder, ...recipe }
  await writeFileAtomically(configPath, (sink) => sink(Buffer.from(stringify(config))))
  return { folder, configPath, ...(await loadTrainConfig(configPath, overrides)) }
}
