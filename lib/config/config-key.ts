import { homedir } from 'node:os'

/*
 * A table of keys, one row each, is all there is to say of what a command can be told: its config file, its options, its help, the checks
 * and the settings that code reads come from it.
 */

/** One key: what it takes, what it is when left out, and what it does. */
export interface ConfigKey<T = unknown, D = unknown> {
  /** `list`: an option that may be given several times; of others the last counts. */
  type: 'string' | 'number' | 'integer' | 'boolean' | 'choice' | 'list' | 'object'
  /** The condition on a value, as error messages say it. */
  expected: string
  choices?: readonly string[]
  /** From YAML, JSON or the command line (where every value may be a string) to the value used; undefined for what is none. */
  read: (value: unknown) => T | undefined | WrongPart
  default: D
  description: string
  /**
   * A resumed run may have another value: it changes no number of the run, or what it changes is compared in another way (the model, the
   * examples, the number of steps). Every other key must be as it was.
   */
  mayChange?: true
  /** Its name in code where that is not the key's in camelCase; false where code has no such setting. */
  setting?: string | false
  /** Its name on the command line where that is not the key. */
  option?: string
}

export type ConfigKeys = Readonly<Record<string, ConfigKey>>

/** A part of a value that is not as it must be, for a message about that part. */
export class WrongPart {
  constructor(
    readonly expected: string,
    readonly received: unknown,
  ) {}
}

interface Range {
  min?: number
  above?: number
  below?: number
  max?: number
  /** A number outside of the range that is allowed as well, with its own meaning. */
  or?: number
}

/** Python and YAML 1.1 spellings that YAML 1.2 leaves as strings, and those of a command line. */
const booleanWords: Record<string, boolean> = { true: true, yes: true, on: true, false: false, no: false, off: false }

export function toBoolean(value: unknown): unknown {
  return typeof value === 'string' ? (booleanWords[value.trim().toLowerCase()] ?? value) : value
}

export function toNumber(value: unknown): unknown {
  return typeof value === 'string' && /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value) ? Number(value) : value
}

/** A list, or text with commas. */
export function toList(value: unknown): unknown {
  return typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value
}

export function text<D>(
  defaultValue: D,
  description: string,
  { mayBeEmpty = false, expected }: { mayBeEmpty?: boolean; expected?: string } = {},
): ConfigKey<string, D> {
  const read = (value: unknown) => {
    // The command line may have turned a path such as 2024 into a number.
    const string = typeof value === 'number' ? String(value) : value
    return typeof string === 'string' && (mayBeEmpty || string.trim() !== '') ? string : undefined
  }
  const expectedText = expected ?? (mayBeEmpty ? 'a string' : 'a string that is not empty')
  return { type: 'string', expected: expectedText, read, default: defaultValue, description }
}

/** `~` as the home folder: no shell has seen a path in a file. A shell's variables are refused rather than taken for names. */
export function expandHome(path: string): string | WrongPart {
  if (/^\$(?:\{\w+\}|[A-Za-z_]\w*)(?:\/|$)/.test(path)) return new WrongPart("a path without a shell's variables", path)
  return path === '~' || path.startsWith('~/') ? `${homedir()}${path.slice(1)}` : path
}

/** The path of a file or a folder. */
export function path<D>(defaultValue: D, description: string, options: { expected?: string } = {}): ConfigKey<string, D> {
  const key = text(defaultValue, description, options)
  const read = (value: unknown) => {
    const found = key.read(value)
    return typeof found === 'string' ? expandHome(found) : found
  }
  return { ...key, read }
}

export function flag<D>(defaultValue: D, description: string): ConfigKey<boolean, D> {
  const read = (value: unknown) => {
    const boolean = toBoolean(value)
    return typeof boolean === 'boolean' ? boolean : undefined
  }
  return { type: 'boolean', expected: 'true or false', read, default: defaultValue, description }
}

function inRange(value: number, { min = -Infinity, above = -Infinity, below = Infinity, max = Infinity, or }: Range): boolean {
  return Number.isFinite(value) && (value === or || (value >= min && value > above && value < below && value <= max))
}

function rangeWords({ min, above, below, max, or }: Range): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`
  const bounds = [
    min === undefined ? '' : `of at least ${min}`,
    above === undefined ? '' : `above ${above}`,
    below === undefined ? '' : `below ${below}`,
    max === undefined ? '' : `at most ${max}`,
  ].filter((bound) => bound !== '')
  return `${bounds.length > 0 ? ` ${bounds.join(' and ')}` : ''}${or === undefined ? '' : `, or ${or}`}`
}

export function number<D>(range: Range, defaultValue: D, description: string): ConfigKey<number, D> {
  const read = (value: unknown) => {
    const found = toNumber(value)
    return typeof found === 'number' && inRange(found, range) ? found : undefined
  }
  return { type: 'number', expected: `a number${rangeWords(range)}`, read, default: defaultValue, description }
}

export function integer<D>(range: Range, defaultValue: D, description: string): ConfigKey<number, D> {
  const { read } = number(range, defaultValue, description)
  const readInteger = (value: unknown) => {
    const found = read(value)
    return Number.isSafeInteger(found) ? found : undefined
  }
  return { type: 'integer', expected: `an integer${rangeWords(range)}`, read: readInteger, default: defaultValue, description }
}

/** 0, 1, 2, … */
export function whole<D>(range: Range, defaultValue: D, description: string): ConfigKey<number, D> {
  const expected = `a whole number${rangeWords(range)}`
  return { ...integer({ min: 0, ...range }, defaultValue, description), expected }
}

export function choice<const C extends string, D>(
  choices: readonly C[],
  defaultValue: D,
  description: string,
): ConfigKey<C, D> & { choices: readonly string[] } {
  const read = (value: unknown) => {
    // YAML 1.1 and JSON users write false for the choice "no".
    const word = value === false ? 'no' : value
    return choices.find((candidate) => candidate === word)
  }
  return { type: 'choice', expected: choices.join(' or '), choices, read, default: defaultValue, description }
}

/** Several of some words: a list, or text with commas. */
export function choices<const C extends string, D>(words: readonly C[], defaultValue: D, description: string): ConfigKey<C[], D> {
  const read = (value: unknown) => {
    const list = toList(value)
    return Array.isArray(list) && list.every((word) => words.includes(word)) ? (list as C[]) : undefined
  }
  const expected = `a list of ${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
  return { type: 'string', expected, read, default: defaultValue, description }
}

export function paths<D>(defaultValue: D, description: string): ConfigKey<string[], D> {
  const read = (value: unknown) => {
    const list = toList(value)
    if (!Array.isArray(list) || !list.every((path) => typeof path === 'string' && path !== '')) return undefined
    const expanded = (list as string[]).map(expandHome)
    return expanded.find((path) => path instanceof WrongPart) ?? (expanded as string[])
  }
  return { type: 'string', expected: 'a path or a list of them', read, default: defaultValue, description }
}

export function custom<T, D>(
  expected: string,
  read: ConfigKey<T>['read'],
  defaultValue: D,
  description: string,
  type: ConfigKey['type'] = 'string',
): ConfigKey<T, D> {
  return { type, expected, read, default: defaultValue, description }
}

export function mayChange<K extends ConfigKey>(key: K): K & { mayChange: true } {
  return { ...key, mayChange: true }
}

/** A key that has one value, or only decides other settings. */
export function withoutSetting<K extends ConfigKey>(key: K): K & { setting: false } {
  return { ...key, setting: false }
}

/** A key whose setting has a name of its own. */
export function withSetting<K extends ConfigKey, const Setting extends string>(
  setting: Setting,
  key: K,
): K & { setting: Setting } {
  return { ...key, setting }
}

export function withOption<K extends ConfigKey>(option: string, key: K): K & { option: string } {
  return { ...key, option }
}
