import * as v from 'valibot'
import {
  type ConfigKeys,
  choice,
  choices,
  custom,
  flag,
  number,
  path,
  paths,
  toList,
  WrongPart,
  whole,
  withOption,
} from '../config/config-key.js'
import type { CurateColumns } from './curate-row.js'
import type { DifficultyCriterion } from './difficulty-stage.js'
import { defaultScales, defaultWeights, defaultWords } from './quality-words.js'
import { stageNames } from './stage.js'

/** A file, glob or folder of rows, and the names of its columns. */
export interface CurateInput {
  path: string
  columns: CurateColumns
}

function readInputs(value: unknown): CurateInput[] | WrongPart | undefined {
  const list = toList(value)
  if (!Array.isArray(list) || list.length === 0 || list.includes('')) return undefined
  const column = v.exactOptional(v.string())
  const columns = v.strictObject({ question: column, solution: column, answer: column, attempts: column })
  const entry = v.strictObject({ path: v.pipe(v.string(), v.minLength(1)), columns: v.exactOptional(columns, {}) })
  const inputs: CurateInput[] = []
  for (const one of list) {
    const result = v.safeParse(entry, typeof one === 'string' ? { path: one } : one)
    if (!result.success) return new WrongPart('{path, columns: {question, solution, answer, attempts}}', one)
    inputs.push(result.output)
  }
  return inputs
}

const expectedCriteria = 'a list of {model, attempts, min, max}'
const count = (least: number) => v.pipe(v.number(), v.integer(), v.minValue(least))

function readCriteria(value: unknown): DifficultyCriterion[] | WrongPart | undefined {
  if (!Array.isArray(value)) return undefined
  const schema = v.strictObject({
    model: v.exactOptional(v.string()),
    attempts: v.exactOptional(count(1)),
    min: v.optional(count(0), 0),
    max: v.optional(count(0), Infinity),
  })
  const criteria: DifficultyCriterion[] = []
  for (const entry of value) {
    const result = v.safeParse(schema, entry)
    if (!result.success) return new WrongPart(expectedCriteria, entry)
    if (result.output.max < result.output.min) return new WrongPart('a max of at least min', entry)
    criteria.push(result.output)
  }
  return criteria
}

/** Entries of an object over their defaults. */
function readOver<D extends object>(value: unknown, defaults: D, entry: v.GenericSchema): D | undefined {
  const schema = v.strictObject(Object.fromEntries(Object.keys(defaults).map((name) => [name, v.exactOptional(entry)])))
  const result = v.safeParse(schema, value)
  return result.success ? { ...defaults, ...result.output } : undefined
}

function readWeights(value: unknown): typeof defaultWeights | WrongPart | undefined {
  const weights = readOver(value, defaultWeights, v.number())
  if (weights === undefined) return undefined
  const sum = Object.values(weights).reduce((total, weight) => total + weight, 0)
  const isValid = Math.abs(sum - 1) <= 1e-6 && Object.values(weights).every((weight) => weight >= 0)
  return isValid ? weights : new WrongPart('weights of at least 0 that add up to 1', weights)
}

const parts = 'length, verification, exploration and connectives'
const words = v.array(v.pipe(v.string(), v.minLength(1)))
const keepOrDrop = ['keep', 'drop'] as const

/** Every key, with its section where it has one. Those at the top, and those with an option, are options of the command line too. */
export const curateKeys = {
  input: custom(
    'a path, several, or a list of {path, columns}',
    readInputs,
    undefined,
    'files, globs or folders of rows, separated by commas',
  ),
  output_dir: path(undefined, 'folder for what is chosen, what is dropped and why, and the report', {
    expected: 'the path of a folder',
  }),
  stages: choices(stageNames, undefined, `only these, of ${stageNames.join(', ')}`),
  seed: whole({}, 42, 'seed of everything random'),
  strict: flag(false, 'end with the first malformed row'),

  'pool.near_duplicates': flag(true, 'whether near-duplicate problems are dropped too'),
  'pool.similarity': number(
    { min: 0, max: 1 },
    0.7,
    'Jaccard similarity of shingles from which two problems are near-duplicates',
  ),
  'pool.shingle_words': whole({ min: 1 }, 3, 'words of a shingle'),

  // The paper's second filter: solved 1 to 3 times in 32 attempts.
  'difficulty.criteria': custom(
    expectedCriteria,
    readCriteria,
    [{ attempts: 32, min: 1, max: 3 }] as DifficultyCriterion[],
    'how often a problem must have been solved, all of which must hold',
  ),
  'difficulty.attempts_files': withOption(
    'attempts',
    paths([] as string[], 'files of recorded attempts: {question, attempts: [{correct}]}'),
  ),
  'difficulty.missing': choice(keepOrDrop, 'drop', 'what becomes of problems with fewer attempts than a criterion asks for'),

  'decontamination.against': withOption(
    'against',
    paths([] as string[], 'evaluation files whose questions must not be in the rows'),
  ),
  'decontamination.ngram': whole({ min: 2 }, 13, 'words of an n-gram'),
  'decontamination.threshold': whole({ min: 1 }, 1, 'n-grams shared with one question from which a row is contaminated'),
  'decontamination.fields': choices(['question', 'solution'], ['question'], 'which texts of a row are looked at'),

  'quality.weights': custom(`numbers for ${parts}`, readWeights, defaultWeights, 'weight of each part, 1 in all'),
  'quality.scales': custom(
    `numbers above 0 for ${parts}`,
    (value) => readOver(value, defaultScales, v.pipe(v.number(), v.gtValue(0))),
    defaultScales,
    'the value of each part at which it counts in full',
  ),
  'quality.words': custom(
    'lists of words for verification, exploration and connectives',
    (value) => readOver(value, defaultWords, words),
    defaultWords,
    'the words of each part',
  ),
  'quality.check_answer': flag(true, "whether the answer in the chain has to be the row's answer"),
  'quality.missing_answer': choice(keepOrDrop, 'drop', 'what becomes of chains without an answer in \\boxed{}'),
  'quality.undecided': choice(keepOrDrop, 'drop', "what becomes of chains whose answer the grader cannot tell from the row's"),
  'quality.min_score': number({ min: 0, max: 1 }, 0, 'chains below it are dropped'),

  'selection.count': withOption('count', whole({ min: 1 }, undefined, 'how many problems to take [all]')),
  'selection.spread': withOption(
    'spread',
    choices(
      ['topics', 'difficulty'],
      [] as ('topics' | 'difficulty')[],
      'spread them over topics, difficulty or topics,difficulty',
    ),
  ),
  'selection.topics': whole({ min: 2 }, 20, 'how many topics there are'),
  'selection.levels': withOption('levels', whole({}, 0, 'also write five levels of quality, of so many chains each')),
} as const satisfies ConfigKeys
