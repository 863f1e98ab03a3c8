import { NativeError } from '../errors.js'
import type { Arena, Device } from '../native/device.js'
import { Session } from '../plan/session.js'
import type { GenerationPlan, GenerationProgram } from './generation-plan.js'
import { PagePool } from './page-pool.js'
import { type EngineEnd, Sequence, type SequenceRequest } from './sequence.js'
import { decodeInputs, prefillInputs, type StepRow } from './step-inputs.js'

/**
 * Continuous batching: whenever a sequence ends, one that waits takes its place. Prompts are prefilled many tokens at a time;
 * answers are decoded one token of each sequence at a time. So the tokens of a sequence do not depend on the batch that it is
 * in.
 *
 * Preemption: when the cache is full, the sequence that began last gives up its pages. It starts again when there is room: its
 * prompt by prefill and its earlier tokens one by one, so that it goes on with the same bits.
 */
export class Engine {
  readonly pool: PagePool
  readonly #plan: GenerationPlan
  readonly #session: Session<string, GenerationProgram>
  readonly #waiting: Sequence[] = []
  #running: Sequence[] = []
  #isBusy = false

  private constructor(plan: GenerationPlan, session: Session<string, GenerationProgram>) {
    this.#plan = plan
    this.#session = session
    this.pool = new PagePool(plan.shape.pages, plan.shape.pageSize)
  }

  /** Allocates what the plan says but the weights, which lie in `weights` as the plan's layout has them, and compiles the programs. */
  static async create(device: Device, plan: GenerationPlan, weights: Arena): Promise<Engine> {
    return new Engine(plan, await Session.open<string, GenerationProgram>(plan, device, { weights }))
  }

  /** Sequences that are being generated, and that wait. */
  get load(): { running: number; waiting: number } {
    return { running: this.#running.length, waiting: this.#waiting.length }
  }

  /**
   * Submits a sequence; its listener is told of tokens and of the end.
   *
   * @throws NativeError INPUT_INVALID for a prompt that leaves no room for an answer, or with ids that the model does not have
   */
  submit(request: SequenceRequest): Sequence {
    const { promptIds, sampling } = request
    const { maxLength, shape } = this.#plan
    const invalid = (message: string) => new NativeError('INPUT_INVALID', message, { promptTokens: promptIds.length, maxLength })
    if (promptIds.length === 0) throw invalid('expected a prompt of at least one token but received none')
    if (promptIds.length >= maxLength)
      throw invalid(
        `expected a prompt of fewer than ${maxLength} tokens but received ${promptIds.length}. Raise max_length or shorten it.`,
      )
    const wrong = promptIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < shape.config.vocabSize))
    if (wrong !== undefined) throw invalid(`expected token ids in 0...${shape.config.vocabSize - 1} but received ${wrong}`)
    const sequence = new Sequence(request, Math.min(maxLength, promptIds.length + sampling.maxNewTokens))
    this.#waiting.push(sequence)
    // Sequences that are submitted in one turn of the event loop begin together.
    queueMicrotask(() => this.#start())
    return sequence
  }

  /** The tokens of a whole answer, the one that ends it included. Rejects with an AbortError where `signal` stops it. */
  complete(request: Omit<SequenceRequest, 'onToken' | 'onEnd'>, signal?: AbortSignal): Promise<number[]> {
    return new Promise((resolve, reject) => {
      const ids: number[] = []
      const sequence = this.submit({
        ...request,
        onToken: (id) => {
          ids.push(id)
          if (signal?.aborted) sequence.cancel()
          return false
        },
        onEnd: (end) => {
          if (end instanceof Error) reject(end)
          else if (end === 'cancelled') reject(signal?.reason ?? new DOMException('The generation was aborted', 'AbortError'))
          else resolve(ids)
        },
      })
    })
  }

  #start(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#work().catch((error: unknown) => {
      this.#isBusy = false
      const all = [...this.#running, ...this.#waiting.splice(0)]
      for (const sequence of all) this.#end(sequence, error as Error)
    })
  }

  async #work(): Promise<void> {
    for (;;) {
      for (const sequence of [...this.#running, ...this.#waiting]) if (sequence.isCancelled) this.#end(sequence, 'cancelled')
      this.#admit()
      if (this.#running.length === 0) {
        // Cleared at once: a submission from now on has to start the loop again.
        this.#isBusy = false
        return
      }
      const prompts = this.#running.filter((sequence) => sequence.computed < sequence.promptLength)
      if (prompts.length > 0) await this.#prefill(prompts)
      else await this.#decode()
    }
  }

  /** Takes sequences that wait, in order, while there are places and pages for their prompts. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#running.length < this.#plan.shape.maxSequences) {
      const sequence = this.#waiting[0]!
      const prompt = sequence.request.promptIds
      const { pages, isNextPending } = this.pool.holdKnown(prompt)
      const needed = Math.ceil(prompt.length / this.pool.pageSize) - pages.length
      // Keep a page free for each running sequence, or the newest would soon be preempted.
      const hasRoom = this.pool.available >= needed + (this.#running.length === 0 ? 0 : this.#running.length + 1)
      if (isNextPending || !hasRoom) {
        this.pool.release(pages)
        return
      }
      this.#waiting.shift()
      sequence.computed = pages.length * this.pool.pageSize
      for (let i = 0; i < needed; i++) pages.push(this.pool.take()!)
      sequence.pages = pages
      this.pool.announce(prompt, pages)
      this.#running.push(sequence)
    }
  }

  async #prefill(prompts: readonly Sequence[]): Promise<void> {
    const rows: StepRow[] = []
    let room = this.#plan.prefillTokens
    for (const sequence of prompts) {
      const count = Math.min(room, sequence.promptLength - sequence.computed)
      if (count === 0) break
      rows.push({ sequence, count })
      room -= count
    }
    await this.#step('prefill', rows)
  }

  async #decode(): Promise<void> {
    // The oldest first: they keep their pages.
    for (const sequence of [...this.#running]) {
      if (!this.#running.includes(sequence)) continue
      while (sequence.pages.length * this.pool.pageSize <= sequence.computed) {
        const page = this.pool.take()
        if (page !== undefined) sequence.pages.push(page)
        else if (!this.#sendBack(sequence)) break
      }
    }
    const rows = this.#running.map((sequence) => ({ sequence, count: 1 }))
    if (rows.length > 0) await this.#step('decode', rows)
  }

  /** Preempts the newest sequence: it gives up its pages and waits again. False where that is the sequence that needs them. */
  #sendBack(needing: Sequence): boolean {
    const newest = this.#running.pop()!
    this.pool.release(newest.pages)
    newest.pages = []
    newest.computed = 0
    this.#waiting.unshift(newest)
    return newest !== needing
  }

  async #step(step: 'prefill' | 'decode', rows: readonly StepRow[]): Promise<void> {
    const penalized = rows.some(({ sequence }) => sequence.request.sampling.repetitionPenalty !== 1)
    const name: GenerationProgram = penalized ? `penalized ${step}` : step
    const inputs =
      step === 'prefill' ? prefillInputs(this.#plan.shape, rows, penalized) : decodeInputs(this.#plan.shape, rows, penalized)
    const { token, logprob, logits } = await this.#session.run(name, { inputs })
    const { vocabSize } = this.#plan.shape.config
    for (const [index, { sequence, count }] of rows.entries()) {
      sequence.computed += count
      if (step === 'prefill') this.pool.markReady(sequence.pages, sequence.computed)
      // An unfinished prompt, or tokens from before a preemption: nothing is sampled from these.
      if (sequence.computed < sequence.tokens.length) continue
      this.#take(sequence, token![index]!, logprob![index]!, logits?.subarray(index * vocabSize, (index + 1) * vocabSize))
    }
  }

  #take(sequence: Sequence, token: number, logprob: number, logits: Float32Array | undefined): void {
    if (sequence.isCancelled) return
    if (token < 0) {
      const position = sequence.tokens.length
      const message = `expected finite logits after token ${position} but the model gave others. Are its weights whole?`
      this.#end(sequence, new NativeError('NON_FINITE', message, { position }))
      return
    }
    sequence.tokens.push(token)
    const wantsEnd = sequence.request.onToken(token, logprob, logits)
    if (wantsEnd || sequence.request.endIds.has(token)) this.#end(sequence, 'stop')
    else if (sequence.tokens.length >= sequence.mostTokens) this.#end(sequence, 'length')
  }

  #end(sequence: Sequence, end: EngineEnd): void {
    this.#running = this.#running.filter((other) => other !== sequence)
    const waiting = this.#waiting.indexOf(sequence)
    if (waiting >= 0) this.#waiting.splice(waiting, 1)
    this.pool.release(sequence.pages)
    sequence.pages = []
    sequence.request.onEnd(end)
  }
}
