import { LimoError } from '../errors.js'
import { extractAnswer } from '../grader/extract-answer.js'
import type { Judge } from './judge.js'

/** Which server judges, with which model, and how it is asked. */
export interface OpenAiJudgeOptions {
  /** Up to and with `/v1`. */
  url: string
  model: string
  /** Sent as a bearer token; the environment's OPENAI_API_KEY when absent. */
  apiKey?: string | undefined
  signal?: AbortSignal | undefined
}

const instruction =
  'You compare the final answer of a solution with the right answer. Equal values in another form are the same. ' +
  'Reply with the single word yes or no.'

/** How often a request that failed is made again, and how long it may take, in milliseconds. */
const RETRIES = 3
const TIMEOUT = 120_000

/**
 * A judge that asks a language model at an endpoint that speaks OpenAI's protocol for chat completions. Only the end of a completion is
 * sent, where its answer stands.
 *
 * The judge throws a LimoError IO_FAILED when the endpoint cannot be reached or gives something else.
 */
export function openaiJudge({ url, model, apiKey = process.env.OPENAI_API_KEY, signal }: OpenAiJudgeOptions): Judge {
  const endpoint = `${url.replace(/\/+$/, '')}/chat/completions`
  return async ({ question, answer, completion }) => {
    const content = `Question:\n${question}\n\nRight answer:\n${answer}\n\nEnd of the solution:\n${completion.slice(-2000)}`
    const messages = [
      { role: 'system', content: instruction },
      { role: 'user', content },
    ]
    const reply = await ask(endpoint, { model, messages, temperature: 0, max_tokens: 5 }, { apiKey, signal })
    const verdict = /\b(yes|no)\b/i.exec(reply)?.[1]?.toLowerCase()
    if (verdict === undefined) throw failed(endpoint, `it said ${JSON.stringify(reply.slice(0, 80))} instead of yes or no`)
    return { extracted: extractAnswer(completion), correct: verdict === 'yes' }
  }
}

async function ask(
  endpoint: string,
  body: unknown,
  { apiKey, signal }: Pick<OpenAiJudgeOptions, 'apiKey' | 'signal'>,
): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const timeout = AbortSignal.timeout(TIMEOUT)
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) },
        body: JSON.stringify(body),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
      if (!response.ok) throw new Error(`it answered ${response.status} ${(await response.text()).slice(0, 200)}`)
      const { choices } = (await response.json()) as { choices?: { message?: { content?: unknown } }[] }
      const content = choices?.[0]?.message?.content
      if (typeof content !== 'string') throw new Error('its answer has no choices[0].message.content')
      return content
    } catch (cause) {
      if (signal?.aborted) throw cause
      if (attempt >= RETRIES) throw failed(endpoint, (cause as Error).message, cause)
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt))
    }
  }
}

function failed(endpoint: string, problem: string, cause?: unknown): LimoError {
  const message = `cannot judge by ${endpoint}: ${problem}. Check --judge-url, --judge-model and OPENAI_API_KEY, or leave them out.`
  return new LimoError('IO_FAILED', message, { endpoint }, { cause })
}
