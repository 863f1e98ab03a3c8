import { setMaxListeners } from 'node:events'
import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { ConfigError } from '../../errors.js'
import type { Prompt, TextGenerator } from '../../generate/generator.js'
import { readMessages } from '../../generate/messages.js'
import type { SamplingOptions } from '../../generate/sampling.js'
import { formatCount } from '../format.js'
import {
  lastValues,
  loadGenerator,
  type ModelArguments,
  samplingArguments,
  withModelOptions,
  withSamplingOptions,
} from '../generation-options.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'

interface GenerateArguments extends ModelArguments {
  prompt: string | undefined
  messages: string | undefined
  question: string | undefined
  system: string | undefined
  samples: number
  json: boolean
}

export const generateCommand: CommandModule<object, GenerateArguments> = {
  command: 'generate',
  describe: 'continue a text, or answer a conversation, token by token',
  builder: (yargs: Argv) =>
    withSamplingOptions(withModelOptions(yargs))
      .option('prompt', { type: 'string', describe: 'text that is continued as it stands; "" begins a new one' })
      .option('question', { type: 'string', describe: 'one message of a user, which the chat template puts into form' })
      .option('system', { type: 'string', describe: 'system prompt of --question' })
      .option('messages', { type: 'string', describe: 'JSON file with a conversation: [{"role": "user", "content": "…"}]' })
      .option('samples', { type: 'number', default: 1, describe: 'answers to give, one after the other' })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object for each answer, at its end' })
      .strictOptions()
      .example('$0 generate --model trained --question "What is 17+25?"', 'ask a chat model')
      .example('$0 generate --model base --prompt "Once upon" --temperature 0.8', 'continue a text') as Argv<GenerateArguments>,
  handler: async (given) => {
    const args = lastValues(given)
    const prompt = await promptOf(args)
    const sampling = samplingArguments(args)
    if (!(Number.isInteger(args.samples) && args.samples >= 1))
      throw new ConfigError(
        'CONFIG_INVALID_VALUE',
        `expected a whole number of at least 1 for --samples but received ${args.samples}`,
      )
    const interruption = listenForInterrupt()
    const generator = await loadGenerator(args.model, args, { maxSequences: args.samples, signal: interruption.signal })
    try {
      await answer(generator, prompt, { samples: args.samples, sampling, json: args.json, signal: interruption.signal })
    } catch (error) {
      if (!interruption.signal.aborted) throw error
      process.exitCode = INTERRUPTED
    } finally {
      interruption.stop()
      await generator.close()
    }
  },
}

async function promptOf({ prompt, question, messages, system }: GenerateArguments): Promise<Prompt> {
  const given = [prompt, question, messages].filter((value) => value !== undefined)
  if (given.length !== 1)
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected one of --prompt, --question and --messages but received ${given.length === 0 ? 'none' : given.length}`,
    )
  if (system !== undefined && question === undefined)
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      'expected --system together with --question: a conversation in a file has its own',
    )
  if (prompt !== undefined) return prompt
  if (messages !== undefined) return { messages: await readMessages(messages) }
  const user = { role: 'user' as const, content: question! }
  return { messages: system === undefined ? [user] : [{ role: 'system', content: system }, user] }
}

interface Answering {
  samples: number
  sampling: Partial<SamplingOptions>
  json: boolean
  signal: AbortSignal
}

/** The answers, one after the other; all of them are generated together, the first is printed while it comes. */
async function answer(generator: TextGenerator, prompt: Prompt, { samples, sampling, json, signal }: Answering): Promise<void> {
  const start = performance.now()
  setMaxListeners(0, signal)
  const streams = Array.from({ length: samples }, (_, sample) => generator.stream(prompt, { ...sampling, sample, signal }))
  // Begun together, so that what they have in common is computed once.
  const first = streams.map((stream) => stream.next())
  let tokens = 0
  for (const [sample, stream] of streams.entries()) {
    for (let next = await first[sample]!; !next.done; next = await stream.next()) {
      const event = next.value
      if (event.type === 'token') {
        tokens += 1
        if (!json) process.stdout.write(event.text)
        continue
      }
      const { type: _, ...rest } = event
      process.stdout.write(json ? `${JSON.stringify({ sample, ...rest })}\n` : '\n')
    }
  }
  if (!process.stderr.isTTY) return
  const seconds = (performance.now() - start) / 1000
  process.stderr.write(
    pc.dim(`${formatCount(tokens)} tokens in ${seconds.toFixed(1)} s, ${formatCount(Math.round(tokens / seconds))} a second\n`),
  )
}
