import { isJsonObject } from '../config/json-object.js'
import { showValue } from '../config/show-value.js'
import type { Turn } from '../data/conversation.js'
import { ConfigError } from '../errors.js'
import type { SamplingOptions } from './sampling.js'

/** A prompt: a text as it stands, a conversation that the chat template renders, or token ids. */
export type Prompt = string | { messages: Turn[] } | { ids: readonly number[] }

/** `stop`: the model or a stop text ended it; `length`: it came to its limit. */
export type FinishReason = 'stop' | 'length'

/** What an answer tells: its tokens as they come, then its end. */
export type GenerationEvent =
  | {
      type: 'token'
      id: number
      /** Text that the token adds; empty while a character, or a possible stop text, is unfinished. */
      text: string
      logprob: number
      /** [V], only with `withLogits`. */
      logits?: Float32Array
    }
  | { type: 'end'; text: string; finishReason: FinishReason; promptTokens: number; completionTokens: number }

/** A whole answer. */
export interface Completion {
  text: string
  /** Its tokens, the one that ended it included. */
  ids: number[]
  finishReason: FinishReason
  promptTokens: number
}

/** How one answer is sampled, and what stops it. */
export interface GenerateOptions extends Partial<SamplingOptions> {
  /** Number of the answer among several to the same prompt: each has its own random numbers. */
  sample?: number
  signal?: AbortSignal | undefined
}

/** Callers in JavaScript have no types that would tell them. */
export function checkPrompt(prompt: unknown): asserts prompt is Prompt {
  const { messages, ids } = isJsonObject(prompt) ? prompt : {}
  const refuse = (expected: string, received: unknown) => {
    const message = `expected ${expected} for a prompt but received ${showValue(received)}`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { received })
  }
  if (typeof prompt === 'string' || Array.isArray(ids) || ArrayBuffer.isView(ids)) return
  if (!Array.isArray(messages) || messages.length === 0) return refuse('a text, { messages } or { ids }', prompt)
  const wrong = messages.find(
    (turn) => !(isJsonObject(turn) && typeof turn.role === 'string' && typeof turn.content === 'string'),
  )
  if (wrong !== undefined) refuse('messages with a role and a content that are texts', wrong)
}
