import { rm } from 'node:fs/promises'
import { publishFinalModel } from '../checkpoint/final-model.js'
import type { ModelFolder } from '../checkpoint/model-folder.js'
import { pruneCheckpoints, type TrainingState, writeCheckpoint } from '../checkpoint/training-state.js'
import type { StepBatch } from '../data/batch-stream.js'
import { NativeError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { GenerationScorer } from './generation-score.js'
import { type LrSchedule, learningRateAt, lrScheduleOf } from './lr-schedule.js'
import type { EvalMetrics, MetricsWriter, StepMetrics } from './metrics.js'
import type { PreparedRun } from './prepare.js'
import type { RunSummary } from './run-summary.js'
import { modelWriters, optimizerWriters } from './session-state.js'
import type { TrainSession } from './train-session.js'

/** What a training run tells, in this order: `start`, then steps, evaluations and checkpoints as they come, then `end`. */
export type TrainEvent =
  | {
      type: 'start'
      /** The run in numbers. */
      summary: RunSummary
      /** The run itself, with its plan and its examples: no part of the event as JSON, and not enumerable. */
      run: PreparedRun
      resumedFrom: string | undefined
      resumedStep: number
      /** What a user should know, a line each. */
      notes: string[]
    }
  | ({
      type: 'step'
      totalSteps: number
      /** Whether the step is one of those written to metrics.jsonl. */
      logged: boolean
    } & StepMetrics)
  | ({ type: 'evaluation' } & EvalMetrics)
  | { type: 'checkpoint'; step: number; folder: string }
  | {
      type: 'end'
      step: number
      outputDir: string
      /** Stopped by the signal, after a checkpoint was saved. */
      interrupted: boolean
    }

/** How far a step is. */
export interface MicroBatchProgress {
  step: number
  /** Micro-batches done, of so many. */
  microBatch: number
  microBatches: number
  /** Tokens done of this step. */
  tokens: number
}

/** What the loop works with: a run whose programs and weights are on a device. */
export interface TrainingContext {
  run: PreparedRun
  session: TrainSession
  /** Where held out problems are answered at each evaluation. */
  scorer: GenerationScorer | undefined
  model: ModelFolder
  outputDir: string
  /** What a checkpoint says of the run besides step and epoch. */
  identity: Omit<TrainingState, 'step' | 'epoch'>
  metrics: MetricsWriter
  signal: AbortSignal | undefined
  onMicroBatch: ((progress: MicroBatchProgress) => void) | undefined
  resumedFolder: string | undefined
}

/** Completions of an evaluation that go into the metrics. */
const SHOWN_COMPLETIONS = 4

/** The loop over the steps of a run that has been loaded. */
export class TrainingLoop {
  private readonly startedAt = performance.now()
  private readonly schedule: LrSchedule
  private savedStep = -1
  private savedFolder: string | undefined

  constructor(private readonly context: TrainingContext) {
    const { config, batches } = context.run
    this.schedule = lrScheduleOf(config, batches.totalSteps)
  }

  async *steps(resumedStep: number): AsyncGenerator<TrainEvent, void, undefined> {
    const { run, outputDir, signal } = this.context
    const { totalSteps } = run.batches
    let step = resumedStep
    let epoch = 0
    const { evalOnStart, evalStrategy } = run.config
    // Once: a run that is resumed has it in its metrics.
    if (evalOnStart && evalStrategy !== 'no' && step === 0 && !signal?.aborted) yield await this.evaluate(step, epoch)
    let tokensSinceLog = 0
    let loggedAt = performance.now()
    while (step < totalSteps && !signal?.aborted) {
      const batch = run.batches.step(++step)
      const { loss, gradNorm, learningRate } = await this.trainOn(batch)
      failpoint('step')
      epoch = batch.epoch
      tokensSinceLog += batch.tokens
      const now = performance.now()
      const row: StepMetrics = {
        ...{ step, epoch, loss, gradNorm, learningRate },
        scoredTokens: batch.scoredTokens,
        tokens: batch.tokens,
        elapsedMs: this.context.metrics.keptElapsedMs + Math.round(now - this.startedAt),
        tokensPerSecond: Math.round((tokensSinceLog / (now - loggedAt)) * 1000),
        peakBytes: this.peakBytes(),
      }
      // The last step of an interrupted run is the last of its metrics, as of a whole one.
      const logged = step % run.config.loggingSteps === 0 || step === totalSteps || signal?.aborted === true
      if (logged) {
        await this.context.metrics.append(row)
        failpoint('metrics')
        tokensSinceLog = 0
        loggedAt = now
      }
      yield { type: 'step', totalSteps, logged, ...row }
      // Before the checkpoint of this step: a run that resumes from it finds the row in the metrics.
      if (this.isEvaluationDue(step)) yield await this.evaluate(step, epoch)
      if (this.isDue(run.config.saveStrategy, run.config.saveSteps, step)) yield await this.save(step, epoch)
    }
    const interrupted = step < totalSteps
    if (this.savedStep !== step && step > resumedStep) {
      const saved = await this.save(step, epoch)
      if (interrupted || run.config.saveStrategy !== 'no') yield saved
    }
    if (!interrupted) await this.publish(step)
    yield { type: 'end', step, outputDir, interrupted }
  }

  private peakBytes(): number {
    const { session, run } = this.context
    // A plan is allocated as it is, before the first step.
    return session.plan.backends[0] === 'cuda'
      ? session.plan.totalBytes + run.generationBytes
      : process.resourceUsage().maxRSS * 1024
  }

  private async trainOn(batch: StepBatch): Promise<{ loss: number; gradNorm: number; learningRate: number }> {
    let loss = 0
    const { session, onMicroBatch } = this.context
    let tokens = 0
    for (const [i, microBatch] of batch.microBatches.entries()) {
      loss += (await session.runMicroStep(microBatch)).loss
      tokens += microBatch.inputIds.length
      onMicroBatch?.({ step: batch.step, microBatch: i + 1, microBatches: batch.microBatches.length, tokens })
    }
    if (!Number.isFinite(loss)) {
      const places = batch.microBatches.flatMap(({ exampleIndices }) =>
        exampleIndices.map((index) => this.context.run.examples.infoOf(index).place),
      )
      throw new NativeError(
        'NON_FINITE',
        `expected a finite loss at step ${batch.step} but received ${loss} (examples ${places.slice(0, 5).join(', ')}${places.length > 5 ? ', …' : ''}); ` +
          'the weights were not changed by this step and earlier checkpoints are intact. Lower learning_rate or look at the examples.',
        { step: batch.step, places },
      )
    }
    const learningRate = learningRateAt(batch.step - 1, this.schedule)
    return { loss, gradNorm: await this.context.session.update(batch.step, learningRate), learningRate }
  }

  /** Whether something that happens every `every` steps, or at the end of each epoch, happens after this step. */
  private isDue(strategy: 'no' | 'steps' | 'epoch', every: number, step: number): boolean {
    if (strategy === 'no') return false
    return strategy === 'steps' ? step % every === 0 : step % this.context.run.batches.stepsPerEpoch === 0
  }

  private isEvaluationDue(step: number): boolean {
    const { config, batches } = this.context.run
    const isEnd = step === batches.totalSteps && config.evalStrategy !== 'no'
    return isEnd || this.isDue(config.evalStrategy, config.evalSteps, step)
  }

  private async evaluate(step: number, epoch: number): Promise<TrainEvent> {
    let evalLoss = 0
    for (const batch of this.context.run.validation.batches()) evalLoss += (await this.context.session.evaluate(batch)).loss
    const row: EvalMetrics = { step, epoch, evalLoss }
    const scored = await this.context.scorer?.score()
    if (scored?.accuracy !== undefined) row.evalAccuracy = scored.accuracy
    if (scored !== undefined) {
      row.evalCutOff = scored.completions.filter(({ cutOff }) => cutOff).length / scored.completions.length
      row.completions = scored.completions.slice(0, SHOWN_COMPLETIONS)
    }
    await this.context.metrics.append(row)
    return { type: 'evaluation', ...row }
  }

  private async save(step: number, epoch: number): Promise<TrainEvent> {
    const { session, run, model, outputDir, identity, metrics } = this.context
    // A resumed run finds the rows up to its checkpoint.
    await metrics.sync()
    const folder = await writeCheckpoint(outputDir, step, {
      model: {
        configText: model.configText,
        tensors: modelWriters(session),
        tokenizer: { folder: run.modelFolder, chat: run.chat },
      },
      state: { step, epoch, ...identity },
      optimizer: optimizerWriters(session),
    })
    this.savedStep = step
    this.savedFolder = folder
    if (run.config.saveTotalLimit !== undefined) await pruneCheckpoints(outputDir, run.config.saveTotalLimit)
    return { type: 'checkpoint', step, folder }
  }

  /** The finished model goes into the output folder itself. */
  private async publish(step: number): Promise<void> {
    const { outputDir, run, resumedFolder } = this.context
    await publishFinalModel(this.savedFolder ?? resumedFolder!, outputDir)
    if (run.config.saveStrategy === 'no' && this.savedStep === step) await rm(this.savedFolder!, { recursive: true, force: true })
  }
}
