import { type ConfigKeys, custom, integer, number, whole } from '../config/config-key.js'
import { readKeys, writtenAt } from '../config/read-keys.js'
import { type SettingsOf, settingOf, settingsOf } from '../config/settings.js'
import { ConfigError } from '../errors.js'
import { Random } from '../random/random.js'

/** The keys of sampling. The same seed gives the same answer to a prompt, whatever else is being generated. */
export const samplingKeys = {
  temperature: number({ min: 0 }, 0, '0: always the most probable token'),
  top_k: whole({}, 0, 'choose among so many of the most probable tokens; 0: all'),
  top_p: number({ above: 0, max: 1 }, 1, 'choose among the most probable tokens with so much probability together'),
  min_p: number({ min: 0, max: 1 }, 0, 'leave out tokens below this share of the most probable one’s'),
  repetition_penalty: number({ above: 0 }, 1, 'makes tokens that are there already less probable; 1: no'),
  max_new_tokens: whole({ min: 1 }, 1024, 'most tokens of an answer [1024; of eval the preset’s]'),
  stop: custom(
    'a list of texts, none of them empty',
    readTexts,
    [] as string[],
    'text that ends an answer; can be given several times',
    'list',
  ),
  seed: integer({}, 42, 'the same seed gives the same answers [42]'),
} as const satisfies ConfigKeys

/** Sampling options and stop conditions; `samplingKeys` has the meaning of each. */
export type SamplingOptions = SettingsOf<typeof samplingKeys>

function readTexts(value: unknown): string[] | undefined {
  const texts = typeof value === 'string' ? [value] : value
  return Array.isArray(texts) && texts.every((text) => typeof text === 'string' && text !== '') ? texts : undefined
}

/** The rows by the names of their settings in code. */
const samplingSettings = Object.fromEntries(Object.entries(samplingKeys).map(([name, key]) => [settingOf(name, key), key]))

export const defaultSampling: SamplingOptions = settingsOf(samplingKeys, readKeys(samplingKeys, new Map()).values)

/**
 * Resolves sampling options: given ones, then the model's, then defaults. Throws a ConfigError CONFIG_INVALID_VALUE naming the
 * option.
 */
export function samplingOf(given: Partial<SamplingOptions>, recommended: Partial<SamplingOptions> = {}): SamplingOptions {
  const options = { ...withoutUndefined(recommended), ...withoutUndefined(given) }
  const onOther = (key: string) => {
    const message = `expected one of ${Object.keys(samplingSettings).join(', ')} for ${key} but received ${key}`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { key })
  }
  return readKeys(samplingSettings, writtenAt(options, ''), { onOther }).values as unknown as SamplingOptions
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
}

/**
 * A number in [0, 1) for the choice of token `index` of answer `sample`, with 24 bits, which a float32 holds. It depends on these
 * alone, so an answer does not change with what is generated beside it.
 */
export function uniformAt(seed: number, sample: number, index: number): number {
  return (new Random(seed, sample, index).uint32() >>> 8) / 2 ** 24
}
