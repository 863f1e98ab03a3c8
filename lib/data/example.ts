import { lastBoxed } from '../answer/boxed.js'
import { DataError } from '../errors.js'
import type { Turn } from './conversation.js'
import type { ChatRecord, TrainingRecord } from './records.js'
import type { AddedText } from './template/added-text.js'
import type { ChatTemplate, RenderedChat } from './template/chat-template.js'
import type { TokenizationOptions } from './tokenization.js'
import type { TextTokenizer } from './tokenizer/tokenizer.js'

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
  /** Number of tokens up to the end of the response's last `\boxed{…}`; 0, or absent, where there is none. */
  answerEnd?: number
  /** Scored text that the template itself puts into a turn. */
  added?: AddedText
}

export interface ExampleOptions extends TokenizationOptions {
  /** Needed for chat records, as is `template`. */
  tokenizer?: TextTokenizer | undefined
  template?: ChatTemplate | undefined
  /** Vocabulary size of the model. */
  vocabSize: number
}

/** The turns with the default system turn first, where there is one and they have none. */
export function withSystemTurn(turns: Turn[], { defaultSystem = '' }: Pick<ExampleOptions, 'defaultSystem'>): Turn[] {
  const needsSystem = defaultSystem !== '' && turns[0]?.role !== 'system'
  return needsSystem ? [{ role: 'system', content: defaultSystem }, ...turns] : turns
}

/** The text of a chat record as the model sees it, with the default system turn, and which parts of it are scored. */
export function renderRecord(record: ChatRecord, options: ExampleOptions): RenderedChat {
  if (options.template === undefined) {
    throw new DataError('TEMPLATE_NOT_FOUND', `${record.place}: expected a chat template for a conversation but received none.`)
  }
  const { maskHistory, trainOnPrompt, enableThinking, tokenizer } = options
  const turns = withSystemTurn(record.turns, options)
  const { spelledTokens } = tokenizer ?? {}
  const { tools } = record
  return options.template.render(turns, record.place, { maskHistory, trainOnPrompt, enableThinking, spelledTokens, tools })
}

/** Whether a record says itself that nothing of it is to be learnt. */
export function isUnlearnt(record: TrainingRecord, { maskHistory, trainOnPrompt }: TokenizationOptions): boolean {
  if (record.isUnlearnt === true) return true
  if (record.kind === 'tokens' || trainOnPrompt === true) return false
  const { turns } = record
  const learnt = maskHistory === true ? turns.slice(-1) : turns.filter(({ role, isPrompt }) => role === 'assistant' && !isPrompt)
  return learnt.every(({ scored }) => scored === false)
}

/**
 * Turns one record into an example, however long.
 *
 * Throws DATA_NOTHING_SCORED, TOKEN_OUT_OF_RANGE and TEMPLATE_FAILED, all naming the record's place.
 */
export function makeExample(record: TrainingRecord, options: ExampleOptions): Example {
  const { inputIds, labels, added } =
    record.kind === 'tokens'
      ? { inputIds: Int32Array.from(record.inputIds), labels: Int32Array.from(record.labels), added: undefined }
      : tokenizeChat(record, options)
  if (record.isUnlearnt === true) labels.fill(notScored)
  checkRange(inputIds, record.place, options.vocabSize)
  checkRange(labels, record.place, options.vocabSize)
  // nothing comes before the first token that it could be predicted from
  labels[0] = notScored
  const scoredTokens = countScored(labels)
  if (scoredTokens > 0) {
    const answerEnd = answerEndOf(record, inputIds, labels, options)
    return { place: record.place, inputIds, labels, scoredTokens, answerEnd, ...(added !== undefined && { added }) }
  }
  throw new DataError(
    'DATA_NOTHING_SCORED',
    `${record.place}: expected at least one scored token after the first but received ${inputIds.length} tokens with none. ` +
      (record.isUnlearnt === true || (record.kind === 'chat' && record.turns.some(({ scored }) => scored === false))
        ? 'It says itself that its turns are not to be learnt (weight, train or the like): remove the record, or that key.'
        : 'Label the tokens of the response, or remove the record.'),
    { place: record.place },
  )
}

interface Tokens {
  inputIds: Int32Array
  labels: Int32Array
  added: AddedText | undefined
}

/** Prompt and response are tokenized apart, because at inference the prompt is tokenized before there is a response. */
function tokenizeChat(record: ChatRecord, options: ExampleOptions): Tokens {
  if (options.tokenizer === undefined) {
    throw new DataError('TOKENIZER_MALFORMED', `${record.place}: expected a tokenizer for a conversation but received none.`)
  }
  const { segments, added } = renderRecord(record, options)
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
  return { inputIds, labels, added }
}

/** Number of tokens up to the end of the last response's last `\boxed{…}`; 0 where there is none. */
function answerEndOf(record: TrainingRecord, inputIds: Int32Array, labels: Int32Array, { tokenizer }: ExampleOptions): number {
  if (record.kind === 'tokens' || tokenizer === undefined || !record.turns.at(-1)!.content.includes('\\boxed')) return 0
  // Search from the end: it is nearly always there.
  for (let window = 64; ; window *= 4) {
    const start = Math.max(0, inputIds.length - window)
    const boxed = lastBoxed(tokenizer.decode(inputIds.subarray(start)))
    if (boxed !== undefined) {
      let [low, high] = [start, inputIds.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if (tokenizer.decode(inputIds.subarray(start, middle)).length >= boxed.end) high = middle
        else low = middle + 1
      }
      return labels[low - 1] === notScored ? 0 : low
    }
    if (start === 0) return 0
  }
}

export function countScored(labels: Int32Array): number {
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
