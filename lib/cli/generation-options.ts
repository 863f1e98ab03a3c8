import type { Argv } from 'yargs'
import { TextGenerator } from '../generate/generator.js'
import { type SamplingOptions, samplingOf } from '../generate/sampling.js'
import type { ComputeDtype } from '../native/addon-types.js'

/** Options of commands that generate with a model. */
export interface ModelArguments extends SamplingArguments {
  model: string
  device: string
  threads: number | undefined
  dtype: ComputeDtype | undefined
  'max-length': number | undefined
  template: string | undefined
  'enable-thinking': boolean | undefined
}

/** The model of a command, with what was given of its options. */
export function loadGenerator(
  model: string,
  args: Omit<ModelArguments, 'model'>,
  options: { maxSequences: number; signal: AbortSignal },
): Promise<TextGenerator> {
  return TextGenerator.load(model, {
    device: args.device,
    threads: args.threads,
    dtype: args.dtype,
    maxLength: args['max-length'],
    template: args.template,
    enableThinking: args['enable-thinking'],
    ...options,
  })
}

export function withModelOptions(yargs: Argv, { isModelRequired = true } = {}): Argv {
  return yargs
    .option('model', { type: 'string', demandOption: isModelRequired, describe: 'Hugging Face model folder' })
    .option('device', { type: 'string', default: 'cpu', describe: 'cpu, cuda or cuda:N' })
    .option('threads', { type: 'number', describe: 'threads of the CPU [all]' })
    .option('dtype', {
      choices: ['f32', 'bf16'] as const,
      describe: 'what weights and the cache are held in [as the files have them]',
    })
    .option('max-length', { type: 'number', describe: 'most tokens of prompt and answer [what the model was made for]' })
    .option('template', { type: 'string', describe: 'a chat template by its name [the model’s own]' })
    .option('enable-thinking', { type: 'boolean', describe: 'given to the chat template' })
}

interface SamplingArguments {
  temperature: number | undefined
  'top-k': number | undefined
  'top-p': number | undefined
  'min-p': number | undefined
  'repetition-penalty': number | undefined
  'max-new-tokens': number | undefined
  stop: string | string[] | undefined
  seed: number | undefined
}

const samplingNames: Record<keyof SamplingOptions, keyof SamplingArguments> = {
  temperature: 'temperature',
  topK: 'top-k',
  topP: 'top-p',
  minP: 'min-p',
  repetitionPenalty: 'repetition-penalty',
  maxNewTokens: 'max-new-tokens',
  stop: 'stop',
  seed: 'seed',
}

export function withSamplingOptions(yargs: Argv): Argv {
  const group = 'How tokens are chosen (before what generation_config.json says):'
  return yargs
    .option('temperature', { group, type: 'number', describe: '0: always the most probable token' })
    .option('top-k', { group, type: 'number', describe: 'choose among so many of the most probable tokens; 0: all' })
    .option('top-p', {
      group,
      type: 'number',
      describe: 'choose among the most probable tokens with so much probability together',
    })
    .option('min-p', { group, type: 'number', describe: 'leave out tokens below this share of the most probable one’s' })
    .option('repetition-penalty', { group, type: 'number', describe: 'makes tokens that are there already less probable; 1: no' })
    .option('max-new-tokens', { group, type: 'number', describe: 'most tokens of an answer [1024; of eval the preset’s]' })
    .option('stop', { group, type: 'string', describe: 'text that ends an answer; can be given several times' })
    .option('seed', { group, type: 'number', describe: 'the same seed gives the same answers [42]' })
}

/** What was given, checked. Throws a ConfigError naming the option. */
export function samplingArguments(args: SamplingArguments): Partial<SamplingOptions> {
  const entries = Object.entries(samplingNames).map(([key, name]) => [key, args[name]] as const)
  const given = Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Partial<SamplingOptions>
  if (given.stop !== undefined) given.stop = [given.stop].flat()
  samplingOf(given, {}, (key) => `--${samplingNames[key]}`)
  return given
}

/** An option that is given twice has its last value, but for those that may be given several times. */
export function lastValues<T extends object>(args: T): T {
  const last = ([name, value]: [string, unknown]) => [
    name,
    Array.isArray(value) && !['stop', 'data', '_'].includes(name) ? value.at(-1) : value,
  ]
  return Object.fromEntries(Object.entries(args).map(last)) as T
}
