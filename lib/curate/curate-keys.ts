import * as v from 'valibot'
import { stageNames } from './stage.js'

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1))
export const whole = (least: number) => v.pipe(v.number(), v.integer(), v.minValue(least))
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
export const schemas = {
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

/** What a value must be, as error messages say it, by the key's name without its section. */
export const expectations: Record<string, string> = {
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
