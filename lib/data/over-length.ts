import { DataError } from '../errors.js'
import { countScored, type Example, notScored } from './example.js'
import { type ExampleInfo, type Examples, selectExamples } from './examples.js'

export type OverLengthPolicy = 'error' | 'drop' | 'truncate'

export interface OverLengthOptions {
  /** The most tokens of an example. */
  cutoffLen: number
  overLength: OverLengthPolicy
}

/** An example that is longer than `cutoffLen` tokens, and what becomes of it. Lengths are in tokens. */
export interface OverLongExample {
  place: string
  length: number
  lostTokens: number
  lostScored: number
  /** Whether its last `\boxed{…}` is lost, with the answer. */
  lostAnswer: boolean
  /** Whether the token that ends its last turn is lost: the model is not taught to stop. */
  lostEndOfTurn: boolean
}

/** Report of the policy for long examples. Lengths are in tokens. */
export interface ExampleReport {
  kept: number
  dropped: OverLongExample[]
  truncated: OverLongExample[]
  tokens: number
  scoredTokens: number
  longest: number
}

/**
 * Applies the policy for examples that are too long. What is lost is always in the report.
 *
 * Throws DATA_OVER_LENGTH with the policy `error`, naming all of them; DATA_NOTHING_SCORED where `truncate` would leave an
 * example with nothing to learn; DATA_EMPTY when none is left.
 */
export function applyOverLength(examples: Examples, options: OverLengthOptions): { examples: Examples; report: ExampleReport } {
  const { cutoffLen, overLength } = options
  const tooLong: number[] = []
  for (let index = 0; index < examples.count; index++) if (examples.infoOf(index).length > cutoffLen) tooLong.push(index)
  const losses = tooLong.map((index) => lossOf(examples.infoOf(index), () => examples.read(index).labels, options))
  if (overLength === 'error' && losses.length > 0) throw overLong(losses, examples.count, cutoffLen)
  const kept = overLength === 'truncate' ? truncated(examples, tooLong, cutoffLen) : without(examples, tooLong)
  if (kept.count === 0) {
    const reason = losses.length === 0 ? 'there are no records' : `all ${losses.length} are longer than cutoff_len ${cutoffLen}`
    throw new DataError('DATA_EMPTY', `expected at least one example to train on, but ${reason}.`, { dropped: losses })
  }
  return {
    examples: kept,
    report: {
      ...sumsOf(kept),
      dropped: overLength === 'drop' ? losses : [],
      truncated: overLength === 'truncate' ? losses : [],
    },
  }
}

export function sumsOf(examples: Examples): { kept: number; tokens: number; scoredTokens: number; longest: number } {
  const sums = { kept: examples.count, tokens: 0, scoredTokens: 0, longest: 0 }
  for (let index = 0; index < examples.count; index++) {
    const { length, scoredTokens } = examples.infoOf(index)
    sums.tokens += length
    sums.scoredTokens += scoredTokens
    sums.longest = Math.max(sums.longest, length)
  }
  return sums
}

type LongExample = Pick<ExampleInfo, 'place' | 'length' | 'answerEnd' | 'scoredTokens'>

/** What the policy loses of an example that is longer than `cutoffLen`; `labelsOf` reads its labels. */
function lossOf(example: LongExample, labelsOf: () => Int32Array, { cutoffLen, overLength }: OverLengthOptions): OverLongExample {
  const { place, length, answerEnd, scoredTokens: scored } = example
  if (overLength !== 'truncate') {
    return { place, length, lostTokens: length, lostScored: scored, lostAnswer: answerEnd > 0, lostEndOfTurn: true }
  }
  const labels = labelsOf()
  return {
    place,
    length,
    lostTokens: length - cutoffLen,
    lostScored: scored - countScored(labels.subarray(0, cutoffLen)),
    lostAnswer: answerEnd > cutoffLen,
    lostEndOfTurn: labels.findLastIndex((label) => label !== notScored) >= cutoffLen,
  }
}

/** What {@link applyOverLength} does with one example that is too long: an error, or a loss that it reports. */
export function judgeLength(
  example: LongExample,
  labelsOf: () => Int32Array,
  options: OverLengthOptions,
): DataError | OverLongExample {
  const loss = lossOf(example, labelsOf, options)
  if (options.overLength === 'truncate' && loss.lostScored === example.scoredTokens) return nothingScored(loss, options.cutoffLen)
  return loss
}

function without(examples: Examples, dropped: readonly number[]): Examples {
  if (dropped.length === 0) return examples
  const isDropped = new Set(dropped)
  const kept = new Int32Array(examples.count - dropped.length)
  let count = 0
  for (let index = 0; index < examples.count; index++) if (!isDropped.has(index)) kept[count++] = index
  return selectExamples(examples, kept)
}

function truncated(examples: Examples, tooLong: readonly number[], cutoffLen: number): Examples {
  const infos = new Map(
    tooLong.map((index) => {
      const { place, record, answerEnd } = examples.infoOf(index)
      const { scoredTokens } = truncate(examples.read(index), cutoffLen)
      return [index, { length: cutoffLen, scoredTokens, place, record, answerEnd: answerEnd > cutoffLen ? 0 : answerEnd }]
    }),
  )
  return {
    count: examples.count,
    infoOf: (index) => infos.get(index) ?? examples.infoOf(index),
    read: (index) => (infos.has(index) ? truncate(examples.read(index), cutoffLen) : examples.read(index)),
  }
}

function truncate({ place, ...example }: Example, cutoffLen: number): Example {
  const labels = example.labels.slice(0, cutoffLen)
  const scoredTokens = countScored(labels)
  if (scoredTokens > 0) return { place, inputIds: example.inputIds.slice(0, cutoffLen), labels, scoredTokens }
  throw nothingScored({ place, length: example.inputIds.length }, cutoffLen)
}

function nothingScored({ place, length }: { place: string; length: number }, cutoffLen: number): DataError {
  return new DataError(
    'DATA_NOTHING_SCORED',
    `${place}: expected a scored token among the first ${cutoffLen} tokens (cutoff_len) but the prompt alone is longer. ` +
      'Raise cutoff_len, or set over_length: drop.',
    { place, length, cutoffLen },
  )
}

function overLong(examples: OverLongExample[], total: number, cutoffLen: number): DataError {
  const shown = examples.slice(0, 5).map(({ place, length }) => `${place} has ${length}`)
  const more = examples.length > shown.length ? `, and ${examples.length - shown.length} more` : ''
  const longest = examples.reduce((most, { length }) => Math.max(most, length), 0)
  return new DataError(
    'DATA_OVER_LENGTH',
    `expected examples of at most ${cutoffLen} tokens (cutoff_len) but ${examples.length} of ${total} are longer: ` +
      `${shown.join(', ')}${more}. Raise cutoff_len to ${longest} to keep all of them whole, ` +
      'or choose what is lost with over_length: drop (these records) or over_length: truncate (their ends).',
    { cutoffLen, longest, examples },
  )
}
