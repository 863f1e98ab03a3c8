import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { DataError, type ErrorCode, LimoError } from '../errors.js'
import type { ColumnMapping } from './conversation.js'
import { type Example, type ExampleOptions, isUnlearnt, makeExample, notScored } from './example.js'
import { type FileNotes, NoteCollector } from './file-notes.js'
import { type WarningKind, warningsOf } from './record-warnings.js'
import { parseRecord, type TrainingRecord } from './records.js'
import type { RowPlace } from './rows/row.js'
import { parseBatch, type RowBatch } from './rows/row-batch.js'
import { loadChatTemplate } from './template/chat-template.js'
import { type TokenizationOptions, tokenizationOptions } from './tokenization.js'
import { loadTokenizer } from './tokenizer/tokenizer.js'

/** Settings that turn the rows of a file into examples, as plain data for worker threads. */
export interface TokenizeWork extends TokenizationOptions {
  /** Folder of tokenizer and template; without one rows are only parsed, for a check. */
  modelFolder: string | undefined
  /** Template by name; the model folder's own when absent. */
  template?: string | undefined
  /** Vocabulary size of the model. */
  vocabSize: number
  columns?: ColumnMapping | undefined
  /** Also report warnings and fingerprints for duplicates. */
  check?: boolean | undefined
}

/** The examples of a batch of rows in a few arrays, which are transferred between threads at no cost. */
export interface TokenizedBatch {
  /** The ids of all examples, one after another. */
  ids: Int32Array<ArrayBuffer>
  /**
   * Run lengths of each example's labels: unscored, scored, unscored, … tokens. Raw labels instead where a scored label is not
   * the token's own id.
   */
  runs: Int32Array<ArrayBuffer>
  /** `exampleFields` numbers for each example. */
  fields: Uint32Array<ArrayBuffer>
  /** In the order of the rows; all of them errors unless the work was a check. */
  problems: RowProblem[]
  notes: FileNotes
  /** Only with `check`: 53 bits of a hash of each example's turns. */
  fingerprints?: Float64Array<ArrayBuffer>
}

/** A row that gave no example, or that is odd. */
export interface RowProblem {
  severity: 'error' | 'warning'
  code: ErrorCode | WarningKind
  message: string
  details: Record<string, unknown>
  /** Number of the batch's examples before it, or before the odd one. */
  after: number
}

/**
 * The columns of `fields`: number of tokens; number of label runs (`labelsBit` set: number of raw labels, which stand in `runs`
 * instead); number of scored tokens; `answerEnd`; number of the row.
 */
export const exampleFields = 5
export const labelsBit = 2 ** 31

/** Turns batches of rows into examples. Tokenizer and template are loaded when the first row with text comes. */
export class BatchTokenizer {
  private chat: Promise<Pick<ExampleOptions, 'tokenizer' | 'template'>> | undefined

  constructor(private readonly work: TokenizeWork) {}

  private loadChat(modelFolder: string): Promise<Pick<ExampleOptions, 'tokenizer' | 'template'>> {
    this.chat ??= (async () => {
      const { template } = this.work
      const tokenizer = await loadTokenizer(modelFolder)
      return { tokenizer, template: await loadChatTemplate(modelFolder, template, tokenizer.specialTokens) }
    })()
    return this.chat
  }

  /** Lets the event loop run every 20 ms. Throws what loading the tokenizer and the template throws; rows only give problems. */
  async tokenize(batch: RowBatch, signal?: AbortSignal): Promise<TokenizedBatch> {
    const { check = false, columns } = this.work
    const examples: { example: Example; number: number }[] = []
    const problems: RowProblem[] = []
    const fingerprints: number[] = []
    const collector = new NoteCollector()
    const report = (error: unknown) => problems.push({ ...problemOf(error), after: examples.length })
    let pausedAt = performance.now()
    for (const row of parseBatch(batch, { onMalformed: report })) {
      if (performance.now() - pausedAt > 20) {
        await setImmediate()
        signal?.throwIfAborted()
        pausedAt = performance.now()
      }
      try {
        const record = parseRecord(row, columns)
        if (isUnlearnt(record, this.work)) {
          collector.addUnlearnt()
          continue
        }
        const example = await this.exampleOf(record)
        examples.push({ example, number: numberOf(row.place) })
        collector.addRow(record, example, this.work)
        if (!check) continue
        fingerprints.push(fingerprintOf(record))
        for (const { kind, message } of warningsOf(record, row.value, (await this.chat)?.tokenizer?.spelledTokens)) {
          problems.push({ severity: 'warning', code: kind, message, details: row.place.details, after: examples.length - 1 })
        }
      } catch (error) {
        const isOfRow = error instanceof DataError && error.code !== 'TOKENIZER_MALFORMED' && error.code !== 'TEMPLATE_NOT_FOUND'
        if (!isOfRow || (error.code === 'TEMPLATE_FAILED' && error.details.place === undefined)) throw error
        report(withPlace(error, row.place))
      }
    }
    return {
      ...packExamples(examples),
      problems,
      notes: collector.notes,
      ...(check && { fingerprints: Float64Array.from(fingerprints) }),
    }
  }

  private async exampleOf(record: TrainingRecord): Promise<Example> {
    const { modelFolder, vocabSize } = this.work
    if (modelFolder === undefined) {
      return { place: record.place, inputIds: new Int32Array(0), labels: new Int32Array(0), scoredTokens: 0 }
    }
    const chat = record.kind === 'chat' ? await this.loadChat(modelFolder) : {}
    return makeExample(record, { ...tokenizationOptions(this.work), ...chat, vocabSize })
  }
}

/** The runs of each example's labels in a batch, or its labels, as a view. */
export function runsIn({ runs, fields }: TokenizedBatch): Int32Array[] {
  let start = 0
  return Array.from({ length: fields.length / exampleFields }, (_, example) => {
    const count = fields[example * exampleFields + 1]! & (labelsBit - 1)
    start += count
    return runs.subarray(start - count, start)
  })
}

/** The labels of an example from its ids and the runs of its labels. */
export function labelsOfRuns(inputIds: Int32Array, runs: Int32Array): Int32Array {
  const labels = new Int32Array(inputIds.length).fill(notScored)
  let start = 0
  for (const [index, run] of runs.entries()) {
    if (index % 2 === 1) labels.set(inputIds.subarray(start, start + run), start)
    start += run
  }
  return labels
}

function numberOf({ details }: RowPlace): number {
  return 'record' in details ? details.record : details.line
}

/** Errors of templates and tokens know the place as text only. */
function withPlace(error: DataError, place: RowPlace): DataError {
  if ('file' in error.details) return error
  return new DataError(error.code, error.message, { ...place.details, ...error.details }, { cause: error })
}

function problemOf(error: unknown): Omit<RowProblem, 'after'> {
  if (!(error instanceof LimoError)) throw error
  return { severity: 'error', code: error.code, message: error.message, details: { ...error.details } }
}

/** 53 bits, as a double holds: among a million different records the chance of a collision is 1 in 20,000. */
function fingerprintOf(record: TrainingRecord): number {
  const content = record.kind === 'chat' ? record.turns : record.inputIds
  const digest = createHash('sha256').update(JSON.stringify(content)).digest()
  return digest.readUIntBE(0, 6) * 32 + (digest[6]! & 31)
}

function packExamples(
  examples: { example: Example; number: number }[],
): Omit<TokenizedBatch, 'problems' | 'notes' | 'fingerprints'> {
  const tokens = examples.reduce((sum, { example }) => sum + example.inputIds.length, 0)
  const ids = new Int32Array(tokens)
  const runs: number[] = []
  const fields: number[] = []
  let start = 0
  for (const { example, number } of examples) {
    ids.set(example.inputIds, start)
    start += example.inputIds.length
    const own = runsOf(example)
    for (const run of own ?? example.labels) runs.push(run)
    const kind = own === undefined ? example.labels.length + labelsBit : own.length
    fields.push(example.inputIds.length, kind, example.scoredTokens, example.answerEnd ?? 0, number)
  }
  return { ids, runs: Int32Array.from(runs), fields: Uint32Array.from(fields) }
}

/** Undefined where a label is neither −100 nor the id: rows that were tokenized elsewhere may have such. */
function runsOf({ inputIds, labels }: Example): number[] | undefined {
  const runs: number[] = []
  let isScored = false
  let length = 0
  for (let t = 0; t < labels.length; t++) {
    const label = labels[t]!
    if (label !== notScored && label !== inputIds[t]) return undefined
    if ((label !== notScored) === isScored) length += 1
    else {
      runs.push(length)
      isScored = !isScored
      length = 1
    }
  }
  runs.push(length)
  return runs
}
