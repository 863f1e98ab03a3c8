import { parentPort, workerData } from 'node:worker_threads'
import { LimoError } from '../errors.js'
import type { RowBatch } from './rows/row-batch.js'
import { BatchTokenizer, type TokenizedBatch, type TokenizeWork } from './tokenize-batch.js'

/** A worker's answer to a batch: its examples, or the error that ended all work. */
export type WorkerAnswer =
  | { kind: 'examples'; batch: TokenizedBatch }
  | { kind: 'failed'; name: string; code: string | undefined; message: string; details: Record<string, unknown> }

const tokenizer = new BatchTokenizer(workerData as TokenizeWork)

/** Batches are answered in the order in which they came: one waits for the one before. */
let last = Promise.resolve()

parentPort!.on('message', (rows: RowBatch) => {
  last = last.then(() => answerTo(rows))
})

async function answerTo(rows: RowBatch): Promise<void> {
  try {
    const batch = await tokenizer.tokenize(rows)
    const answer: WorkerAnswer = { kind: 'examples', batch }
    parentPort!.postMessage(answer, [batch.ids.buffer, batch.runs.buffer, batch.fields.buffer])
  } catch (error) {
    const { name, message } = error as Error
    const [code, details] = error instanceof LimoError ? [error.code, { ...error.details }] : [undefined, {}]
    parentPort!.postMessage({ kind: 'failed', name, code, message, details } satisfies WorkerAnswer)
  }
}
