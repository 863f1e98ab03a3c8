import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type Comparison, compareAnswers, LONGEST_ANSWER } from './compare-answers.js'
import type { GradeAnswer, GradeRequest } from './grade-worker.js'

/** What one comparison may take. */
export interface GraderOptions {
  /** The longest that one answer is compared, 1000 unless said otherwise. */
  timeLimitMs?: number
  /** The most memory of the thread that compares long answers, 256 unless said otherwise. */
  memoryLimitMb?: number
}

/** A verdict on an answer. */
export interface Grade {
  /** Whether the prediction is the gold answer for certain. */
  correct: boolean
  /** Way of the comparison; `none`: there was no prediction, `timeout` and `failed`: comparing took too long, or failed. */
  how: Comparison['how'] | 'none' | 'timeout' | 'failed'
}

/** Two answers of this many characters together take a few milliseconds at most: no other thread is asked. */
const SHORT = 100

/**
 * Grades answers against gold ones: whether they are the same mathematics, by the rules of `docs/grader.md`. Short answers are
 * compared in the calling thread, long ones in a thread of its own, which is ended and replaced where it takes too long.
 *
 *     const grader = new Grader()
 *     await grader.grade('\\frac{1}{2}', extractAnswer(completion)) // { correct: true, how: 'number' } for \boxed{0.5}
 *     await grader.close()
 *
 * `grade` never throws for an answer, whatever it is; after `close` it throws an Error.
 */
export class Grader {
  private readonly timeLimitMs: number
  private readonly memoryLimitMb: number
  private worker: Worker | undefined
  /** The comparison that the thread is at; the next one waits for it. */
  private last: Promise<unknown> = Promise.resolve()
  private isClosed = false

  constructor({ timeLimitMs = 1000, memoryLimitMb = 256 }: GraderOptions = {}) {
    this.timeLimitMs = timeLimitMs
    this.memoryLimitMb = memoryLimitMb
  }

  async grade(gold: string, prediction: string | undefined): Promise<Grade> {
    if (this.isClosed) throw new Error('expected an open grader but received one that is closed')
    if (prediction === undefined || prediction.trim() === '') return { correct: false, how: 'none' }
    const isText = Math.max(gold.length, prediction.length) > LONGEST_ANSWER
    if (isText || gold.length + prediction.length <= SHORT) return gradeHere(gold, prediction)
    const grade = this.last.then(() => this.gradeInThread({ gold, prediction }))
    this.last = grade
    return grade
  }

  /** Ends the thread; answers that wait are graded as `failed`. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.replaceThread()
  }

  private async gradeInThread(request: GradeRequest): Promise<Grade> {
    if (this.isClosed) return { correct: false, how: 'failed' }
    const worker = this.worker ?? (await this.startThread())
    if (worker === undefined) return { correct: false, how: 'failed' }
    return new Promise((resolve) => {
      const stopListening = () => {
        clearTimeout(timer)
        // One by one: removing all of them removes a worker's own, without which it never hears a message again.
        worker.off('message', onMessage).off('error', onFailure).off('exit', onFailure)
        // Errors of a thread that was replaced are ignored.
        if (worker.listenerCount('error') === 0) worker.on('error', () => {})
      }
      const end = (grade: Grade) => {
        stopListening()
        resolve(grade)
      }
      const giveUp = (how: 'timeout' | 'failed') => {
        stopListening()
        void this.replaceThread().then(() => resolve({ correct: false, how }))
      }
      const onMessage = (answer: GradeAnswer) => end(answer === 'failed' ? { correct: false, how: 'failed' } : gradeOf(answer))
      const onFailure = () => giveUp('failed')
      const timer = setTimeout(() => giveUp('timeout'), this.timeLimitMs)
      worker.on('message', onMessage).on('error', onFailure).on('exit', onFailure)
      worker.postMessage(request)
    })
  }

  /** The timeout of an answer starts when the thread has started. */
  private async startThread(): Promise<Worker | undefined> {
    const worker = new Worker(new URL('./grade-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: this.memoryLimitMb },
    })
    const isStarted = await once(worker, 'message').then(
      () => true,
      () => false,
    )
    if (!isStarted || this.isClosed) {
      await worker.terminate()
      return undefined
    }
    // A grader that is never closed keeps no process alive; while it grades, the timer does.
    worker.unref()
    this.worker = worker
    return worker
  }

  private async replaceThread(): Promise<void> {
    const { worker } = this
    this.worker = undefined
    await worker?.terminate()
  }
}

function gradeHere(gold: string, prediction: string): Grade {
  try {
    return gradeOf(compareAnswers(gold, prediction))
  } catch {
    // Any error, also a bug that an answer has found: one answer must not end an evaluation.
    return { correct: false, how: 'failed' }
  }
}

function gradeOf({ verdict, how }: Comparison): Grade {
  return { correct: verdict === 'same', how }
}
