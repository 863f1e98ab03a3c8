import { ConfigError } from '../errors.js'
import { readConfigFile, type Written } from './config-file.js'
import type { ConfigKey } from './config-key.js'
import { configNotes } from './config-notes.js'
import { foreignKey, foreignKeys } from './foreign-keys.js'
import { isJsonObject } from './json-object.js'
import { inBrackets, readKeys, unknownKey, withOverrides, writtenAt } from './read-keys.js'
import { showValue } from './show-value.js'
import { aliases, keys } from './train-keys.js'
import { type LoadedTrainConfig, resolveSettings, type TrainConfigInput } from './train-settings.js'

export type { LoadedTrainConfig, TrainConfig, TrainConfigInput } from './train-settings.js'

/** Every key with its type, default and description, in the order of `--help`. */
export const trainKeys: readonly {
  key: string
  type: string
  choices?: readonly string[]
  default: unknown
  description: string
}[] = Object.entries<ConfigKey>(keys).map(([key, { type, choices, default: value, description }]) => ({
  key,
  type,
  ...(choices && { choices }),
  default: value,
  description,
}))

/**
 * Reads settings by LLaMA-Factory's names; `place` (`train.yaml`, `command line`) is named in errors where it is given.
 *
 * Throws a ConfigError: `CONFIG_UNKNOWN_KEY` naming the nearest known key; `CONFIG_INVALID_VALUE` for a wrong value, and for
 * a key that asks for something that is not done here and would change the result.
 *
 * @example
 * const { config, notes } = parseTrainConfig({ model_name_or_path: 'Qwen2.5-0.5B', dataset: 'chains.jsonl', output_dir: 'out' })
 */
export function parseTrainConfig(values: TrainConfigInput, place = ''): LoadedTrainConfig {
  expectSettings(values, place)
  return parseWritten(withOverrides(writtenAt(values, place), {}, canonicalKey))
}

/**
 * Reads a YAML or JSON file (none where `path` is undefined), then the overrides of the command line, which win.
 *
 * Throws a ConfigError: `CONFIG_NOT_FOUND`, `CONFIG_MALFORMED`, and those of {@link parseTrainConfig}, with line numbers.
 */
export async function loadTrainConfig(path: string | undefined, overrides: TrainConfigInput = {}): Promise<LoadedTrainConfig> {
  expectSettings(overrides, 'overrides')
  const written: Written = path === undefined ? new Map() : await readConfigFile(path)
  return parseWritten(withOverrides(written, overrides, canonicalKey))
}

/** Callers in JavaScript have no types that would tell them. */
function expectSettings(values: unknown, place: string): void {
  if (isJsonObject(values)) return
  const message = `expected an object with keys of the config but received ${showValue(values)}${inBrackets(place)}`
  throw new ConfigError('CONFIG_INVALID_VALUE', message, { place, received: values })
}

/** The name of a key however it was spelled: `output-dir` is output_dir, `evaluation_strategy` is eval_strategy. */
export function canonicalKey(spelled: string): string {
  const key = spelled.replaceAll('-', '_')
  return Object.hasOwn(aliases, key) ? aliases[key]! : key
}

function parseWritten(written: Written): LoadedTrainConfig {
  const ignored: string[] = []
  const onOther = (key: string, value: unknown, place: string) => {
    checkForeign(key, value, place)
    ignored.push(key)
  }
  const { values, given } = readKeys(keys, written, { onOther })
  const config = resolveSettings(values, given, (key) => written.get(key)?.place ?? 'defaults')
  return { config, notes: configNotes(config, given, ignored), given }
}

function checkForeign(key: string, value: unknown, place: string): void {
  const verdict = foreignKey(key, value)
  if (verdict === 'refused') {
    const message = `${key} ${showValue(value)} is not supported and would change the result${inBrackets(place)}: remove it`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { key, place, received: value })
  }
  if (verdict === 'unknown') throw unknownKey(key, place, [...Object.keys(keys), ...Object.keys(aliases), ...foreignKeys])
}
