import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFailed, writeFileAtomically } from '../checkpoint/durable-file.js'
import { CheckpointError } from '../errors.js'
import type { SampleCompletion } from './generation-score.js'

/** One logged step. */
export interface StepMetrics {
  /** Counts from 1. */
  step: number
  epoch: number
  loss: number
  /** Before clipping. */
  gradNorm: number
  /** The one that this step used. */
  learningRate: number
  scoredTokens: number
  tokens: number
  /** Since the first step, without the time between a stop and its resumption. */
  elapsedMs: number
  tokensPerSecond: number
  /** Memory of the device: on the CPU the most that the process had at once, of a GPU what the run has allocated there. */
  peakBytes: number
}

/** One evaluation on the held out records. */
export interface EvalMetrics {
  step: number
  epoch: number
  evalLoss: number
  /** With predict_with_generate: the share of held out problems that were answered right. */
  evalAccuracy?: number
  /** With predict_with_generate: the share of held out problems whose answer max_new_tokens ended. */
  evalCutOff?: number
  /** With predict_with_generate: what the model said to some of them. */
  completions?: SampleCompletion[]
}

export const metricsName = 'metrics.jsonl'

/** Appends to `metrics.jsonl` of an output folder, one JSON object a line. */
export class MetricsWriter {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    /** What the kept rows say that the run had taken; 0 where none are. */
    readonly keptElapsedMs: number,
  ) {}

  /**
   * Opens the metrics of an output folder: anew, or, where a run resumes after `resumedStep` steps, with the rows up to that
   * step kept and later ones dropped, so that every step is there once. Throws a CheckpointError: `WRITE_FAILED`, and
   * `IO_FAILED` where the rows cannot be read, which then stay.
   */
  static async open(outputDir: string, resumedStep?: number): Promise<MetricsWriter> {
    const path = join(outputDir, metricsName)
    await makeFolder(outputDir)
    const kept = resumedStep === undefined ? '' : await rowsUpTo(path, resumedStep)
    await writeFileAtomically(path, (sink) => sink(Buffer.from(kept)))
    try {
      return new MetricsWriter(path, await open(path, 'a'), elapsedMsOf(kept))
    } catch (cause) {
      throw writeFailed(cause, path)
    }
  }

  /** Throws a CheckpointError `WRITE_FAILED`. */
  async append(row: StepMetrics | EvalMetrics): Promise<void> {
    try {
      await this.file.appendFile(`${JSON.stringify(row)}\n`)
    } catch (cause) {
      throw writeFailed(cause, this.path)
    }
  }

  /** Makes what was appended durable: before a checkpoint, so that the rows up to it are there as long as it is. */
  async sync(): Promise<void> {
    try {
      await this.file.sync()
    } catch (cause) {
      throw writeFailed(cause, this.path)
    }
  }

  async close(): Promise<void> {
    await this.file.close()
  }
}

/** Lines that are no rows are dropped: a kill can tear the last one, and a crash of the machine more. */
async function rowsUpTo(path: string, step: number): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return ''
    throw new CheckpointError('IO_FAILED', `cannot read ${path}: ${cause.message}`, { file: path }, { cause })
  })
  return text
    .split('\n')
    .filter((line) => isRowUpTo(line, step))
    .map((line) => `${line}\n`)
    .join('')
}

function elapsedMsOf(rows: string): number {
  const times = parseRows(rows).map((row) => ('elapsedMs' in row && Number.isFinite(row.elapsedMs) ? row.elapsedMs : 0))
  return times.reduce((most, time) => Math.max(most, time), 0)
}

function parseRows(rows: string): (StepMetrics | EvalMetrics)[] {
  return rows
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as StepMetrics | EvalMetrics)
}

function isRowUpTo(line: string, step: number): boolean {
  try {
    const row = JSON.parse(line) as { step?: unknown } | null
    return typeof row?.step === 'number' && row.step <= step
  } catch {
    return false
  }
}

/** Reads the rows of an output folder, without a torn last line. Throws a CheckpointError `IO_FAILED`. */
export async function readMetrics(outputDir: string): Promise<(StepMetrics | EvalMetrics)[]> {
  return parseRows(await rowsUpTo(join(outputDir, metricsName), Infinity))
}
