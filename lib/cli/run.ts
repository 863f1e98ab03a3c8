import { join } from 'node:path'
import yargs, { type CommandModule } from 'yargs'
import { nearestName } from '../config/nearest-name.js'
import { ConfigError, LimoError } from '../errors.js'
import { packageRoot, packageVersion } from '../package-root.js'

/** The commands in the order of the help. Only the one that is given is loaded: all of them would take half a second. */
const commands = {
  train: async () => (await import('./commands/train.js')).trainCommand,
  generate: async () => (await import('./commands/generate.js')).generateCommand,
  eval: async () => (await import('./commands/eval.js')).evalCommand,
  plan: async () => (await import('./commands/plan.js')).planCommand,
  inspect: async () => (await import('./commands/inspect.js')).inspectCommand,
  curate: async () => (await import('./commands/curate.js')).curateCommand,
  data: async () => (await import('./commands/data.js')).dataCommand,
  config: async () => (await import('./commands/config.js')).configCommand,
  init: async () => (await import('./commands/init.js')).initCommand,
  bench: async () => (await import('./commands/bench.js')).benchCommand,
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand,
  build: async () => (await import('./commands/build.js')).buildCommand,
}

/** yargs tells the options of a command by no other way. */
interface WithOptions {
  getOptions(): { key?: Record<string, unknown> }
}

/** Exit codes: 0 done, 1 failed, 2 wrong usage or config, 130 interrupted and saved. */
const FAILED = 1
const WRONG_USAGE = 2

/**
 * Runs a command line, the words after the program's name. Prints errors and sets `process.exitCode`; the process goes on, so that a
 * program can run several.
 */
export async function run(words: readonly string[]): Promise<void> {
  try {
    await runCommand(words)
  } catch (error) {
    process.exitCode = error instanceof ConfigError ? WRONG_USAGE : FAILED
    if (words.includes('--debug')) console.error(error)
    else if (error instanceof LimoError) console.error(`limo-native: ${error.message} [${error.code}]`)
    else console.error(`limo-native: ${error instanceof Error ? error.message : String(error)} (--debug prints where)`)
  }
}

async function runCommand(words: readonly string[]): Promise<void> {
  const parser = yargs([...words])
    .scriptName('limo-native')
    .usage('$0 <command>\n\nFine-tunes language models on long reasoning chains.')
    .version(packageVersion)
    .example('$0 train', 'a tiny model learns sums')
    .example('$0 config > train.yaml', 'a config to begin with')
    .example('$0 plan train.yaml', 'what it takes, and what fits where')
    .example('$0 train train.yaml', 'fine-tune')
    .example('$0 generate --model out --question "6+7?"', 'ask the model')
    .epilogue(`Each command has --help. Guides are in ${join(packageRoot, 'docs')}`)
    .option('debug', { type: 'boolean', default: false, describe: 'print the stack trace of an error', global: true })
    // Keys are config keys: --learning_rate 1e-5 stays as it was typed.
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'boolean-negation': false,
      'parse-positional-numbers': false,
    })
    .demandCommand(1, 'expected a command: one of those above')
    .strictCommands()
    .help()
    .alias('help', 'h')
    .exitProcess(false)
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .fail((message, error, usage) => {
      // What an option's own reader throws comes as a YError, with its message alone.
      if (error && error.name !== 'YError') throw error
      const [command = ''] = words
      if (command === '') usage.showHelp('error')
      const { key = {} } = (parser as unknown as WithOptions).getOptions()
      throw new ConfigError('CONFIG_INVALID_VALUE', wrongUsage(message, command, Object.keys(key)))
    })
  const given = words.find((argument) => Object.hasOwn(commands, argument))
  const loaded = Object.entries(commands).filter(([name]) => given === undefined || name === given)
  for (const [, load] of loaded) parser.command((await load()) as CommandModule)
  await parser.parseAsync()
}

/** What yargs says, as this package says it: what was expected, what came. */
function inOurWords(message: string, options: string[]): string {
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, options)
    return `unknown option --${unknown}${nearest === undefined ? '' : `: did you mean --${nearest}?`}`
  }
  const extra = /^Unknown commands?: (.+)$/.exec(message)?.[1]
  if (extra !== undefined) return `unknown word behind the command: ${extra}`
  const missing = /^Missing required arguments?: (.+)$/.exec(message)?.[1]
  if (missing !== undefined) return `expected ${missing.replace(/(^|, )/g, '$1--')} but it is not set`
  const choice = /^Invalid values: Argument: (.+), Given: (.+), Choices: (.+)$/.exec(message)
  if (choice !== null) {
    const [, option, given, choices] = choice.map((text) => text.replaceAll('"', ''))
    return `expected ${choices!.replaceAll(', ', ' or ')} for --${option} but received ${given}`
  }
  const few = /^Not enough non-option arguments: got (\d+), need at least (\d+)$/.exec(message)
  if (few !== null) return `expected ${few[2]} ${few[2] === '1' ? 'word' : 'words'} behind the command but received ${few[1]}`
  return message
}

/** What yargs says, on one line, and where to read on. */
function wrongUsage(message: string, command: string, options: string[]): string {
  const names = Object.keys(commands)
  if (command === '') return `expected a command: ${names.join(', ')}`
  if (!names.includes(command)) {
    const nearest = nearestName(command, names)
    const meant = nearest === undefined ? '' : `: did you mean ${nearest}?`
    return `expected ${names.join(', ')} but received "${command}"${meant}`
  }
  return `${inOurWords(message.trim().replaceAll(/\s*\n\s*/g, ' '), options)} (limo-native ${command} --help lists what there is)`
}
