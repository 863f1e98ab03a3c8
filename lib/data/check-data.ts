import type { TrainConfig } from '../config/train-config.js'
import { DataError, type ErrorCode, LimoError } from '../errors.js'
import { CheckedExamples } from './checked-examples.js'
import { chooseExamples, chooseHeldOut, type ExamplePool } from './choose-examples.js'
import { type DatasetSource, noRecords, resolveDatasets } from './dataset-info.js'
import { type FileNoteKind, type FileNotes, messagesOf, NoteCollector } from './file-notes.js'
import { judgeLength, type OverLongExample } from './over-length.js'
import type { WarningKind } from './record-warnings.js'
import { type RowPlace, type RowUnit, rowPlace } from './rows/row.js'
import { readBatches } from './rows/rows.js'
import { tokenizationOptions } from './tokenization.js'
import { tokenize, workersFor } from './tokenize.js'
import {
  exampleFields,
  labelsBit,
  labelsOfRuns,
  type RowProblem,
  runsIn,
  type TokenizedBatch,
  type TokenizeWork,
} from './tokenize-batch.js'

/** Something that is wrong with a data set, or odd about it. */
export interface DataProblem {
  /** A note is of a whole file. */
  severity: 'error' | 'warning' | 'note'
  code: ErrorCode | WarningKind | FileNoteKind
  /** Place, what was expected, what came and what to do. */
  message: string
  details: Record<string, unknown>
}

/** What a whole check found. */
export interface DataCheck {
  files: number
  /** Rows that became examples. */
  examples: number
  errors: number
  warnings: number
  /** Tokens of the examples, ascending quantiles; absent where there is no model to tokenize for. */
  tokens?: { total: number; scored: number; median: number; p90: number; longest: number }
}

/** How a data set is checked, and who is told. */
export interface CheckOptions {
  /** Without a model, rows are parsed and not tokenized. */
  model?: { folder: string; vocabSize: number } | undefined
  signal?: AbortSignal | undefined
  onProblem: (problem: DataProblem) => void
}

/**
 * Goes through whole data sets once and tells every problem, in the order of the rows. Throws only what concerns all rows: a
 * data set that is not there, a tokenizer or a template that cannot be used.
 */
export async function checkData(config: TrainConfig, dataset: string, options: CheckOptions): Promise<DataCheck> {
  const sources = await resolveDatasets(dataset, config.datasetDir)
  const check = new Check(config, options)
  const held = config.evalDataset === undefined ? [] : await resolveDatasets(config.evalDataset, config.datasetDir)
  const pools = { train: new CheckedExamples(), held: new CheckedExamples() }
  for (const source of sources) await check.source(source, pools.train)
  for (const source of held) await check.source(source, pools.held)
  check.tellNotes()
  // Rows that are errors are not in the pools: what is decided over all rows is only known without any.
  if (options.model !== undefined && check.isFine) check.tryChoosing(pools.train, held.length > 0 ? pools.held : undefined)
  return check.result()
}

class Check {
  private readonly counts = { files: 0, examples: 0, errors: 0, warnings: 0 }
  private readonly lengths: number[] = []
  private readonly files: { file: string; notes: FileNotes }[] = []
  private scored = 0
  private readonly seen = new FirstPlaces()
  /** Number of rows that training reads of the current data set. */
  private left = Infinity

  constructor(
    private readonly config: TrainConfig,
    private readonly options: CheckOptions,
  ) {}

  private tell(problem: DataProblem): void {
    if (problem.severity !== 'note') this.counts[problem.severity === 'error' ? 'errors' : 'warnings'] += 1
    this.options.onProblem(problem)
  }

  /** Reports a problem of a row. A row with an error counts toward `max_samples`, as it does in training. */
  private tellOfRow(problem: RowProblem): void {
    if (this.left <= 0) return
    if (problem.severity === 'error') this.left -= 1
    this.tell(problemOf(problem))
  }

  get isFine(): boolean {
    return this.counts.errors === 0
  }

  /** Chooses examples as training does, for what is only wrong with all of them together. */
  tryChoosing(train: ExamplePool, held: ExamplePool | undefined): void {
    try {
      chooseExamples(this.config, train)
      if (held !== undefined) chooseHeldOut(this.config, held)
    } catch (error) {
      if (!(error instanceof LimoError)) throw error
      const { code, message, details } = error
      this.tell({ severity: 'error', code, message, details: { ...details } })
    }
  }

  tellNotes(): void {
    for (const { kind, file, message } of messagesOf(this.files)) {
      this.tell({ severity: 'note', code: kind, message, details: { file } })
    }
  }

  async source(source: DatasetSource, pool: CheckedExamples): Promise<void> {
    this.left = this.config.maxSamples ?? Infinity
    pool.begin(source)
    const before = this.counts.examples + this.counts.errors
    for (const file of source.files) if (this.left > 0) await this.file(file, source, pool)
    if (this.counts.examples + this.counts.errors > before) return
    const unlearnt = this.files.slice(-source.files.length).reduce((sum, { notes }) => sum + notes.unlearnt, 0)
    this.tell(problemOf(noRecords(source, unlearnt)))
  }

  private async file(file: string, source: DatasetSource, pool: CheckedExamples): Promise<void> {
    const collector = new NoteCollector()
    this.counts.files += 1
    const before = this.counts.examples + this.counts.errors
    const onMalformed = (error: DataError) => this.tell(problemOf(error))
    let unit: RowUnit = 'line'
    const rows = (async function* () {
      for await (const batch of readBatches(file, { onMalformed })) {
        unit = batch.unit
        yield batch
      }
    })()
    const { model, signal } = this.options
    const workers = model === undefined ? 0 : await workersFor(file, this.config.preprocessingNumWorkers)
    try {
      for await (const batch of tokenize(rows, this.workOf(source), { workers, signal })) {
        this.batch(batch, { file, unit, pool })
        collector.add(batch.notes)
        if (this.left <= 0) break
      }
    } catch (error) {
      // The file is broken at this point: the rows after it cannot be read.
      if (!(error instanceof DataError) || error.code !== 'DATA_MALFORMED') throw error
      this.tell(problemOf(error))
    }
    this.files.push({ file, notes: collector.notes })
    const isEmpty = this.counts.examples + this.counts.errors === before
    if (isEmpty && collector.notes.unlearnt === 0) this.tell(problemOf(noRecords({ ...source, files: [file] }, 0)))
  }

  private workOf(source: DatasetSource): TokenizeWork {
    const { template } = this.config
    const { model } = this.options
    return {
      check: true,
      modelFolder: model?.folder,
      vocabSize: model?.vocabSize ?? Infinity,
      ...tokenizationOptions(this.config),
      ...(template !== undefined && { template }),
      ...(source.columns && { columns: source.columns }),
    }
  }

  private batch(batch: TokenizedBatch, { file, unit, pool }: { file: string; unit: RowUnit; pool: CheckedExamples }): void {
    const problems = [...batch.problems]
    for (const [index, runs] of runsIn(batch).entries()) {
      while (problems[0] !== undefined && problems[0].after <= index) this.tellOfRow(problems.shift()!)
      if (this.left <= 0) return
      this.left -= 1
      const [length, kind, scoredTokens, answerEnd, number] = batch.fields.subarray(index * exampleFields) as unknown as number[]
      const place = rowPlace(file, unit, number!)
      this.counts.examples += 1
      this.scored += scoredTokens!
      if (this.options.model !== undefined) {
        const example = { place: place.text, length: length!, scoredTokens: scoredTokens!, answerEnd: answerEnd! }
        const isTooLong = example.length > this.config.cutoffLen
        this.lengths.push(example.length)
        const readLabels = isTooLong ? labelsReader(example.length, kind!, runs.slice()) : undefined
        pool.add({ ...example, readLabels })
        if (readLabels !== undefined) this.tellOfLength(judgeLength(example, readLabels, this.config), place)
      }
      const first = this.seen.firstOf(batch.fingerprints![index]!, { file, unit, number: number! })
      if (first !== undefined) {
        const message = `${place.text}: expected a record of its own but received the turns of ${first} again. Remove one of them.`
        this.tell({ severity: 'warning', code: 'DUPLICATE', message, details: { ...place.details, first } })
      }
    }
    for (const problem of problems) this.tellOfRow(problem)
  }

  private tellOfLength(judged: DataError | OverLongExample, place: RowPlace): void {
    if (judged instanceof DataError) {
      this.tell({ ...problemOf(judged), details: { ...place.details, ...judged.details } })
      return
    }
    const { cutoffLen, overLength } = this.config
    const remedies = { error: 'Raise cutoff_len, or set over_length', drop: 'It is dropped', truncate: 'Its end is cut off' }
    const problem = `expected at most ${cutoffLen} tokens (cutoff_len) but received ${judged.length}`
    const isError = overLength === 'error'
    this.tell({
      severity: isError ? 'error' : 'warning',
      code: isError ? 'DATA_OVER_LENGTH' : 'OVER_LENGTH',
      message: `${place.text}: ${problem}. ${remedies[overLength]}.`,
      details: { ...place.details, tokens: judged.length },
    })
  }

  result(): DataCheck {
    if (this.options.model === undefined || this.lengths.length === 0) return this.counts
    const lengths = Float64Array.from(this.lengths).sort()
    const quantile = (share: number) => lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))]!
    const total = lengths.reduce((sum, length) => sum + length, 0)
    return {
      ...this.counts,
      tokens: { total, scored: this.scored, median: quantile(0.5), p90: quantile(0.9), longest: lengths.at(-1)! },
    }
  }
}

/** Labels that tell what is scored; without the ids of a batch, which are not kept. */
function labelsReader(length: number, kind: number, runs: Int32Array): () => Int32Array {
  return () => (kind >= labelsBit ? runs : labelsOfRuns(new Int32Array(length), runs))
}

function problemOf(problem: DataError | RowProblem): DataProblem {
  const { code, message, details } = problem
  return { severity: 'severity' in problem ? problem.severity : 'error', code, message, details }
}

/** Capacity of the table of fingerprints that finds duplicates: about 100 MB. */
const MOST_REMEMBERED = 1e6

class FirstPlaces {
  private readonly places = new Map<number, { file: string; unit: RowUnit; number: number }>()

  /** Place of the first record with this fingerprint, if there was one before. */
  firstOf(fingerprint: number, place: { file: string; unit: RowUnit; number: number }): string | undefined {
    const first = this.places.get(fingerprint)
    if (first !== undefined) return rowPlace(first.file, first.unit, first.number).text
    if (this.places.size < MOST_REMEMBERED) this.places.set(fingerprint, place)
    return undefined
  }
}
