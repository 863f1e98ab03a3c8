import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { DataError, type ErrorCode } from '../errors.js'
import type { RowBatch } from './rows/row-batch.js'
import { BatchTokenizer, type TokenizedBatch, type TokenizeWork } from './tokenize-batch.js'
import type { WorkerAnswer } from './tokenize-worker.js'

export interface TokenizeOptions {
  /** Worker threads; 0 does the work in this thread, which is faster for a few hundred rows. */
  workers: number
  signal?: AbortSignal | undefined
}

/** Smallest file for workers: below, loading the tokenizer takes longest. */
const BYTES_PER_WORKER = 1 << 23

/** Most workers: more cost more memory than they save time. */
const MAX_WORKERS = 16

/** Number of worker threads for a file, at most `wanted`; 0 where this thread alone is as fast. */
export async function workersFor(file: string, wanted: number): Promise<number> {
  const { size } = await stat(file).catch(() => ({ size: 0 }))
  const workers = Math.min(wanted, availableParallelism(), MAX_WORKERS, Math.floor(size / BYTES_PER_WORKER))
  return workers < 2 ? 0 : workers
}

/** Queue depth of a worker: the batch it works on, and more to do while a straggler on another worker holds up the order. */
const batchesPerWorker = 4

/**
 * Turns batches of rows into batches of examples, in the same order and, with worker threads, several at once. No more than a
 * few batches are in memory.
 *
 * Throws what loading the tokenizer and the template throws; errors in rows are problems in their batch.
 */
export async function* tokenize(
  batches: AsyncIterable<RowBatch>,
  work: TokenizeWork,
  { workers, signal }: TokenizeOptions,
): AsyncGenerator<TokenizedBatch> {
  if (workers === 0) {
    const tokenizer = new BatchTokenizer(work)
    for await (const batch of batches) {
      signal?.throwIfAborted()
      yield await tokenizer.tokenize(batch, signal)
    }
    return
  }
  const pool = Array.from({ length: workers }, () => new TokenizeThread(work))
  const pending: Promise<TokenizedBatch>[] = []
  try {
    for await (const batch of batches) {
      signal?.throwIfAborted()
      const idlest = pool.reduce((best, thread) => (thread.batches < best.batches ? thread : best))
      const answer = idlest.tokenize(batch)
      // Avoids an unhandled rejection: it may fail before it is awaited.
      answer.catch(() => {})
      pending.push(answer)
      if (pending.length >= workers * batchesPerWorker) yield await pending.shift()!
    }
    for (const answer of pending) {
      signal?.throwIfAborted()
      yield await answer
    }
  } finally {
    await Promise.all(pool.map((thread) => thread.close()))
  }
}

/** One worker thread, which answers batches in the order in which it gets them. */
class TokenizeThread {
  private readonly worker: Worker
  private failure: unknown
  private readonly waiting: { resolve: (batch: TokenizedBatch) => void; reject: (error: unknown) => void }[] = []

  constructor(work: TokenizeWork) {
    this.worker = new Worker(new URL('./tokenize-worker.js', import.meta.url), { workerData: work })
    this.worker.on('message', (answer: WorkerAnswer) => {
      const { resolve, reject } = this.waiting.shift()!
      if (answer.kind === 'examples') resolve(answer.batch)
      else reject(errorOf(answer))
    })
    const end = (error: unknown) => {
      this.failure ??= error
      for (const { reject } of this.waiting.splice(0)) reject(error)
    }
    this.worker.on('error', end)
    this.worker.on('exit', () => end(new Error('a worker thread of the tokenizer ended')))
  }

  /** Number of batches that it has not answered yet. */
  get batches(): number {
    return this.waiting.length
  }

  tokenize(batch: RowBatch): Promise<TokenizedBatch> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(this.failure)
      this.waiting.push({ resolve, reject })
      this.worker.postMessage(batch, batch.kind === 'json' ? [batch.bytes.buffer, batch.spans.buffer] : [])
    })
  }

  async close(): Promise<void> {
    this.worker.removeAllListeners('error').on('error', () => {})
    await this.worker.terminate()
  }
}

function errorOf({ code, message, details }: Extract<WorkerAnswer, { kind: 'failed' }>): Error {
  return code === undefined ? new Error(message) : new DataError(code as ErrorCode, message, details)
}
