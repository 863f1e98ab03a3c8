import { basename } from 'node:path'
import cliProgress from 'cli-progress'
import type { TokenizingProgress } from '../data/example-cache.js'
import type { MicroBatchProgress, TrainEvent } from '../train/trainer.js'
import { formatCount, formatDuration } from './format.js'

/** How long nothing is written, where there is no terminal, while a step goes on. */
const QUIET_MS = 30_000

type StepEvent = Extract<TrainEvent, { type: 'step' }>

/** Shows the steps of a run: one line that is rewritten on a terminal, plain lines of the logged steps otherwise. */
export class StepProgress {
  private readonly bar: cliProgress.SingleBar | undefined
  private readonly startedAt = performance.now()
  private stepStartedAt = this.startedAt
  private toldAt = this.startedAt

  constructor(
    private readonly output: NodeJS.WriteStream,
    totalSteps: number,
    private readonly resumedStep: number,
  ) {
    if (!output.isTTY) return
    this.bar = new cliProgress.SingleBar({
      stream: output,
      format: '{bar} step {value}/{total}  loss {loss}  grad norm {gradNorm}  lr {lr}  {speed} tokens/s  {left} left{within}',
      barsize: 16,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: false,
      // SIGINT is the command's: it saves before it ends.
      gracefulExit: false,
    })
    this.bar.start(totalSteps, resumedStep, { loss: '–', gradNorm: '–', lr: '–', speed: '–', left: '–', within: '' })
  }

  step(event: StepEvent): void {
    // By its own clock: the run's counts what was done before it was resumed.
    const perStepMs = (performance.now() - this.startedAt) / (event.step - this.resumedStep)
    const left = formatDuration(perStepMs * (event.totalSteps - event.step))
    const numbers = { loss: event.loss.toFixed(4), gradNorm: event.gradNorm.toFixed(3), lr: event.learningRate.toExponential(2) }
    const speed = formatCount(event.tokensPerSecond)
    this.stepStartedAt = performance.now()
    this.toldAt = this.stepStartedAt
    if (this.bar) this.bar.update(event.step, { ...numbers, speed, left, within: '' })
    else if (event.logged || event.step === this.resumedStep + 1)
      this.output.write(
        `step ${event.step}/${event.totalSteps}  epoch ${event.epoch.toFixed(2)}  loss ${numbers.loss}  grad norm ${numbers.gradNorm}  ` +
          `lr ${numbers.lr}  ${speed} tokens/s  ${left} left\n`,
      )
  }

  /** Shows how far the step at hand is: on the line of a terminal, elsewhere now and then where steps are long. */
  microBatch({ step, microBatch, microBatches, tokens }: MicroBatchProgress): void {
    const now = performance.now()
    const within = `micro-batch ${microBatch} of ${microBatches}, ${formatCount(tokens)} tokens, ${formatDuration(now - this.stepStartedAt)}`
    if (this.bar?.isActive) this.bar.update({ within: `  (${within})` })
    else if (now - this.toldAt >= QUIET_MS && microBatch < microBatches) {
      this.toldAt = now
      this.output.write(`step ${step}  ${within}\n`)
    }
  }

  /** Writes a line of its own without tearing the progress line. */
  line(text: string): void {
    if (this.bar) this.output.write(`\r\x1b[K${text}\n`)
    else this.output.write(`${text}\n`)
    if (this.bar?.isActive) this.bar.render()
  }

  /** Leaves the line as it is and the terminal as it was. */
  stop(): void {
    if (!this.bar?.isActive) return
    // The bar goes back to where it saved the cursor when it began; lines have come above it since.
    this.output.write('\x1b7')
    this.bar.stop()
  }
}

/** Shows how far the tokenizing of a large file is, a line every ten seconds. */
export function tokenizingLine(output: NodeJS.WriteStream): (progress: TokenizingProgress) => void {
  let shownAt = performance.now()
  return ({ file, examples, tokens }) => {
    if (performance.now() - shownAt < 10_000) return
    shownAt = performance.now()
    output.write(`tokenizing ${basename(file)}: ${formatCount(examples)} examples, ${formatCount(tokens)} tokens so far\n`)
  }
}
