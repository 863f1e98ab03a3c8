import { checkTensors, type ModelFolder, openModelFolder } from '../checkpoint/model-folder.js'
import { longestContext } from '../config/model-config.js'
import { type ChatTemplate, loadChatTemplate } from '../data/template/chat-template.js'
import { loadTokenizer, type TextTokenizer } from '../data/tokenizer/tokenizer.js'
import { ConfigError, DataError, NativeError } from '../errors.js'
import { declareParameters } from '../model/decoder-parameters.js'
import { loadRegion } from '../model/weights.js'
import type { ComputeDtype } from '../native/addon-types.js'
import { type Arena, type Device, openDevice } from '../native/device.js'
import { defaultMemoryLimit } from '../native/memory-limit.js'
import { type Completion, checkPrompt, type GenerateOptions, type GenerationEvent, type Prompt } from './completion.js'
import { Engine } from './engine.js'
import { EventQueue } from './event-queue.js'
import { type GenerationConfig, readGenerationConfig } from './generation-config.js'
import { type GenerationPlan, planGeneration } from './generation-plan.js'
import { type SamplingOptions, samplingOf } from './sampling.js'
import type { Sequence } from './sequence.js'
import { TextStream } from './text-stream.js'

/** Where a model is loaded, in which type, and for how much at once. */
export interface GeneratorOptions {
  /** The name of the device, `cpu` by default, or one that is open, which then stays open. */
  device?: string | Device
  threads?: number | undefined
  /** Type of weights, cache and products. Default: f32 where the weights are float32, else bf16. */
  dtype?: ComputeDtype | undefined
  /** The most answers in flight, 16 by default; others wait. */
  maxSequences?: number | undefined
  /** Most tokens of prompt and answer together; the model's max_position_embeddings when absent. */
  maxLength?: number | undefined
  /** Most bytes that may be allocated; most of what is free, when absent. */
  memoryLimit?: number | undefined
  /** Name of a chat template, `qwen`; the model's own when absent. */
  template?: string | undefined
  enableThinking?: boolean | undefined
  /** Give the logits with every token. */
  withLogits?: boolean | undefined
  signal?: AbortSignal | undefined
}

/** Prefill chunk: most prompt tokens of one step. */
const PREFILL_TOKENS = 1024

/**
 * A model that answers, any number of prompts at a time.
 *
 * @example
 * const generator = await TextGenerator.load('models/Qwen2.5-0.5B-Instruct')
 * for await (const event of generator.stream({ messages: [{ role: 'user', content: '1+1?' }] }, { temperature: 0.7 })) {
 *   if (event.type === 'token') process.stdout.write(event.text)
 * }
 * await generator.close()
 */
export class TextGenerator {
  readonly #running = new Set<Sequence>()
  #isClosed = false

  private constructor(
    readonly plan: GenerationPlan,
    readonly config: GenerationConfig,
    readonly tokenizer: TextTokenizer,
    private readonly template: () => Promise<ChatTemplate>,
    private readonly options: GeneratorOptions,
    private readonly engine: Engine,
    private readonly device: Device,
  ) {}

  /** Plans, allocates and loads. Throws what reading a model folder throws, and a NativeError OUT_OF_MEMORY. */
  static async load(model: string, options: GeneratorOptions = {}): Promise<TextGenerator> {
    const folder = await openModelFolder(model)
    checkTensors(declareParameters(folder.config).weights, folder.tensors, { tied: folder.config.tieWordEmbeddings })
    const tokenizer = await loadTokenizer(model)
    const config = await readGenerationConfig(model, folder.config, tokenizer)
    const given = options.device ?? 'cpu'
    const device =
      typeof given === 'string' ? await openDevice(given, { ...(options.threads && { threads: options.threads }) }) : given
    try {
      const plan = planFor(folder, device, options)
      const engine = await Engine.create(device, plan, await loadWeights(device, plan, folder, options.signal))
      let loaded: Promise<ChatTemplate> | undefined
      const template = () => {
        loaded ??= loadChatTemplate(model, options.template, tokenizer.specialTokens)
        return loaded
      }
      return new TextGenerator(plan, config, tokenizer, template, options, engine, device)
    } catch (error) {
      if (device !== given) await device.close()
      throw error
    }
  }

  /** The tokens that a prompt becomes. Throws TEMPLATE_NOT_FOUND and TEMPLATE_FAILED for conversations. */
  async promptIds(prompt: Prompt): Promise<number[]> {
    checkPrompt(prompt)
    if (typeof prompt !== 'string' && 'ids' in prompt) return [...prompt.ids]
    if (typeof prompt === 'string') return this.#textIds(prompt)
    const template = await this.template()
    const { enableThinking } = this.options
    const { segments } = template.prompt(prompt.messages, 'messages', {
      enableThinking,
      spelledTokens: this.tokenizer.spelledTokens,
    })
    return this.tokenizer.encodeSegments(segments).flat()
  }

  /** Tokens that end an answer: those of the model and, in a conversation, the one that its template ends a turn with. */
  async #endIds(prompt: Prompt): Promise<ReadonlySet<number>> {
    if (typeof prompt === 'string' || 'ids' in prompt) return this.config.endIds
    const marker = (await this.template()).endOfTurn()
    const id = marker === undefined ? undefined : this.tokenizer.tokenId(marker)
    return id === undefined ? this.config.endIds : new Set([...this.config.endIds, id])
  }

  #textIds(text: string): number[] {
    const { bosId, addsBos } = this.config
    const ids = this.tokenizer.encode(text)
    if (ids.length > 0) return bosId !== undefined && addsBos && ids[0] !== bosId ? [bosId, ...ids] : ids
    if (bosId !== undefined) return [bosId]
    throw new DataError(
      'DATA_EMPTY_TURN',
      'expected a prompt but received an empty one, and the model has no token that a text begins with.',
    )
  }

  /** Sampling options of a prompt: given ones override the model's recommendation. Throws CONFIG_INVALID_VALUE. */
  samplingOf(given: Partial<SamplingOptions>): SamplingOptions {
    return samplingOf(given, this.config.sampling)
  }

  /**
   * Answers a prompt, token by token. Leaving the loop ends the answer.
   *
   * @throws ConfigError CONFIG_INVALID_VALUE; NativeError INPUT_INVALID for a prompt that is too long, NON_FINITE; an AbortError when
   * `signal` stops it
   */
  async *stream(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GenerationEvent, void, void> {
    const { sample = 0, signal, ...given } = options
    const sampling = this.samplingOf(given)
    signal?.throwIfAborted()
    this.#checkOpen()
    const promptIds = await this.promptIds(prompt)
    const endIds = await this.#endIds(prompt)
    this.#checkOpen()
    const events = new EventQueue<GenerationEvent>()
    const text = new TextStream(this.tokenizer, sampling.stop, promptIds)
    let whole = ''
    let completionTokens = 0
    const sequence = this.engine.submit({
      promptIds,
      sampling,
      sample,
      endIds,
      onToken: (id, logprob, logits) => {
        completionTokens += 1
        const piece = endIds.has(id) ? '' : text.push(id)
        whole += piece
        events.push({ type: 'token', id, text: piece, logprob, ...(logits && { logits }) })
        return text.isStopped
      },
      onEnd: (end) => events.end(end),
    })
    this.#running.add(sequence)
    const onAbort = () => sequence.cancel()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      yield* events.read()
      const end = events.result!
      if (end instanceof Error) throw end
      signal?.throwIfAborted()
      this.#checkOpen()
      if (end === 'cancelled') return
      const rest = text.finish()
      yield { type: 'end', text: whole + rest, finishReason: end, promptTokens: promptIds.length, completionTokens }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      sequence.cancel()
      this.#running.delete(sequence)
    }
  }

  /** Answers a prompt as a whole. Errors as those of {@link stream}. */
  async complete(prompt: Prompt, options: GenerateOptions = {}): Promise<Completion> {
    const ids: number[] = []
    for await (const event of this.stream(prompt, options)) {
      if (event.type === 'token') ids.push(event.id)
      else return { text: event.text, ids, finishReason: event.finishReason, promptTokens: event.promptTokens }
    }
    throw new DOMException('The generation was aborted', 'AbortError')
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new NativeError('DEVICE_CLOSED', 'the generator is closed: answers cannot come from it any more')
  }

  /** Ends answers that are under way, and gives the device back where it was opened here. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const sequence of this.#running) sequence.cancel()
    if (this.device !== this.options.device) await this.device.close()
  }
}

function planFor(model: ModelFolder, device: Device, options: GeneratorOptions): GenerationPlan {
  const isFloat32 = [...model.tensors.values()].some(({ dtype }) => dtype === 'F32')
  const maxLength = options.maxLength ?? longestContext(model.config)
  if (!(Number.isInteger(maxLength) && maxLength >= 2))
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected a whole number of at least 2 for max_length but received ${maxLength}`,
    )
  return planGeneration({
    config: model.config,
    dtype: options.dtype ?? (isFloat32 ? 'f32' : 'bf16'),
    device: device.name,
    threads: device.info.threads,
    maxSequences: options.maxSequences ?? 16,
    maxLength,
    prefillTokens: Math.min(PREFILL_TOKENS, maxLength),
    memoryLimit: options.memoryLimit ?? defaultMemoryLimit(device.name, device.info.memoryBytes),
    withLogits: options.withLogits,
  })
}

async function loadWeights(
  device: Device,
  plan: GenerationPlan,
  model: ModelFolder,
  signal: AbortSignal | undefined,
): Promise<Arena> {
  const weights = device.allocate(plan.bytes.weights)
  const region = { arena: weights, offset: 0, dtype: plan.shape.dtype }
  await loadRegion(region, plan.layout.parts.values(), model.tensors, undefined, signal)
  return weights
}
