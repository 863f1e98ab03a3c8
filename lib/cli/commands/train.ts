import type { Argv, CommandModule } from 'yargs'
import type { LoadedTrainConfig, TrainConfig } from '../../config/train-config.js'
import type { Quickstart } from '../../quickstart/quickstart.js'
import { type QuickstartScore, scoreQuickstart } from '../../quickstart/quickstart-score.js'
import { type TrainEvent, train } from '../../train/trainer.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { counted, deviceText, formatBytes, formatCount, formatDuration, formatTable, parametersText } from '../format.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'
import { overLengthLines } from '../over-length-lines.js'
import { StepProgress, tokenizingLine } from '../progress.js'

/** Problems that the untrained model is asked: it solves none, and runs each answer to its limit. */
const PROBLEMS_BEFORE = 20

const stoppedEarly = 'Stopped before a step was done; there was nothing to save.'

export const trainCommand: CommandModule<object, { config: string | undefined }> = {
  command: 'train [config]',
  describe: 'fine-tune a model on a file of chains; without a config, a tiny model on generated arithmetic',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .example('$0 train', 'generate chains and a tiny model, and train it in minutes')
      .example('$0 train train.yaml --learning_rate 1e-5', 'train by a config, with one key changed'),
  handler: async (args) => {
    const { quickstart, ...loaded } = await loadCommandConfig(args)
    if (quickstart) console.log(`No config given: training a tiny model on generated arithmetic chains, in ${quickstart.folder}/`)
    await run(loaded, quickstart)
  },
}

async function run({ config, notes }: LoadedTrainConfig, quickstart?: Quickstart): Promise<void> {
  for (const note of notes) console.log(`note: ${note}`)
  const interruption = listenForInterrupt()
  let progress: StepProgress | undefined
  let last: Extract<TrainEvent, { type: 'step' }> | undefined
  let startedAt = performance.now()
  let savedAt: number | undefined
  try {
    const before = quickstart && (await scoreBefore(quickstart, config, interruption.signal))
    for await (const event of train(config, {
      signal: interruption.signal,
      onTokenizing: tokenizingLine(process.stdout),
      onMicroBatch: (done) => progress?.microBatch(done),
    })) {
      if (event.type === 'start') {
        printStart(event)
        if (event.resumedFrom !== undefined) savedAt = event.resumedStep
        for (const note of event.notes) console.log(`note: ${note}`)
        startedAt = performance.now()
        progress = new StepProgress(process.stdout, event.run.batches.totalSteps, event.resumedStep)
        interruption.onFirst(() => progress!.line('Finishing this step and saving. Press Ctrl-C again to stop at once.'))
        interruption.onSecond(() => {
          progress!.line(
            savedAt === undefined
              ? 'Stopped at once: nothing was saved.'
              : `Stopped at once: step ${savedAt} is the last that was saved.`,
          )
          progress!.stop()
        })
      } else if (event.type === 'step') {
        last = event
        progress!.step(event)
      } else if (event.type === 'evaluation') for (const line of evaluationLines(event)) progress!.line(line)
      else if (event.type === 'checkpoint') {
        savedAt = event.step
        progress!.line(`step ${event.step}  saved ${event.folder}`)
      } else {
        progress!.stop()
        const elapsedMs = performance.now() - startedAt
        const after = event.interrupted ? undefined : quickstart && (await score(event.outputDir, quickstart, config))
        printEnd(event, { last, elapsedMs, quickstart, before, after })
        if (event.interrupted) process.exitCode = INTERRUPTED
      }
    }
  } catch (error) {
    if (!interruption.signal.aborted || error !== interruption.signal.reason) throw error
    console.log(stoppedEarly)
    process.exitCode = INTERRUPTED
  } finally {
    progress?.stop()
    interruption.stop()
  }
}

/** Characters of a completion that are shown. */
const SHOWN = 60

function evaluationLines({
  step,
  evalLoss,
  evalAccuracy,
  evalCutOff,
  completions,
}: Extract<TrainEvent, { type: 'evaluation' }>): string[] {
  const accuracy = evalAccuracy === undefined ? '' : `, ${(100 * evalAccuracy).toFixed(1)}% of the answers right`
  const ended = !evalCutOff ? '' : `, ${(100 * evalCutOff).toFixed(1)}% of them cut off by max_new_tokens`
  const lines = [`step ${step}  evaluation loss ${evalLoss.toFixed(4)}${accuracy}${ended}`]
  const [first] = completions ?? []
  if (first !== undefined) {
    const end = first.completion.trim().replaceAll(/\s+/g, ' ')
    const verdict = first.answer === null ? '' : `  (${first.correct ? 'right' : `the answer is ${first.answer}`})`
    lines.push(`  ${first.place}: ${end.length > SHOWN ? '…' : ''}${end.slice(-SHOWN)}${verdict}`)
  }
  return lines
}

function printStart({ run, resumedFrom, resumedStep }: Extract<TrainEvent, { type: 'start' }>): void {
  const { report, batches, plan, model, config } = run
  console.log(`model      ${run.modelFolder}: ${model.modelType}, ${parametersText(plan.layout)}`)
  console.log(
    `data       ${formatCount(run.examples.count)} examples, ${formatCount(report.tokens)} tokens (${formatCount(report.scoredTokens)} scored), longest ${formatCount(report.longest)}`,
  )
  for (const line of overLengthLines(report)) console.log(`           ${line}`)
  const samples = config.perDeviceTrainBatchSize * config.gradientAccumulationSteps
  console.log(
    `steps      ${formatCount(batches.totalSteps)} of ${counted(samples, 'example')}, ${batches.stepsPerEpoch} an epoch`,
  )
  const recomputed = plan.recomputedLayers === 0 ? '' : `, ${plan.recomputedLayers} of ${model.numHiddenLayers} layers recomputed`
  console.log(`memory     ${formatBytes(plan.totalBytes + run.generationBytes)} on ${deviceText(config)}${recomputed}`)
  if (resumedFrom) console.log(`resuming   after step ${resumedStep} from ${resumedFrom}`)
}

function score(
  model: string,
  { problemsPath }: Quickstart,
  { device, threads }: TrainConfig,
  options: { limit?: number; signal?: AbortSignal } = {},
): Promise<QuickstartScore> {
  return scoreQuickstart(model, problemsPath, { device, threads, ...options })
}

async function scoreBefore(
  quickstart: Quickstart,
  config: TrainConfig,
  signal: AbortSignal,
): Promise<QuickstartScore | undefined> {
  // A run that goes on has been scored.
  if (config.resumeFromCheckpoint !== false) return undefined
  const before = await score(quickstart.baseModel, quickstart, config, { limit: PROBLEMS_BEFORE, signal })
  console.log(`before     ${scoreText(before)} of the held out problems solved`)
  return before
}

function scoreText({ solved, problems }: QuickstartScore): string {
  return `${solved} of ${problems} (${((100 * solved) / problems).toFixed(0)}%)`
}

interface Ending {
  last: Extract<TrainEvent, { type: 'step' }> | undefined
  elapsedMs: number
  quickstart: Quickstart | undefined
  before: QuickstartScore | undefined
  after: QuickstartScore | undefined
}

function printEnd(event: Extract<TrainEvent, { type: 'end' }>, { last, elapsedMs, quickstart, before, after }: Ending): void {
  if (event.interrupted && !last) console.log(`\n${stoppedEarly}`)
  else if (event.interrupted) {
    const how = quickstart ? `limo-native train ${quickstart.configPath} with the same options` : 'the same command'
    console.log(`\nStopped after step ${event.step} and saved. Go on with ${how} and --resume_from_checkpoint true.`)
  }
  if (event.interrupted) return
  console.log(
    `\nTrained ${counted(event.step, 'step')} in ${formatDuration(elapsedMs)}${last ? `, loss ${last.loss.toFixed(4)}` : ''}.`,
  )
  console.log(`The model is in ${event.outputDir}: a Hugging Face model folder. metrics.jsonl is beside it.`)
  if (!quickstart) return
  if (after) {
    const was = before ? `, ${scoreText(before)} before` : ''
    console.log(`\nOf held out problems it solves ${scoreText(after)}${was}${after.example ? '. One of them:\n' : '.'}`)
    if (after.example) console.log(`  ${after.example.question}\n  ${after.example.completion.replaceAll('\n', '\n  ')}`)
  }
  console.log('\nWhat to try next:')
  console.log(
    formatTable(
      [
        [`npx limo-native generate --model ${quickstart.folder} --question "What is 3810 - 54?"`, 'ask it something else'],
        [`npx limo-native inspect ${quickstart.configPath} --row 1`, 'a chain as the model sees it'],
        [`npx limo-native train ${quickstart.configPath} --num_train_epochs 2`, 'change a setting (or edit the file)'],
        ['npx limo-native train --model_name_or_path DIR --dataset chains.jsonl --output_dir OUT', 'your own model and chains'],
      ],
      '  ',
    ),
  )
}
