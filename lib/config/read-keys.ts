import { ConfigError } from '../errors.js'
import type { Written } from './config-file.js'
import { type ConfigKeys, WrongPart } from './config-key.js'
import { isJsonObject } from './json-object.js'
import { nearestName } from './nearest-name.js'
import type { ValuesOf } from './settings.js'
import { showValue } from './show-value.js'

export interface ReadKeysOptions {
  /** Told of a key that the table does not have, which it lets pass or throws an error for; unknown when absent. */
  onOther?: (key: string, value: unknown, place: string) => void
  /** A key as messages name it: `--top-p`. */
  shown?: (key: string) => string
}

export interface KeyValues<Keys extends ConfigKeys> {
  values: ValuesOf<Keys>
  /** The keys that were set. */
  given: Set<string>
}

/**
 * The values of a table's keys, checked, over their defaults. Throws a ConfigError: `CONFIG_UNKNOWN_KEY` naming a known key that is near,
 * `CONFIG_INVALID_VALUE`.
 */
export function readKeys<Keys extends ConfigKeys>(
  keys: Keys,
  written: Written,
  { onOther, shown = (key) => key }: ReadKeysOptions = {},
): KeyValues<Keys> {
  const values: Record<string, unknown> = Object.fromEntries(Object.entries(keys).map(([key, row]) => [key, row.default]))
  const given = new Set<string>()
  for (const [key, { value, place }] of written) {
    if (!Object.hasOwn(keys, key)) {
      if (onOther === undefined) throw unknownKey(key, place, [...Object.keys(keys), ...sectionsOf(keys)])
      onOther(key, value, place)
    } else if (value !== null && value !== undefined) {
      const read = keys[key]!.read(value)
      if (read === undefined) throw invalidValue(shown(key), keys[key]!.expected, value, place)
      if (read instanceof WrongPart) throw invalidValue(shown(key), read.expected, read.received, place)
      values[key] = read
      given.add(key)
    }
  }
  return { values: values as ValuesOf<Keys>, given }
}

/** Values as if a file had them, all at one place. */
export function writtenAt(values: Record<string, unknown>, place: string): Written {
  return new Map(Object.entries(values).map(([key, value]) => [key, { value, place }]))
}

/** A file's values with those of the command line over them, where undefined is nothing; by the names that `canonical` gives keys. */
export function withOverrides(
  written: Written,
  overrides: Record<string, unknown>,
  canonical: (key: string) => string = (key) => key,
): Written {
  const spelled = new Map<string, string>()
  for (const [key, { place }] of written) {
    const other = spelled.get(canonical(key))
    if (other !== undefined) {
      const message = `expected ${canonical(key)} once but received it as ${other} and as ${key}${inBrackets(place)}: remove one`
      throw new ConfigError('CONFIG_INVALID_VALUE', message, { key: canonical(key), place })
    }
    spelled.set(canonical(key), key)
  }
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined)
  return new Map(
    [...written, ...writtenAt(Object.fromEntries(given), 'command line')].map(([key, entry]) => [canonical(key), entry]),
  )
}

/** `pool: {similarity: 0.8}` as `pool.similarity`, for the sections that the keys' names have; those that are there go into `found`. */
export function flattenSections(keys: ConfigKeys, written: Written, found?: Set<string>): Written {
  const sections = sectionsOf(keys)
  const flat: Written = new Map()
  for (const [key, { value, place }] of written) {
    const section = key.split('.', 1)[0]!
    if (sections.includes(section)) found?.add(section)
    if (!sections.includes(key)) flat.set(key, { value, place })
    else if (isJsonObject(value)) {
      for (const [inner, innerValue] of Object.entries(value)) flat.set(`${key}.${inner}`, { value: innerValue, place })
    } else if (value !== null && value !== undefined) throw invalidValue(key, 'keys of its own', value, place)
  }
  return flat
}

export function sectionsOf(keys: ConfigKeys): string[] {
  const sections = Object.keys(keys).flatMap((key) => (key.includes('.') ? [key.split('.', 1)[0]!] : []))
  return [...new Set(sections)]
}

export function unknownKey(key: string, place: string, names: readonly string[]): ConfigError {
  const nearest = nearestName(key, names)
  const remedy = nearest === undefined ? '. The help of the command lists the keys.' : `: did you mean ${nearest}?`
  return new ConfigError('CONFIG_UNKNOWN_KEY', `unknown key ${key}${inBrackets(place)}${remedy}`, { key, place, nearest })
}

/** A place behind a message; it is empty where a program gave the value. */
export function inBrackets(place: string): string {
  return place === '' ? '' : ` (${place})`
}

export function invalidValue(key: string, expected: string, received: unknown, place: string): ConfigError {
  const message = `expected ${expected} for ${key} but received ${showValue(received)}${inBrackets(place)}`
  return new ConfigError('CONFIG_INVALID_VALUE', message, { key, place, expected, received })
}

/** For a key without which a command has nothing to do. */
export function missingKey(key: string, example: string): ConfigError {
  const message = `expected ${key} but it is not set. Add \`${key}: ${example}\` to the config or --${key} ${example}.`
  return new ConfigError('CONFIG_INVALID_VALUE', message, { key })
}
