import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { readConfigFile, type Written } from '../config/config-file.js'
import { isJsonObject } from '../config/json-object.js'
import { showValue } from '../config/show-value.js'
import { ConfigError } from '../errors.js'
import { expectations, schemas, whole } from './curate-keys.js'
import type { CurateColumns } from './curate-row.js'
import type { DecontaminationOptions } from './decontamination-stage.js'
import type { DifficultyOptions } from './difficulty-stage.js'
import type { PoolOptions } from './pool-stage.js'
import { defaultQuality } from './quality-score.js'
import type { QualityStageOptions } from './quality-stage.js'
import type { SelectionOptions } from './selection-stage.js'
import { type StageName, stageNames } from './stage.js'

/** A file, glob or folder of rows, and the names of its columns. */
export interface CurateInput {
  path: string
  columns: CurateColumns
}

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
export async function loadCurateConfig(path: string | undefined, overrides: Record<string, unknown> = {}): Promise<CurateConfig> {
  const written: Written = path === undefined ? new Map() : await readConfigFile(path)
  const values = new Reader(written)
  for (const [key, value] of Object.entries(overrides)) if (value !== undefined) values.override(key, value)
  return values.config()
}

/** The same from an object, for programs. */
export function parseCurateConfig(values: Record<string, unknown>, place = 'config'): CurateConfig {
  return new Reader(new Map(Object.entries(values).map(([key, value]) => [key, { value, place }]))).config()
}

type Section = keyof typeof schemas

class Reader {
  private readonly values = new Map<string, { value: unknown; place: string }>()
  private readonly sections = new Set<string>()

  constructor(written: Written) {
    for (const [key, { value, place }] of written) {
      if (value === null || value === undefined) {
        if (Object.hasOwn(schemas, key)) this.sections.add(key)
        continue
      }
      if (!Object.hasOwn(schemas, key) || key === '') {
        this.set(key, value, place)
        continue
      }
      if (!isJsonObject(value)) throw invalid(key, 'keys of its own', value, place)
      this.sections.add(key)
      for (const [inner, innerValue] of Object.entries(value))
        if (innerValue !== null) this.set(`${key}.${inner}`, innerValue, place)
    }
  }

  override(key: string, value: unknown): void {
    this.set(key, value, 'command line')
    if (key.includes('.')) this.sections.add(key.split('.')[0]!)
  }

  private set(key: string, value: unknown, place: string): void {
    const [section, name] = key.includes('.') ? (key.split('.') as [string, string]) : ['', key]
    if (!Object.hasOwn(schemas[section as Section] ?? {}, name)) {
      const known = Object.entries(schemas).flatMap(([at, keys]) =>
        Object.keys(keys).map((one) => (at === '' ? one : `${at}.${one}`)),
      )
      const nearest = closest(key, [...known, ...Object.keys(schemas).filter((at) => at !== '')])
      throw new ConfigError('CONFIG_UNKNOWN_KEY', `unknown key ${key} (${place}): did you mean ${nearest}?`, {
        key,
        place,
        nearest,
      })
    }
    this.values.set(key, { value, place })
  }

  /** The value of a key, checked; undefined where it is not set. */
  private read<S extends Section, K extends keyof (typeof schemas)[S] & string>(
    section: S,
    name: K,
  ): v.InferOutput<Extract<(typeof schemas)[S][K], v.GenericSchema>> | undefined {
    const key = section === '' ? name : `${section}.${name}`
    const found = this.values.get(key)
    if (found === undefined) return undefined
    const result = v.safeParse((schemas[section] as Record<string, v.GenericSchema>)[name]!, found.value)
    if (!result.success) throw invalid(key, expectations[name]!, found.value, found.place)
    return result.output as never
  }

  config(): CurateConfig {
    const input = this.read('', 'input')
    const outputDir = this.read('', 'output_dir')
    if (input === undefined || input.length === 0) throw missing('input', 'pool.jsonl')
    if (outputDir === undefined) throw missing('output_dir', 'curated')
    const against = this.read('decontamination', 'against') ?? []
    const stages = this.read('', 'stages') ?? this.defaultStages()
    if (stages.includes('decontamination') && against.length === 0) throw missing('decontamination.against', 'eval/*.jsonl')
    return {
      input: input.map((entry) => this.input(entry as never)),
      outputDir,
      seed: this.read('', 'seed') ?? 42,
      stages: stageNames.filter((name) => stages.includes(name)),
      strict: this.read('', 'strict') ?? false,
      pool: {
        nearDuplicates: this.read('pool', 'near_duplicates') ?? true,
        similarity: this.read('pool', 'similarity') ?? 0.7,
        shingleWords: this.read('pool', 'shingle_words') ?? 3,
      },
      difficulty: {
        criteria: this.criteria(),
        missing: this.read('difficulty', 'missing') ?? 'drop',
        attemptsFiles: this.read('difficulty', 'attempts_files') ?? [],
      },
      decontamination: {
        against,
        ngram: this.read('decontamination', 'ngram') ?? 13,
        threshold: this.read('decontamination', 'threshold') ?? 1,
        fields: this.read('decontamination', 'fields') ?? ['question'],
      },
      quality: this.quality(),
      selection: {
        ...(this.read('selection', 'count') !== undefined && { count: this.read('selection', 'count') }),
        spread: this.read('selection', 'spread') ?? [],
        topics: this.read('selection', 'topics') ?? 20,
        levels: this.read('selection', 'levels') ?? 0,
      },
    }
  }

  /** Difficulty and decontamination need to be told what to go by. */
  private defaultStages(): StageName[] {
    return stageNames.filter((name) => ['pool', 'quality', 'selection'].includes(name) || this.sections.has(name))
  }

  private input(entry: string | { path: string; columns?: unknown }): CurateInput {
    const { place } = this.values.get('input')!
    if (typeof entry === 'string') {
      if (entry === '') throw invalid('input', expectations.input!, entry, place)
      return { path: entry, columns: {} }
    }
    const column = v.exactOptional(v.string())
    const columns = v.strictObject({ question: column, solution: column, answer: column, attempts: column })
    const result = v.safeParse(v.strictObject({ path: v.string(), columns: v.exactOptional(columns) }), entry)
    if (!result.success) {
      throw invalid('input', '{path, columns: {question, solution, answer, attempts}}', entry, place)
    }
    return { path: result.output.path, columns: result.output.columns ?? {} }
  }

  /** Without any, the paper's second filter: solved 1 to 3 times in 32 attempts. */
  private criteria(): DifficultyOptions['criteria'] {
    const list = this.read('difficulty', 'criteria')
    if (list === undefined) return [{ attempts: 32, min: 1, max: 3 }]
    const { place } = this.values.get('difficulty.criteria')!
    const schema = v.strictObject({
      model: v.exactOptional(v.string()),
      attempts: v.exactOptional(whole(1)),
      min: v.optional(whole(0), 0),
      max: v.optional(whole(0)),
    })
    return list.map((entry) => {
      const result = v.safeParse(schema, entry)
      if (!result.success) throw invalid('difficulty.criteria', expectations.criteria!, entry, place)
      const { max = Infinity, ...criterion } = result.output
      if (max < criterion.min) throw invalid('difficulty.criteria', 'a max of at least min', entry, place)
      return { ...criterion, max }
    })
  }

  private quality(): QualityStageOptions {
    const weights = { ...defaultQuality.weights, ...this.read('quality', 'weights') }
    const scales = { ...defaultQuality.scales, ...this.read('quality', 'scales') }
    const sum = Object.values(weights).reduce((total, weight) => total + weight, 0)
    if (Math.abs(sum - 1) > 1e-6 || Object.values(weights).some((weight) => weight < 0)) {
      throw invalid(
        'quality.weights',
        'weights of at least 0 that add up to 1',
        weights,
        this.values.get('quality.weights')!.place,
      )
    }
    if (Object.values(scales).some((scale) => !(scale > 0))) {
      throw invalid('quality.scales', expectations.scales!, scales, this.values.get('quality.scales')!.place)
    }
    return {
      weights,
      scales,
      words: { ...defaultQuality.words, ...this.read('quality', 'words') },
      checkAnswer: this.read('quality', 'check_answer') ?? true,
      missingAnswer: this.read('quality', 'missing_answer') ?? 'drop',
      undecided: this.read('quality', 'undecided') ?? 'drop',
      minScore: this.read('quality', 'min_score') ?? 0,
    }
  }
}

function missing(key: string, example: string): ConfigError {
  const message = `expected ${key} but it is not set. Add \`${key}: ${example}\` to the config or --${key} ${example}.`
  return new ConfigError('CONFIG_INVALID_VALUE', message, { key })
}

function invalid(key: string, expected: string, received: unknown, place: string): ConfigError {
  const message = `expected ${expected} for ${key} but received ${showValue(received)} (${place})`
  return new ConfigError('CONFIG_INVALID_VALUE', message, { key, place, expected, received })
}
