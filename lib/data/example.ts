import { setImmediate } from 'node:timers/promises'
import { DataError } from '../errors.js'
import type { ChatTemplate, RenderedChat } from './chat-template.js'
import type { ChatRecord, TrainingRecord } from './records.js'
import type { TokenizationOptions } from './tokenization.js'
import type { TextTokenizer } from './tokenizer.js'

/** The label of a position that is not scored. */
export const notScored = -100

/** One sequence to train on. */
export interface Example {
  place: string
  /** [T] */
  inputIds: Int32Array
  /** [T], aligned with `inputIds`: `labels[t]` is scored at position t − 1, so `labels[0]` is always −100. */
  labels: Int32Array
  scoredTokens: number
}

export type OverLengthPolicy = 'error' | 'drop' | 'truncate'

export interface ExampleOptions extends TokenizationOptions {
  /** Needed for chat records, as is `template`. */
  tokenizer?: TextTokenizer | undefined
  template?: ChatTemplate | undefined
  /** The most tokens of an example. */
  cutoffLen: number
  overLength: OverLengthPolicy
  /** Of the model. */
  vocabSize: number
}

/** What became of the records. Lengths are in tokens. */
export interface ExampleReport {
  kept: number
  dropped: { place: string; length: number }[]
  truncated: { place: string; length: number; lostTokens: number; lostScored: number }[]
  tokens: number
  scoredTokens: number
  longest: number
}

/**
 * Turns records into examples, and lets the event loop run every 20 ms.
 *
 * Throws what `makeExample` throws; but DATA_OVER_LENGTH names all the examples that are too long, with the policy `drop`
 * they only appear in the report, and DATA_EMPTY is thrown when none is left.
 */
export async function makeExamples(
  records: TrainingRecord[],
  options: ExampleOptions,
  signal?: AbortSignal,
): Promise<{ examples: Example[]; report: ExampleReport }> {
  const examples: Example[] = []
  const overLong: { place: string; length: number }[] = []
  const report: ExampleReport = { kept: 0, dropped: [], truncated: [], tokens: 0, scoredTokens: 0, longest: 0 }
  let pausedAt = performance.now()
  for (const record of records) {
    if (performance.now() - pausedAt > 20) {
      await setImmediate()
      pausedAt = performance.now()
    }
    signal?.throwIfAborted()
    let example = makeUncutExample(record, options)
    const { place, scoredTokens } = example
    const { length } = example.inputIds
    if (length > options.cutoffLen) {
      if (options.overLength !== 'truncate') {
        overLong.push({ place, length })
        continue
      }
      example = truncate(example, options.cutoffLen)
      const lostScored = scoredTokens - example.scoredTokens
      report.truncated.push({ place, length, lostTokens: length - options.cutoffLen, lostScored })
    }
    examples.push(example)
    report.tokens += example.inputIds.length
    report.scoredTokens += example.scoredTokens
    report.longest = Math.max(report.longest, example.inputIds.length)
  }
  report.kept = examples.length
  if (options.overLength === 'error' && overLong.length > 0) throw overLength(overLong, records.length, options.cutoffLen)
  report.dropped = overLong
  if (examples.length > 0) return { examples, report }
  const reason =
    overLong.length === 0 ? 'there are no records' : `all ${overLong.length} are longer than cutoff_len ${options.cutoffLen}`
  throw new DataError('DATA_EMPTY', `expected at least one example to train on, but ${reason}.`, { dropped: overLong })
}

/**
 * Turns one record into an example. The policy `truncate` cuts it to `cutoffLen`; with the other two an example that is
 * longer throws DATA_OVER_LENGTH.
 *
 * Throws DATA_NOTHING_SCORED, TOKEN_OUT_OF_RANGE and TEMPLATE_FAILED as well, all naming the record's place.
 */
export function makeExample(record: TrainingRecord, options: ExampleOptions): Example {
  const example = makeUncutExample(record, options)
  const { length } = example.inputIds
  if (length <= options.cutoffLen) return example
  if (options.overLength === 'truncate') return truncate(example, options.cutoffLen)
  throw overLength([{ place: record.place, length }], 1, options.cutoffLen)
}

/** The text of a chat record as the model sees it, with the default system turn, and which parts of it are scored. */
export function renderRecord(record: ChatRecord, options: ExampleOptions): RenderedChat {
  if (options.template === undefined) {
    throw new DataError('TEMPLATE_NOT_FOUND', `${record.place}: expected a chat template for a conversation but received none.`)
  }
  const { defaultSystem = '', maskHistory, trainOnPrompt, enableThinking, tokenizer } = options
  const needsSystem = defaultSystem !== '' && record.turns[0]?.role !== 'system'
  const turns = needsSystem ? [{ role: 'system' as const, content: defaultSystem }, ...record.turns] : record.turns
  const { spelledTokens } = tokenizer ?? {}
  return options.template.render(turns, record.place, { maskHistory, trainOnPrompt, enableThinking, spelledTokens })
}

function makeUncutExample(record: TrainingRecord, options: ExampleOptions): Example {
  const { inputIds, labels } =
    record.kind === 'tokens'
      ? { inputIds: Int32Array.from(record.inputIds), labels: Int32Array.from(record.labels) }
      : tokenizeChat(record, options)
  checkRange(inputIds, record.place, options.vocabSize)
  checkRange(labels, record.place, options.vocabSize)
  // nothing comes before the first token that it could be predicted from
  labels[0] = notScored
  const scoredTokens = countScored(labels)
  if (scoredTokens > 0) return { place: record.place, inputIds, labels, scoredTokens }
  throw new DataError(
    'DATA_NOTHING_SCORED',
    `${record.place}: expected at least one scored token after the first but received ${inputIds.length} tokens with none. ` +
      'Label the tokens of the response, or remove the record.',
    { place: record.place },
  )
}

/** Prompt and response are tokenized apart, because at inference the prompt is tokenized before there is a response. */
function tokenizeChat(record: ChatRecord, options: ExampleOptions): { inputIds: Int32Array; labels: Int32Array } {
  if (options.tokenizer === undefined) {
    throw new DataError('TOKENIZER_MALFORMED', `${record.place}: expected a tokenizer for a conversation but received none.`)
  }
  const { segments } = renderRecord(record, options)
  const pieces = options.tokenizer.encodeSegments(segments)
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const inputIds = new Int32Array(length)
  const labels = new Int32Array(length).fill(notScored)
  let start = 0
  for (const [index, piece] of pieces.entries()) {
    inputIds.set(piece, start)
    if (segments[index]!.scored) labels.set(piece, start)
    start += piece.length
  }
  return { inputIds, labels }
}

function truncate(example: Example, cutoffLen: number): Example {
  const labels = example.labels.slice(0, cutoffLen)
  const scoredTokens = countScored(labels)
  if (scoredTokens > 0) return { place: example.place, inputIds: example.inputIds.slice(0, cutoffLen), labels, scoredTokens }
  throw new DataError(
    'DATA_NOTHING_SCORED',
    `${example.place}: expected a scored token among the first ${cutoffLen} tokens (cutoff_len) but the prompt alone is longer. ` +
      'Raise cutoff_len, or set over_length: drop.',
    { place: example.place, length: example.inputIds.length, cutoffLen },
  )
}

function countScored(labels: Int32Array): number {
  let scored = 0
  for (let t = 1; t < labels.length; t++) if (labels[t] !== notScored) scored += 1
  return scored
}

function checkRange(ids: Int32Array, place: string, vocabSize: number): void {
  const at = ids.findIndex((id) => id >= vocabSize)
  if (at < 0) return
  throw new DataError(
    'TOKEN_OUT_OF_RANGE',
    `${place}: expected token ids below the model's vocabulary of ${vocabSize} but received ${ids[at]} at position ${at}. ` +
      'Use the tokenizer that belongs to the model.',
    { place, position: at, token: ids[at], vocabSize },
  )
}

function overLength(examples: { place: string; length: number }[], total: number, cutoffLen: number): DataError {
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
