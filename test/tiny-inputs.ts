import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { byteLevelTokenizerFiles } from '../lib/model/byte-tokenizer.js'
import { writeInitialModel } from '../lib/model/initialize.js'
import { type ConfigJson, presets } from '../lib/model/presets.js'
import { generateChains } from '../lib/quickstart/chains.js'

/** A model that trains hundreds of steps a second, for tests of everything around the numbers. */
export const microConfig: ConfigJson = {
  ...presets.tiny,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 32,
}

export interface TinyInputs {
  modelFolder: string
  dataset: string
}

/** Writes a model folder with random weights and a byte-level tokenizer, and a file of generated chains. */
export async function writeTinyInputs(
  folder: string,
  { configJson = microConfig, chains = 24 }: { configJson?: ConfigJson; chains?: number } = {},
): Promise<TinyInputs> {
  const inputs = { modelFolder: join(folder, 'model'), dataset: join(folder, 'chains.jsonl') }
  await writeInitialModel(inputs.modelFolder, { configJson, seed: 1, tokenizer: { files: byteLevelTokenizerFiles() } })
  const rows = generateChains({ count: chains, seed: 7 }).map(
    ({ question, solution, answer }) => `${JSON.stringify({ question, solution, answer })}\n`,
  )
  writeFileSync(inputs.dataset, rows.join(''))
  return inputs
}

/** The settings of a short run on these inputs, as keys of the config. */
export function tinySettings({ modelFolder, dataset }: TinyInputs, outputDir: string) {
  return {
    model_name_or_path: modelFolder,
    dataset,
    output_dir: outputDir,
    default_system: '',
    cutoff_len: 1024,
    per_device_train_batch_size: 4,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-3,
    num_train_epochs: 1,
    logging_steps: 1,
    save_strategy: 'no' as const,
    threads: 2,
  }
}
