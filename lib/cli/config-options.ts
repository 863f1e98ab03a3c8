import type { Argv } from 'yargs'
import { type LoadedTrainConfig, loadTrainConfig } from '../config/train-config.js'
import { keys } from '../config/train-keys.js'
import { trainSections } from '../config/train-sections.js'
import { prepareQuickstart, type Quickstart } from '../quickstart/quickstart.js'
import { asInFile, pathOption, withKeys } from './key-options.js'

/** Options of every command that are not keys of the training config. */
const ownOptions = new Set(['_', '$0', 'config', 'debug', 'help', 'version', 'h'])

/** Declares the config file and every key of the training config as an option, for `--help`. */
export function withTrainOptions(yargs: Argv): Argv<{ config: string | undefined }> {
  const declared = yargs.positional('config', { ...pathOption, describe: 'YAML or JSON file with LLaMA-Factory’s key names' })
  const sections = new Map(trainSections.flatMap(({ title, names }) => names.map((name): [string, string] => [name, title])))
  const group = (name: string) => `${sections.get(name)} (keys of the config file too):`
  return withKeys(declared, keys, { spelling: asInFile, group, asTyped: true }) as Argv<{ config: string | undefined }>
}

/** What was given on the command line for the config: every option that is not the command's own, the last of each. */
export function configOverrides(args: Record<string, unknown>, own: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args)
      .filter(([key, value]) => value !== undefined && !ownOptions.has(key) && !own.includes(key))
      .map(([key, value]) => [key.replaceAll('-', '_'), Array.isArray(value) ? value.at(-1) : value]),
  )
}

/**
 * The config of a command: its file and its options, or the embedded default when neither names a model or data. `own` are
 * the options of the command that are not keys of the config. `quickstartFolder`: where the inputs of the default are put, unless they are
 * asked for elsewhere.
 */
export async function loadCommandConfig(
  args: { config: string | undefined },
  own: readonly string[] = [],
  quickstartFolder?: string,
): Promise<LoadedTrainConfig & { quickstart?: Quickstart }> {
  const overrides = configOverrides(args, own)
  const embedded = args.config === undefined && overrides.model_name_or_path === undefined && overrides.dataset === undefined
  if (!embedded) return loadTrainConfig(args.config, overrides)
  const quickstart = await prepareQuickstart({ ...(quickstartFolder && { output_dir: quickstartFolder }), ...overrides })
  return { ...quickstart, quickstart }
}
