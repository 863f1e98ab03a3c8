import { setMaxListeners } from 'node:events'
import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { type ConfigKeys, flag, path, text, whole } from '../../config/config-key.js'
import type { SettingsOf } from '../../config/settings.js'
import { ConfigError } from '../../errors.js'
import type { Prompt } from '../../generate/completion.js'
import type { TextGenerator } from '../../generate/generator.js'
import { readMessages } from '../../generate/messages.js'
import type { SamplingOptions } from '../../generate/sampling.js'
import { formatCount } from '../format.js'
import { loadGenerator, modelKeys, samplingOptionKeys, withGenerationOptions } from '../generation-options.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'
import { readOptions } from '../key-options.js'

const generateKeys = {
  prompt: text(undefined, 'text that is continued as it stands; "" begins a new one', { mayBeEmpty: true }),
  question: text(undefined, 'one message of a user, which the chat template puts into form', { mayBeEmpty: true }),
  system: text(undefined, 'system prompt of --question', { mayBeEmpty: true }),
  messages: path(undefined, 'JSON file with a conversation: [{"role": "user", "content": "…"}]'),
  samples: whole({ min: 1 }, 1, 'answers to give, one after the other'),
  json: flag(false, 'print one JSON object for each answer, at its end'),
} as const satisfies ConfigKeys

type GenerateSettings = SettingsOf<typeof generateKeys>

export const generateCommand: CommandModule = {
  command: 'generate',
  describe: 'continue a text, or answer a conversation, token by token',
  builder: (yargs: Argv) =>
    withGenerationOptions(yargs, generateKeys)
      .demandOption('model')
      .strictOptions()
      .example('$0 generate --model trained --question "What is 17+25?"', 'ask a chat model')
      .example('$0 generate --model base --prompt "Once upon" --temperature 0.8', 'continue a text'),
  handler: async (args) => {
    const settings = readOptions(generateKeys, args)
    const prompt = await promptOf(settings)
    const sampling = readOptions(samplingOptionKeys, args)
    const { samples, json } = settings
    const model = readOptions(modelKeys, args)
    const interruption = listenForInterrupt()
    const generator = await loadGenerator(model.model!, model, { maxSequences: samples, signal: interruption.signal })
    try {
      await answer(generator, prompt, { samples, sampling, json, signal: interruption.signal })
    } catch (error) {
      if (!interruption.signal.aborted) throw error
      process.exitCode = INTERRUPTED
    } finally {
      interruption.stop()
      await generator.close()
    }
  },
}

async function promptOf({ prompt, question, messages, system }: GenerateSettings): Promise<Prompt> {
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
    if (samples > 1 && !json) process.stdout.write(`${sample === 0 ? '' : '\n'}--- answer ${sample + 1} of ${samples}\n`)
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
