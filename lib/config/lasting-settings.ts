import { keys, type TrainKeyName } from './train-keys.js'
import type { TrainConfig } from './train-settings.js'

/** Keys that are resolved to a setting of another name. */
const resolved: Partial<Record<TrainKeyName, keyof TrainConfig>> = { lr_scheduler_kwargs: 'minLrRate' }

const lastingKeys = (Object.keys(keys) as TrainKeyName[]).filter((key) => keys[key].mayChange !== true)

/** `weight_decay` as code has it: `weightDecay`. */
function settingOf(key: TrainKeyName): keyof TrainConfig {
  return resolved[key] ?? (key.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof TrainConfig)
}

/** The settings that decide the numbers of a run, which a resumed run must share: those of every key that does not say otherwise. */
export function lastingSettings(config: TrainConfig): Record<string, unknown> {
  return Object.fromEntries(lastingKeys.map((key) => [settingOf(key), config[settingOf(key)] ?? null]))
}

/** The values that a checkpoint means which does not name a setting, as one of a release that did not have it. */
export const lastingDefaults: Readonly<Record<string, unknown>> = Object.fromEntries(
  lastingKeys.map((key) => [settingOf(key), keys[key].default ?? null]),
)
