import type { Argv } from 'yargs'
import { type ConfigKey, type ConfigKeys, expandHome, WrongPart } from '../config/config-key.js'
import { invalidValue, readKeys, writtenAt } from '../config/read-keys.js'
import { type SettingsOf, settingsOf } from '../config/settings.js'

/*
 * Tables of keys as options of the command line.
 */

/** The name of a key as an option. */
type Spelling = (name: string, key: ConfigKey) => string

/** `max_length` is --max-length: keys of commands that read no config file. */
export const kebabCase: Spelling = (name) => name.replaceAll('_', '-')

/** As in the config file, but for keys with an option of their own. */
export const asInFile: Spelling = (name, { option }) => option ?? name

interface KeyOptions {
  spelling: Spelling
  /** The title under which the help has an option. */
  group?: string | ((name: string) => string)
  /** Values as they were typed: a folder named 1e3 is not 1000. (And yargs counts: after `--x 4`, `--x 1` would be 5.) */
  asTyped?: boolean
}

/** An option or a word that is a path, of none of the tables: `~` is the home folder, where a shell left it as `'~/x'` or `--html=~/x`. */
export const pathOption = {
  type: 'string',
  coerce: (given: string | string[] | undefined) => (Array.isArray(given) ? given.map(typedPath) : given && typedPath(given)),
} as const

function typedPath(path: string): string {
  const expanded = expandHome(path)
  if (expanded instanceof WrongPart) throw invalidValue('a path', expanded.expected, expanded.received, 'command line')
  return expanded
}

/** The type that yargs gives a value before the key reads it. */
function yargsType({ type }: ConfigKey): 'number' | 'boolean' | 'string' {
  if (type === 'boolean') return type
  return type === 'number' || type === 'integer' ? 'number' : 'string'
}

/** Declares every key of a table as an option, for `--help`. */
export function withKeys(yargs: Argv, keys: ConfigKeys, { spelling, group, asTyped = false }: KeyOptions): Argv {
  let declared = yargs
  for (const [name, key] of Object.entries(keys)) {
    const { type, choices, description, default: value } = key
    const hasDefault = value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0)
    const typed = type !== 'boolean' && type !== 'object' ? { string: true } : {}
    declared = declared.option(spelling(name, key), {
      describe: choices ? `${description} [${choices.join(', ')}]` : description,
      ...(group !== undefined && { group: typeof group === 'string' ? group : group(name) }),
      ...(hasDefault && { defaultDescription: String(value) }),
      ...(asTyped ? typed : { type: yargsType(key) }),
    })
  }
  return declared
}

/** The values that were given of a table's keys: the last of an option given twice, and all of a list's. */
export function givenValues(keys: ConfigKeys, args: object, spelling: Spelling): Record<string, unknown> {
  const values = Object.entries(keys).map(([name, key]) => {
    const value = (args as Record<string, unknown>)[spelling(name, key)]
    return [name, Array.isArray(value) && key.type !== 'list' ? value.at(-1) : value]
  })
  return Object.fromEntries(values.filter(([, value]) => value !== undefined))
}

/** The settings of a command that reads no config file. Throws a ConfigError CONFIG_INVALID_VALUE naming the option. */
export function readOptions<Keys extends ConfigKeys>(keys: Keys, args: object): SettingsOf<Keys> {
  const written = writtenAt(givenValues(keys, args, kebabCase), 'command line')
  const shown = (name: string) => `--${kebabCase(name, keys[name]!)}`
  return settingsOf(keys, readKeys(keys, written, { shown }).values)
}
