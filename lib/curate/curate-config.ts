import { readConfigFile, type Written } from '../config/config-file.js'
import { flattenSections, missingKey, readKeys, withOverrides, writtenAt } from '../config/read-keys.js'
import { type SectionedInputOf, sectionSettings } from '../config/settings.js'
import { type CurateInput, curateKeys } from './curate-keys.js'
import type { DecontaminationOptions } from './decontamination-stage.js'
import type { DifficultyOptions } from './difficulty-stage.js'
import type { PoolOptions } from './pool-stage.js'
import type { QualityStageOptions } from './quality-stage.js'
import type { SelectionOptions } from './selection-stage.js'
import { type StageName, stageNames } from './stage.js'

/** Keys of a curation's config with their values, as a program writes them; a section's keys also as `pool.similarity`. */
export type CurateConfigInput = SectionedInputOf<typeof curateKeys>

/** The settings of a curation with every default resolved. */
export interface CurateConfig {
  input: CurateInput[]
  outputDir: string
  seed: number
  /** In their order. */
  stages: StageName[]
  /** Whether the first malformed row ends the run. */
  strict: boolean
  pool: PoolOptions
  difficulty: DifficultyOptions & { attemptsFiles: string[] }
  decontamination: DecontaminationOptions & { against: string[] }
  quality: QualityStageOptions
  selection: SelectionOptions
}

/**
 * Reads a YAML or JSON file (none where `path` is undefined), then overrides, which win: keys at the top, or `section.key`.
 *
 * Throws a ConfigError: `CONFIG_NOT_FOUND`, `CONFIG_MALFORMED`, `CONFIG_UNKNOWN_KEY` naming the nearest known key, and
 * `CONFIG_INVALID_VALUE`.
 */
export async function loadCurateConfig(path: string | undefined, overrides: CurateConfigInput = {}): Promise<CurateConfig> {
  return parseWritten(path === undefined ? new Map() : await readConfigFile(path), overrides)
}

/**
 * The same from an object, for programs.
 *
 * @example
 * const config = parseCurateConfig({ input: 'pool.jsonl', output_dir: 'curated', selection: { count: 800 } })
 */
export function parseCurateConfig(values: CurateConfigInput, place = ''): CurateConfig {
  return parseWritten(writtenAt(values, place), {})
}

function parseWritten(file: Written, overrides: Record<string, unknown>): CurateConfig {
  const sections = new Set<string>()
  const flat = withOverrides(flattenSections(curateKeys, file, sections), overrides)
  const { values } = readKeys(curateKeys, flattenSections(curateKeys, flat, sections))
  const section = <const S extends string>(name: S) => sectionSettings(curateKeys, values, name)
  const decontamination = section('decontamination')
  // Difficulty and decontamination need to be told what to go by.
  const stages =
    values.stages ?? stageNames.filter((name) => ['pool', 'quality', 'selection'].includes(name) || sections.has(name))
  if (values.input === undefined) throw missingKey('input', 'pool.jsonl')
  if (values.output_dir === undefined) throw missingKey('output_dir', 'curated')
  if (stages.includes('decontamination') && decontamination.against.length === 0)
    throw missingKey('decontamination.against', 'eval/*.jsonl')
  return {
    input: values.input,
    outputDir: values.output_dir,
    seed: values.seed,
    stages: stageNames.filter((name) => stages.includes(name)),
    strict: values.strict,
    pool: section('pool'),
    difficulty: section('difficulty'),
    decontamination,
    quality: section('quality'),
    selection: section('selection'),
  }
}
