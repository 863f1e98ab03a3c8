import type { ConfigKey } from './config-key.js'
import { settingOf } from './settings.js'
import { keys } from './train-keys.js'
import type { TrainConfig } from './train-settings.js'

/** The settings that a resumed run must share, with what a key holds when left out. */
const lasting = Object.entries<ConfigKey>(keys).flatMap(([name, key]) => {
  const setting = settingOf(name, key)
  return setting === undefined || key.mayChange === true ? [] : [{ setting, default: key.default ?? null }]
})

/** The settings that decide the numbers of a run, which a resumed run must share: those of every key that does not say otherwise. */
export function lastingSettings(config: TrainConfig): Record<string, unknown> {
  return Object.fromEntries(lasting.map(({ setting }) => [setting, config[setting as keyof TrainConfig] ?? null]))
}

/** The values that a checkpoint means which does not name a setting, as one of a release that did not have it. */
export const lastingDefaults: Readonly<Record<string, unknown>> = Object.fromEntries(
  lasting.map(({ setting, default: value }) => [setting, value]),
)
