import { ConfigError } from '../errors.js'
import type { ConfigKey } from './config-key.js'
import { isJsonObject } from './json-object.js'
import { nearestName } from './nearest-name.js'
import { invalidValue } from './read-keys.js'
import { settingOf } from './settings.js'
import { keys } from './train-keys.js'
import type { TrainConfig } from './train-settings.js'

const keyOfSetting = new Map(
  Object.entries<ConfigKey>(keys).flatMap(([name, key]) => {
    const setting = settingOf(name, key)
    return setting === undefined ? [] : [[setting, key] as const]
  }),
)
/** Settings that are not what their key reads. */
const resolved: Record<string, { expected: string; isRight: (value: unknown) => boolean }> = {
  minLrRate: {
    expected: 'a number from 0 to 1',
    isRight: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  },
  freeze: {
    expected: 'an object with layers, modules and extraModules',
    isRight: (value) =>
      isJsonObject(value) && Number.isInteger(value.layers) && Array.isArray(value.modules) && Array.isArray(value.extraModules),
  },
}

/**
 * Checks settings that a program may have changed: `{ ...config, learningRate: 1e-4 }` is a usual way to vary a run.
 * Throws a ConfigError: CONFIG_INVALID_VALUE, CONFIG_UNKNOWN_KEY.
 */
export function checkSettings(config: TrainConfig): void {
  if (!isJsonObject(config)) {
    const message = 'expected the config of a run but received none: loadTrainConfig and parseTrainConfig give one'
    throw new ConfigError('CONFIG_INVALID_VALUE', message)
  }
  for (const setting of Object.keys(config)) if (!keyOfSetting.has(setting)) throw unknownSetting(setting)
  for (const [setting, key] of keyOfSetting) {
    const value = config[setting as keyof TrainConfig]
    const { expected, isRight } = resolved[setting] ?? { expected: key.expected, isRight: (given) => isAsRead(key, given) }
    const mayBeAbsent = key.default === undefined && !always.has(setting)
    if (value === undefined ? !mayBeAbsent : !isRight(value)) throw invalidValue(setting, expected, value, '')
  }
}

/** Settings whose keys have no default and which have one all the same. */
const always = new Set([
  ...['perDeviceTrainBatchSize', 'gradientAccumulationSteps', 'minLrRate', 'dataSeed', 'evalStrategy', 'evalSteps'],
])

/** Read settings are read as themselves. */
function isAsRead(key: ConfigKey, value: unknown): boolean {
  return JSON.stringify(key.read(value)) === JSON.stringify(value)
}

function unknownSetting(setting: string): ConfigError {
  const asKey = setting.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  const nearest = keyOfSetting.has(asKey) ? asKey : nearestName(setting, [...keyOfSetting.keys()])
  const remedy = nearest === undefined ? '' : `: did you mean ${nearest}?`
  const details = { key: setting, ...(nearest !== undefined && { nearest }) }
  return new ConfigError('CONFIG_UNKNOWN_KEY', `unknown setting ${setting}${remedy}`, details)
}
