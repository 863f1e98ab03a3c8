import type { Argv } from 'yargs'
import { type ConfigKeys, choice, flag, integer, path, text, whole } from '../config/config-key.js'
import { type SettingsOf, withoutDefaults } from '../config/settings.js'
import { TextGenerator } from '../generate/generator.js'
import { samplingKeys } from '../generate/sampling.js'
import { kebabCase, withKeys } from './key-options.js'

/** Options of commands that generate with a model. */
export const modelKeys = {
  model: path(undefined, 'Hugging Face model folder'),
  device: text('cpu', 'cpu, cuda or cuda:N'),
  threads: integer({ min: 1, below: 1025 }, undefined, 'threads of the CPU [all]'),
  dtype: choice(['f32', 'bf16'], undefined, 'what weights and the cache are held in, as the files have them unless given'),
  max_length: whole({ min: 2 }, undefined, 'most tokens of prompt and answer [what the model was made for]'),
  template: text(undefined, 'a chat template by its name [the model’s own]'),
  enable_thinking: flag(undefined, 'given to the chat template'),
} as const satisfies ConfigKeys

/** The keys of sampling without defaults: generation_config.json comes before those. */
export const samplingOptionKeys = withoutDefaults(samplingKeys)

/** Declares the options of a model, of how tokens are chosen, and a command's own. */
export function withGenerationOptions(yargs: Argv, own: ConfigKeys): Argv {
  const group = 'How tokens are chosen (before what generation_config.json says):'
  const declared = withKeys(yargs, samplingOptionKeys, { spelling: kebabCase, group })
  return withKeys(declared, { ...modelKeys, ...own }, { spelling: kebabCase })
}

/** The model of a command, with what was given of its options. */
export function loadGenerator(
  model: string,
  settings: SettingsOf<typeof modelKeys>,
  options: { maxSequences: number; signal: AbortSignal },
): Promise<TextGenerator> {
  const { device, threads, dtype, maxLength, template, enableThinking } = settings
  return TextGenerator.load(model, { device, threads, dtype, maxLength, template, enableThinking, ...options })
}
