import { basename, join } from 'node:path'
import type { JsonObject } from '../config/json-object.js'
import type { DataError } from '../errors.js'
import type { CurateRow } from './curate-row.js'
import { LineWriter } from './row-store.js'

export const stageNames = ['pool', 'difficulty', 'decontamination', 'quality', 'selection'] as const
export type StageName = (typeof stageNames)[number]

/** Why a row was dropped: a code to count by, a sentence with the evidence, and the evidence for a program. */
export interface DropReason {
  code: string
  message: string
  [evidence: string]: unknown
}

/** Number of values in each column: from 0 in steps of `width`. */
export interface Histogram {
  width: number
  counts: number[]
}

/** A row as the report shows it, its texts cut. */
export interface ExampleRow {
  place: string
  question: string
  solution?: string
  message?: string
  score?: number
}

/** Summary of a stage, kept with its files. */
export interface StageSummary {
  stage: StageName
  read: number
  kept: number
  dropped: number
  /** Rows dropped for each reason. */
  reasons: Record<string, number>
  /** Rows that could not be read. */
  malformed: number
  /** Histograms of chains that have a score; lengths in words. */
  histograms: Record<'score' | 'length', { kept: Histogram; dropped: Histogram }>
  /** The first few kept rows, and the first few dropped for each reason. */
  examples: { kept: ExampleRow[]; dropped: Record<string, ExampleRow[]> }
  /** Further notes of the stage for the report. */
  facts: JsonObject
}

/** The input rows of a stage, to be read once. */
export type RowSource = () => AsyncIterable<CurateRow>

export interface StageContext {
  rows: RowSource
  out: StageOutput
  /** An empty folder of the stage's own, removed when it is done. */
  temporary: string
  seed: number
  signal?: AbortSignal | undefined
}

/** Widths of columns at first: that of lengths doubles while there are more than {@link MOST_COLUMNS}. */
const widths = { score: 0.02, length: 10 }
const MOST_COLUMNS = 60
const mostExamples = 3

/** Writes what a stage keeps and drops, and counts it. */
export class StageOutput {
  private readonly kept: LineWriter
  private readonly dropped: LineWriter
  private readonly malformed: LineWriter
  readonly summary: StageSummary

  constructor(
    private readonly stage: StageName,
    folder: string,
  ) {
    this.kept = new LineWriter(join(folder, 'kept.jsonl'))
    this.dropped = new LineWriter(join(folder, 'dropped.jsonl'))
    this.malformed = new LineWriter(join(folder, 'malformed.jsonl'))
    const histogram = (width: number) => ({ kept: { width, counts: [] }, dropped: { width, counts: [] } })
    const histograms = { score: histogram(widths.score), length: histogram(widths.length) }
    const counts = { read: 0, kept: 0, dropped: 0, malformed: 0 }
    this.summary = { stage, ...counts, reasons: {}, histograms, examples: { kept: [], dropped: {} }, facts: {} }
  }

  /** Keeps a row; the stage's findings go into its `curation`, under the stage's name. */
  keep(row: CurateRow, findings: JsonObject = {}): void {
    const kept = { ...row, curation: { ...row.curation, [this.stage]: findings } }
    this.summary.read += 1
    this.summary.kept += 1
    this.measure(kept, 'kept')
    if (this.summary.examples.kept.length < mostExamples) this.summary.examples.kept.push(exampleOf(kept))
    this.kept.add(JSON.stringify(kept))
  }

  drop(row: CurateRow, reason: DropReason): void {
    this.summary.read += 1
    this.summary.dropped += 1
    this.summary.reasons[reason.code] = (this.summary.reasons[reason.code] ?? 0) + 1
    this.measure(row, 'dropped')
    this.summary.examples.dropped[reason.code] ??= []
    const examples = this.summary.examples.dropped[reason.code]!
    if (examples.length < mostExamples) examples.push({ ...exampleOf(row), message: reason.message })
    const curation = { ...row.curation, dropped: { stage: this.stage, ...reason } }
    this.dropped.add(JSON.stringify({ ...row, curation }))
  }

  /** Leaves out a row that could not be read. */
  setAside({ code, message, details }: DataError): void {
    this.summary.malformed += 1
    const file = typeof details.file === 'string' ? { ...details, file: basename(details.file) } : details
    this.malformed.add(JSON.stringify({ code, message, details: file }))
  }

  private measure(row: CurateRow, verdict: 'kept' | 'dropped'): void {
    const { quality } = row.curation
    for (const part of ['score', 'length'] as const) {
      const value = quality?.[part]
      if (value === undefined) continue
      const histograms = this.summary.histograms[part]
      while (value / histograms[verdict].width >= MOST_COLUMNS)
        for (const histogram of [histograms.kept, histograms.dropped]) widen(histogram)
      const { width, counts } = histograms[verdict]
      const column = Math.floor(value / width + 1e-9)
      while (counts.length <= column) counts.push(0)
      counts[column]! += 1
    }
  }

  close(): void {
    this.kept.close()
    this.dropped.close()
    this.malformed.close()
  }
}

/** Makes columns twice as wide. */
function widen(histogram: Histogram): void {
  const { counts } = histogram
  histogram.width *= 2
  histogram.counts = Array.from({ length: Math.ceil(counts.length / 2) }, (_, i) => counts[2 * i]! + (counts[2 * i + 1] ?? 0))
}

function exampleOf({ question, solution, curation }: CurateRow): ExampleRow {
  const score = curation.quality?.score
  const cut = (text: string) => (text.length <= 600 ? text : `${text.slice(0, 400)} … ${text.slice(-180)}`)
  return {
    place: curation.place,
    question: cut(question),
    ...(solution !== undefined && { solution: cut(solution) }),
    ...(score !== undefined && { score }),
  }
}
