import { closest } from 'fastest-levenshtein'
import * as v from 'valibot'
import { readConfigFile, type Written } from '../config/config-file.js'
import { isJsonObject } from '../config/json-object.js'
import { showValue } from '../config/show-value.js'
import { ConfigError } from '../errors.js'
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

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1))
const whole = (least: number) => v.pipe(v.number(), v.integer(), v.minValue(least))
const paths = v.pipe(
  v.union([v.string(), v.array(v.string())]),
  v.transform((value) => (typeof value === 'string' ? value.split(',').map((path) => path.trim()) : value)),
  v.check((list) => list.every((path) => path !== '')),
)
const words = v.array(v.pipe(v.string(), v.minLength(1)))
const keepOrDrop = v.picklist(['keep', 'drop'])
const parts = {
  length: v.exactOptional(v.number()),
  verification: v.exactOptional(v.number()),
  exploration: v.exactOptional(v.number()),
  connectives: v.exactOptional(v.number()),
}

const inputSchema = v.pipe(
  v.union([v.string(), v.array(v.union([v.string(), v.looseObject({ path: v.string() })]))]),
  v.transform((value) => (typeof value === 'string' ? value.split(',').map((path) => path.trim()) : value)),
)

/** Every key by its section; '' are those at the top. Defaults are what a valid empty section gives. */
const schemas = {
  '': {
    input: inputSchema,
    output_dir: v.pipe(v.string(), v.minLength(1)),
    seed: whole(0),
    stages: v.array(v.picklist(stageNames)),
    strict: v.boolean(),
  },
  pool: { near_duplicates: v.boolean(), similarity: share, shingle_words: whole(1) },
  difficulty: { criteria: v.array(v.unknown()), missing: keepOrDrop, attempts_files: paths },
  decontamination: {
    against: paths,
    ngram: whole(2),
    threshold: whole(1),
    fields: v.array(v.picklist(['question', 'solution'])),
  },
  quality: {
    weights: v.strictObject(parts),
    scales: v.strictObject(parts),
    words: v.strictObject({
      verification: v.exactOptional(words),
      exploration: v.exactOptional(words),
      connectives: v.exactOptional(words),
    }),
    check_answer: v.boolean(),
    missing_answer: keepOrDrop,
    undecided: keepOrDrop,
    min_score: share,
  },
  selection: { count: whole(1), spread: v.array(v.picklist(['topics', 'difficulty'])), topics: whole(2), levels: whole(0) },
} as const

const expectations: Record<string, string> = {
  input: 'a path, several, or a list of {path, columns}',
  output_dir: 'the path of a folder',
  seed: 'a whole number',
  stages: `a list of ${stageNames.join(', ')}`,
  strict: 'true or false',
  near_duplicates: 'true or false',
  similarity: 'a number from 0 to 1',
  shingle_words: 'a whole number of at least 1',
  criteria: 'a list of {model, attempts, min, max}',
  missing: 'keep or drop',
  attempts_files: 'a path or a list of them',
  against: 'a path or a list of them',
  ngram: 'a whole number of at least 2',
  threshold: 'a whole number of at least 1',
  fields: 'a list of question and solution',
  weights: 'numbers for length, verification, exploration and connectives',
  scales: 'numbers above 0 for length, verification, exploration and connectives',
  words: 'lists of words for verification, exploration and connectives',
  check_answer: 'true or false',
  missing_answer: 'keep or drop',
  undecided: 'keep or drop',
  min_score: 'a number from 0 to 1',
  count: 'a whole number of at least 1',
  spread: 'a list of topics and difficulty',
  topics: 'a whole number of at least 2',
  levels: 'a whole number',
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
        if (key in schemas) this.sections.add(key)
        continue
      }
      if (!(key in schemas) || key === '') {
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
