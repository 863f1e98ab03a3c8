import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, removeStaleTemporaries } from '../checkpoint/atomic-folder.js'
import { checkTensors, type ModelFolder, openModelFolder } from '../checkpoint/model-folder.js'
import { lockOutput } from '../checkpoint/output-lock.js'
import { checkResumable } from '../checkpoint/training-state.js'
import { checkSettings } from '../config/check-settings.js'
import { lastingSettings } from '../config/lasting-settings.js'
import type { TrainConfig } from '../config/train-config.js'
import type { TokenizingProgress } from '../data/example-cache.js'
import { declareParameters } from '../model/decoder-parameters.js'
import { type Device, openDevice } from '../native/device.js'
import { GenerationScorer } from './generation-score.js'
import { MetricsWriter } from './metrics.js'
import { type PreparedRun, prepareRun, required } from './prepare.js'
import {
  checkIsNoFile,
  checkModelIsApart,
  checkOutputFolder,
  findCheckpoint,
  liesIn,
  removeEarlierRun,
  resumeNotes,
} from './run-folder.js'
import { summarizeRun } from './run-summary.js'
import { loadMoments, loadWeights } from './session-state.js'
import { TrainSession } from './train-session.js'
import { type MicroBatchProgress, type TrainEvent, TrainingLoop } from './training-loop.js'

export type { MicroBatchProgress, TrainEvent } from './training-loop.js'

/** How a run is stopped, and who is told of what takes long. */
export interface TrainOptions {
  /**
   * Ends the run after the step at hand: a checkpoint is saved and the last event says `interrupted`. Before the event
   * `start` there is nothing to save, and the iteration throws the signal's reason (an AbortError).
   */
  signal?: AbortSignal
  /** Told now and then how far the tokenizing of a file is; never for what the cache has. */
  onTokenizing?: (progress: TokenizingProgress) => void
  /** Told after each micro-batch how far the step at hand is. */
  onMicroBatch?: (progress: MicroBatchProgress) => void
}

/**
 * Fine-tunes a model on reasoning chains, as an async iterable of events. The event loop stays free: the
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
  checkSettings(config)
  const outputDir = required(config.outputDir, 'output_dir', './output')
  // What is wrong with the model, the output folder or the device is said before a long tokenization.
  const model = await openTrainableModel(required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct'))
  await checkIsNoFile(outputDir)
  // Before anything in the folder is looked at. One that is not there yet is locked when it is made.
  let unlock = existsSync(outputDir) ? await lockOutput(outputDir, 'train') : undefined
  let device: Device | undefined
  let metrics: MetricsWriter | undefined
  try {
    const checkpoint = await findCheckpoint(config, outputDir)
    await checkModelIsApart(outputDir, model.folder)
    // A checkpoint of another folder is where a run starts from; what is in this folder is another run's.
    const continues = checkpoint !== undefined && (await liesIn(outputDir, checkpoint.folder))
    if (!continues) await checkOutputFolder(config, outputDir, model.folder)

    device = await openDevice(config.device, { threads: config.threads })
    const { instructionSet, description, memoryBytes } = device.info
    const run = await prepareRun(config, {
      signal: options.signal,
      availableBytes: memoryBytes,
      onProgress: options.onTokenizing,
    })
    const identity = {
      totalSteps: run.batches.totalSteps,
      settings: { ...run.model, ...lastingSettings(config) },
      examples: { count: run.examples.count, digest: run.examplesDigest },
      // Of a CUDA device with its name and what multiplies its matrices, which choose the order of sums as well.
      instructionSet: description === '' ? instructionSet : `${instructionSet} (${description})`,
    }
    if (checkpoint) checkResumable(checkpoint.state, identity, { folder: checkpoint.folder, lengthen: config.lengthen })
    const session = await TrainSession.create(device, run.plan)
    const { signal } = options
    await loadWeights(session, (checkpoint?.model ?? model).tensors, { masters: checkpoint?.optimizer, signal })
    if (checkpoint) await loadMoments(session, checkpoint.optimizer, signal)
    const { parameters, weights } = session.arenas
    const scorer = run.generation && (await GenerationScorer.create(device, run.generation, config.bf16 ? weights : parameters))
    const resumedStep = checkpoint?.state.step ?? 0
    await makeFolder(outputDir)
    if (unlock === undefined) {
      unlock = await lockOutput(outputDir, 'train')
      // Another run may have come and gone meanwhile.
      if (!continues) await checkOutputFolder(config, outputDir, model.folder)
    }
    for (const folder of [outputDir, join(outputDir, 'training-state')]) await removeStaleTemporaries(folder)
    if (!continues) await removeEarlierRun(outputDir)
    metrics = await MetricsWriter.open(outputDir, continues ? resumedStep : undefined)
    const notes = [...run.notes, ...(checkpoint ? resumeNotes(checkpoint, identity, config) : [])]
    yield startEvent(run, { resumedFrom: checkpoint?.folder, resumedStep, notes })
    const loop = new TrainingLoop({
      run,
      session,
      scorer,
      model,
      outputDir,
      identity,
      metrics,
      signal,
      onMicroBatch: options.onMicroBatch,
      resumedFolder: checkpoint?.folder,
    })
    yield* loop.steps(resumedStep)
  } finally {
    await metrics?.close()
    await device?.close()
    await unlock?.()
  }
}

type StartEvent = Extract<TrainEvent, { type: 'start' }>

function startEvent(run: PreparedRun, rest: Omit<StartEvent, 'type' | 'summary' | 'run'>): StartEvent {
  const event = { type: 'start' as const, summary: summarizeRun(run), ...rest }
  // Programs and plans are a hundred kilobytes of JSON that nobody wants in a message.
  return Object.defineProperty(event, 'run', { value: run }) as StartEvent
}

async function openTrainableModel(folder: string): Promise<ModelFolder> {
  const model = await openModelFolder(folder)
  checkTensors(declareParameters(model.config).weights, model.tensors, { tied: model.config.tieWordEmbeddings })
  return model
}
