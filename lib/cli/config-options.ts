import type { Argv } from 'yargs'
import { trainKeys } from '../config/train-config.js'

/** Options of every command that are not keys of the training config. */
const ownOptions = new Set(['_', '$0', 'config', 'debug', 'help', 'version', 'h'])

/** Declares the config file and every key of the training config as an option, for `--help`. */
export function withTrainOptions(yargs: Argv): Argv<{ config: string | undefined }> {
  let declared = yargs.positional('config', { type: 'string', describe: 'YAML or JSON file with LLaMA-Factory’s key names' })
  for (const { key, description, default: value, choices } of trainKeys) {
    const defaultText = value === undefined || value === '' ? undefined : String(value)
    declared = declared.option(key, {
      describe: choices ? `${description} [${choices.join(', ')}]` : description,
      group: 'Settings (each can be in the config file):',
      ...(defaultText !== undefined && { defaultDescription: defaultText }),
    })
  }
  return declared as Argv<{ config: string | undefined }>
}

/** What was given on the command line for the config: every option that is not the command's own, the last of each. */
export function configOverrides(args: Record<string, unknown>, own: readonly string[] = []): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(args)
      .filter(([key, value]) => value !== undefined && !ownOptions.has(key) && !own.includes(key))
      .map(([key, value]) => [key, Array.isArray(value) ? value.at(-1) : value]),
  )
}
