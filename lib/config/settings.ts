import type { ConfigKey, ConfigKeys, WrongPart } from './config-key.js'

type ValueOf<K extends ConfigKey> = Exclude<ReturnType<K['read']>, undefined | WrongPart>

/** The values of a table's keys once read. */
export type ValuesOf<Keys extends ConfigKeys> = {
  [N in keyof Keys]: ValueOf<Keys[N]> | (Keys[N]['default'] extends undefined ? undefined : never)
}

/** What a program may give for a key: its value, or text as a config file or a command line has it. */
type Input<Value> = Value extends boolean
  ? Value
  : Value extends number
    ? Value | `${number}${string}`
    : Value extends string
      ? string extends Value
        ? string | readonly string[]
        : Value
      : Value extends readonly unknown[]
        ? Value | string
        : object | string

/** Values of a table's keys as a program gives them; null and undefined leave a key out. */
export type InputOf<Keys extends ConfigKeys> = { readonly [N in keyof Keys]?: Input<ValueOf<Keys[N]>> | null | undefined }

/** The same of a table with sections, whose keys stand as `pool.similarity` or within `pool`. */
export type SectionedInputOf<Keys extends ConfigKeys> = InputOf<Keys> & {
  readonly [Name in keyof Keys as Name extends `${infer Section}.${string}`
    ? Section
    : never]?: Name extends `${infer Section}.${string}` ? InputOf<SectionOf<Keys, Section>> | null | undefined : never
}

/** `weight_decay` as code has it: `weightDecay`. */
type CamelCase<Name> = Name extends `${infer Head}_${infer Rest}` ? `${Head}${Capitalize<CamelCase<Rest>>}` : Name

type NameOf<Key extends ConfigKey, Name> = Key extends { setting: false }
  ? never
  : Key extends { setting: infer Setting extends string }
    ? Setting
    : CamelCase<Name>

/** The settings of a table of keys, by their names in code; those without a default may be absent, and are never undefined. */
export type SettingsOf<Keys extends ConfigKeys> = Flat<
  { -readonly [N in keyof Keys as Keys[N]['default'] extends undefined ? never : NameOf<Keys[N], N>]: ValueOf<Keys[N]> } & {
    -readonly [N in keyof Keys as Keys[N]['default'] extends undefined ? NameOf<Keys[N], N> : never]?: ValueOf<Keys[N]>
  }
>
type Flat<T> = { [N in keyof T]: T[N] }

/** The keys of one section, `pool.similarity` as `similarity`. */
type SectionOf<Keys extends ConfigKeys, Section extends string> = {
  [N in keyof Keys as N extends `${Section}.${infer Inner}` ? Inner : never]: Keys[N]
}

/** The name of a key's setting in code, undefined where it has none. */
export function settingOf(name: string, { setting }: ConfigKey): string | undefined {
  if (setting === false) return undefined
  return setting ?? name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** Values as settings. */
export function settingsOf<Keys extends ConfigKeys>(keys: Keys, values: ValuesOf<Keys>): SettingsOf<Keys> {
  const settings: Record<string, unknown> = {}
  for (const [name, key] of Object.entries(keys)) {
    const setting = settingOf(name, key)
    if (setting !== undefined && values[name] !== undefined) settings[setting] = values[name]
  }
  return settings as SettingsOf<Keys>
}

/** Values of the keys of one section as settings. */
export function sectionSettings<Keys extends ConfigKeys, const Section extends string>(
  keys: Keys,
  values: ValuesOf<Keys>,
  section: Section,
): SettingsOf<SectionOf<Keys, Section>> {
  const inner = (table: object) =>
    Object.fromEntries(
      Object.entries(table)
        .filter(([name]) => name.startsWith(`${section}.`))
        .map(([name, entry]) => [name.slice(section.length + 1), entry]),
    )
  return settingsOf(inner(keys), inner(values)) as SettingsOf<SectionOf<Keys, Section>>
}

/** A table whose defaults are decided elsewhere. */
export function withoutDefaults<Keys extends ConfigKeys>(
  keys: Keys,
): { [N in keyof Keys]: Omit<Keys[N], 'default'> & { default: undefined } } {
  const rows = Object.entries(keys).map(([name, key]) => [name, { ...key, default: undefined }])
  return Object.fromEntries(rows)
}
