import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { makeFolder, removeStaleTemporaries } from '../checkpoint/atomic-folder.js'
import { publishFinalModel } from '../checkpoint/final-model.js'
import { checkTensors, type ModelFolder, openModelFolder } from '../checkpoint/model-folder.js'
import { expectedTensors } from '../checkpoint/tensor-names.js'
import {
  type Checkpoint,
  checkResumable,
  findLatestCheckpoint,
  openCheckpoint,
  pruneCheckpoints,
  writeCheckpoint,
} from '../checkpoint/training-state.js'
import type { TrainConfig } from '../config/train-config.js'
import type { StepBatch } from '../data/batch-stream.js'
import { CheckpointError, NativeError } from '../errors.js'
import { type Device, openDevice } from '../native/device.js'
import { type LrSchedule, learningRateAt, warmupStepsOf } from './lr-schedule.js'
import { MetricsWriter, type StepMetrics } from './metrics.js'
import { type PreparedRun, prepareRun, required } from './prepare.js'
import { TrainStep } from './step.js'
import { loadRegion, regionWriters } from './weights.js'

/** What a training run tells, in this order: `start`, then steps, evaluations and checkpoints as they come, then `end`. */
export type TrainEvent =
  | { type: 'start'; run: PreparedRun; resumedFrom: string | undefined; resumedStep: number }
  | ({ type: 'step'; totalSteps: number /** Written to metrics.jsonl. */; logged: boolean } & StepMetrics)
  | { type: 'evaluation'; step: number; epoch: number; evalLoss: number }
  | { type: 'checkpoint'; step: number; folder: string }
  | { type: 'end'; step: number; outputDir: string /** Stopped by the signal; a checkpoint was saved. */; interrupted: boolean }

export interface TrainOptions {
  /**
   * Ends the run after the step at hand: a checkpoint is saved and the last event says `interrupted`. Before the event
   * `start` there is nothing to save, and the iteration throws the signal's reason (an AbortError).
   */
  signal?: AbortSignal
}

/**
 * Fine-tunes every weight of a model on reasoning chains, as an async iterable of events. The event loop stays free: the
 * work is done on threads of the device. Leaving the loop early ends the run without saving.
 *
 * @throws ConfigError, DataError, CheckpointError, NativeError before the first step for whatever is wrong with the config,
 * the data, the model or the output folder; later NON_FINITE (the last checkpoint is intact) and WRITE_FAILED
 * @example
 * const { config } = await loadTrainConfig('train.yaml', {})
 * for await (const event of train(config)) {
 *   if (event.type === 'step') console.log(event.step, event.loss)
 * }
 */
export async function* train(config: TrainConfig, options: TrainOptions = {}): AsyncGenerator<TrainEvent, void, undefined> {
  const outputDir = required(config.outputDir, 'output_dir', './output')
  // What is wrong with the model or the output folder is said before a long tokenization.
  const model = await openTrainableModel(required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct'))
  const checkpoint = await findCheckpoint(config, outputDir)
  if (!checkpoint) await checkOutputFolder(config, outputDir, model.folder)

  const run = await prepareRun(config, options.signal)
  const identity = {
    totalSteps: run.batches.totalSteps,
    settings: settingsOf(config),
    examples: { count: run.examples.length, digest: run.examplesDigest },
  }
  if (checkpoint) checkResumable(checkpoint.state, identity, checkpoint.folder)

  const device = await openDevice(config.device, { threads: config.threads })
  let metrics: MetricsWriter | undefined
  try {
    const step = await TrainStep.create(device, run.step)
    await loadState(step, model, checkpoint, options.signal)
    const resumedStep = checkpoint?.state.step ?? 0
    await makeFolder(outputDir)
    await removeStaleTemporaries(outputDir)
    if (!checkpoint) await removeEarlierRun(outputDir)
    metrics = await MetricsWriter.open(outputDir, checkpoint ? resumedStep : undefined)
    yield { type: 'start', run, resumedFrom: checkpoint?.folder, resumedStep }
    const training = new Training({
      run,
      step,
      device,
      model,
      outputDir,
      identity,
      metrics,
      signal: options.signal,
      resumedFolder: checkpoint?.folder,
    })
    yield* training.steps(resumedStep)
  } finally {
    await metrics?.close()
    await device.close()
  }
}

interface TrainingContext {
  run: PreparedRun
  step: TrainStep
  device: Device
  model: ModelFolder
  outputDir: string
  identity: { totalSteps: number; settings: Record<string, unknown>; examples: { count: number; digest: string } }
  metrics: MetricsWriter
  signal: AbortSignal | undefined
  resumedFolder: string | undefined
}

/** The loop over the steps of a run that has been loaded. */
class Training {
  private readonly startedAt = performance.now()
  private readonly schedule: LrSchedule
  private savedStep = -1
  private savedFolder: string | undefined

  constructor(private readonly context: TrainingContext) {
    const { config, batches } = context.run
    this.schedule = {
      learningRate: config.learningRate,
      type: config.lrSchedulerType,
      warmupSteps: warmupStepsOf(config, batches.totalSteps),
      totalSteps: batches.totalSteps,
      minLrRate: config.minLrRate,
    }
  }

  async *steps(resumedStep: number): AsyncGenerator<TrainEvent, void, undefined> {
    const { run, outputDir, signal } = this.context
    const { totalSteps } = run.batches
    let step = resumedStep
    let epoch = 0
    let tokensSinceLog = 0
    let loggedAt = performance.now()
    while (step < totalSteps && !signal?.aborted) {
      const batch = run.batches.step(++step)
      const { loss, gradNorm, learningRate } = await this.trainOn(batch)
      epoch = batch.epoch
      tokensSinceLog += batch.tokens
      const now = performance.now()
      const row: StepMetrics = {
        ...{ step, epoch, loss, gradNorm, learningRate },
        scoredTokens: batch.scoredTokens,
        tokens: batch.tokens,
        elapsedMs: Math.round(now - this.startedAt),
        tokensPerSecond: Math.round((tokensSinceLog / (now - loggedAt)) * 1000),
        peakBytes: process.resourceUsage().maxRSS * 1024,
      }
      const logged = step % run.config.loggingSteps === 0 || step === totalSteps
      if (logged) {
        await this.context.metrics.append(row)
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

  private async trainOn(batch: StepBatch): Promise<{ loss: number; gradNorm: number; learningRate: number }> {
    let loss = 0
    for (const microBatch of batch.microBatches) loss += (await this.context.step.runMicroStep(microBatch)).loss
    if (!Number.isFinite(loss)) {
      const places = batch.microBatches.flatMap(({ exampleIndices }) =>
        exampleIndices.map((index) => this.context.run.examples[index]!.place),
      )
      throw new NativeError(
        'NON_FINITE',
        `expected a finite loss at step ${batch.step} but received ${loss} (examples ${places.slice(0, 5).join(', ')}${places.length > 5 ? ', …' : ''}); ` +
          'the weights were not changed by this step and earlier checkpoints are intact. Lower learning_rate or look at the examples.',
        { step: batch.step, places },
      )
    }
    const learningRate = learningRateAt(batch.step - 1, this.schedule)
    return { loss, gradNorm: await this.context.step.update(batch.step, learningRate), learningRate }
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
    for (const batch of this.context.run.validation) evalLoss += (await this.context.step.evaluate(batch)).loss
    await this.context.metrics.append({ step, epoch, evalLoss })
    return { type: 'evaluation', step, epoch, evalLoss }
  }

  private async save(step: number, epoch: number): Promise<TrainEvent> {
    const { step: program, run, model, outputDir, identity, metrics } = this.context
    // A resumed run finds the rows up to its checkpoint.
    await metrics.sync()
    const { layout } = program.plan
    const moments = program.arenas.optimizer
    const folder = await writeCheckpoint(outputDir, step, {
      model: {
        configText: model.configText,
        tensors: regionWriters({ arena: program.arenas.parameters, offset: 0 }, layout),
        tokenizer: { folder: run.modelFolder },
      },
      state: { step, epoch, ...identity },
      optimizer: [
        ...regionWriters({ arena: moments, offset: 0 }, layout, firstMomentName),
        ...regionWriters({ arena: moments, offset: layout.bytes }, layout, secondMomentName),
      ],
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

const firstMomentName = (name: string) => `exp_avg.${name}`
const secondMomentName = (name: string) => `exp_avg_sq.${name}`

async function openTrainableModel(folder: string): Promise<ModelFolder> {
  const model = await openModelFolder(folder)
  checkTensors(expectedTensors(model.config), model.tensors, { tied: model.config.tieWordEmbeddings })
  return model
}

async function findCheckpoint(config: TrainConfig, outputDir: string): Promise<Checkpoint | undefined> {
  const asked = config.resumeFromCheckpoint
  if (asked === false) return undefined
  const folder = asked === true ? await findLatestCheckpoint(outputDir) : asked
  if (folder === undefined) {
    throw new CheckpointError(
      'CHECKPOINT_NOT_FOUND',
      `expected a complete checkpoint to resume from in ${resolve(outputDir)} but there is none. Start without resume_from_checkpoint.`,
      { outputDir },
    )
  }
  return openCheckpoint(folder, { verify: true })
}

/** A run must not write over another one, or over the model it starts from. */
async function checkOutputFolder(config: TrainConfig, outputDir: string, modelFolder: string): Promise<void> {
  if (resolve(outputDir) === resolve(modelFolder)) {
    throw new CheckpointError('OUTPUT_EXISTS', `expected an output_dir other than the model's folder ${resolve(modelFolder)}`, {
      outputDir,
    })
  }
  if (config.overwriteOutputDir) return
  const names = await readdir(outputDir).catch(() => [] as string[])
  const traces = names.filter((name) => /^checkpoint-\d+$/.test(name) || name === 'metrics.jsonl' || name === 'config.json')
  if (traces.length > 0) {
    throw new CheckpointError(
      'OUTPUT_EXISTS',
      `expected an empty output_dir but ${resolve(outputDir)} holds a run (${traces.slice(0, 3).join(', ')}). Go on with it with ` +
        '--resume_from_checkpoint true, write over it with --overwrite_output_dir true, or choose another output_dir.',
      { outputDir },
    )
  }
}

/** With overwrite_output_dir: checkpoints of the run before must not be taken for those of this one. */
async function removeEarlierRun(outputDir: string): Promise<void> {
  for (const name of await readdir(outputDir)) {
    if (/^checkpoint-\d+$/.test(name)) await rm(join(outputDir, name), { recursive: true, force: true })
  }
}

async function loadState(
  step: TrainStep,
  model: ModelFolder,
  checkpoint: Checkpoint | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { layout } = step.plan
  const { parameters, optimizer: arena } = step.arenas
  const { tensors } = checkpoint?.model ?? model
  await loadRegion({ arena: parameters, offset: 0 }, layout, tensors, undefined, signal)
  if (!checkpoint) return
  await loadRegion({ arena, offset: 0 }, layout, checkpoint.optimizer, firstMomentName, signal)
  await loadRegion({ arena, offset: layout.bytes }, layout, checkpoint.optimizer, secondMomentName, signal)
}

/** The settings that change the numbers of a run: those that a resumed run must share. */
function settingsOf(config: TrainConfig): Record<string, unknown> {
  const {
    cutoffLen,
    overLength,
    template,
    defaultSystem,
    valSize,
    disableShuffling,
    perDeviceTrainBatchSize,
    gradientAccumulationSteps,
  } = config
  const {
    packing,
    learningRate,
    lrSchedulerType,
    minLrRate,
    warmupRatio,
    warmupSteps,
    weightDecay,
    adamBeta1,
    adamBeta2,
    adamEpsilon,
  } = config
  const { maxGradNorm, lossReduction, dataSeed } = config
  return {
    ...{
      cutoffLen,
      overLength,
      template: template ?? null,
      defaultSystem,
      valSize,
      disableShuffling,
      perDeviceTrainBatchSize,
      gradientAccumulationSteps,
    },
    ...{
      packing,
      learningRate,
      lrSchedulerType,
      minLrRate,
      warmupRatio,
      warmupSteps: warmupSteps ?? null,
      weightDecay,
      adamBeta1,
      adamBeta2,
      adamEpsilon,
    },
    ...{ maxGradNorm, lossReduction, dataSeed },
  }
}
