import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { ConfigError } from '../../errors.js'
import { readBenchmarks } from '../../eval/benchmark.js'
import { evaluate } from '../../eval/evaluate.js'
import { summaryRows } from '../../eval/evaluation-page.js'
import { gradeCompletions } from '../../eval/grade-completions.js'
import type { Judge } from '../../eval/judge.js'
import { openaiJudge } from '../../eval/openai-judge.js'
import { presets, protocolFor } from '../../eval/protocol.js'
import { formatCount, formatDuration } from '../format.js'
import {
  lastValues,
  loadGenerator,
  type ModelArguments,
  samplingArguments,
  withModelOptions,
  withSamplingOptions,
} from '../generation-options.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'

interface EvalArguments extends Omit<ModelArguments, 'model'> {
  model: string | undefined
  data: string[] | undefined
  completions: string | undefined
  output: string | undefined
  preset: string
  system: string | undefined
  samples: number | undefined
  limit: number | undefined
  'batch-size': number
  'judge-url': string | undefined
  'judge-model': string | undefined
  json: boolean
}

export const evalCommand: CommandModule<object, EvalArguments> = {
  command: 'eval',
  describe: 'how well a model reasons: benchmarks by LIMO’s protocol, or completions made elsewhere',
  builder: (yargs: Argv) =>
    withSamplingOptions(withModelOptions(yargs, { isModelRequired: false }))
      .option('data', {
        type: 'string',
        array: true,
        describe: 'benchmarks: files, globs or folders of rows with question and answer',
      })
      .option('preset', {
        type: 'string',
        default: 'limo',
        describe: `protocol: ${Object.keys(presets).join(', ')}; other options go before it`,
      })
      .option('system', { type: 'string', describe: 'system prompt [the preset’s]' })
      .option('samples', { type: 'number', describe: 'answers to each problem [the preset’s]' })
      .option('limit', { type: 'number', describe: 'only the first so many problems of each benchmark' })
      .option('batch-size', { type: 'number', default: 16, describe: 'answers in flight' })
      .option('output', {
        type: 'string',
        describe: 'folder for results.jsonl, summary.json and report.html; of --completions, the graded file',
      })
      .option('completions', { type: 'string', describe: 'grade these rows {answer, completion} instead of asking a model' })
      .option('judge-url', { type: 'string', describe: 'an endpoint of OpenAI’s protocol that judges answers [the grader]' })
      .option('judge-model', { type: 'string', describe: 'the model that judges there' })
      .option('json', { type: 'boolean', default: false, describe: 'print the summaries as one JSON object' })
      .strictOptions()
      .example('$0 eval --model trained --data aime.jsonl math.jsonl --output scores', 'LIMO’s protocol')
      .example('$0 eval --completions vllm.jsonl --output graded.jsonl', 'the grader alone') as unknown as Argv<EvalArguments>,
  handler: async (given) => {
    const args = lastValues(given)
    if (args.completions !== undefined) return gradeFile(args)
    if (args.model === undefined || args.data === undefined || args.data.length === 0)
      throw new ConfigError('CONFIG_INVALID_VALUE', 'expected --model DIR and --data FILES, or --completions FILE')
    await evaluateModel(args, args.model, args.data)
  },
}

async function evaluateModel(args: EvalArguments, model: string, data: string[]): Promise<void> {
  const interruption = listenForInterrupt()
  const protocol = { preset: args.preset, system: args.system, samples: args.samples, sampling: samplingArguments(args) }
  checkCount(args.limit, '--limit')
  checkCount(args['batch-size'], '--batch-size')
  const benchmarks = await readBenchmarks(data, { limit: args.limit })
  for (const { problems } of benchmarks) protocolFor(problems.length, protocol)
  const generator = await loadGenerator(model, args, { maxSequences: args['batch-size'], signal: interruption.signal })
  const start = performance.now()
  let tokens = 0
  let fresh = 0
  try {
    const run = evaluate({
      model,
      generator,
      benchmarks,
      protocol,
      ...judgeOf(args),
      output: args.output,
      signal: interruption.signal,
    })
    for await (const event of run) {
      if (event.type === 'start' && event.known > 0)
        console.error(pc.dim(`${formatCount(event.known)} of ${formatCount(event.answers)} answers are there already`))
      if (event.type === 'answer') {
        tokens += event.result.completionTokens
        fresh += 1
        const elapsed = performance.now() - start
        const left = (elapsed / fresh) * (event.answers - event.done)
        progress(
          `${formatCount(event.done)}/${formatCount(event.answers)}  ${Math.round((1000 * tokens) / elapsed)} tokens/s  ${formatDuration(left)} left`,
        )
      }
      if (event.type === 'end') {
        progress('')
        if (args.json) console.log(JSON.stringify(event.summaries))
        else printTable(summaryRows(event.summaries))
        if (args.output !== undefined && !args.json)
          console.log(`\nwritten  ${args.output}: results.jsonl, summary.json, report.html`)
      }
    }
  } catch (error) {
    progress('')
    if (!interruption.signal.aborted) throw error
    const where =
      args.output === undefined ? 'nothing was kept: name a folder with --output' : 'the same command goes on from here'
    console.error(`interrupted: ${where}`)
    process.exitCode = INTERRUPTED
  } finally {
    interruption.stop()
    await generator.close()
  }
}

async function gradeFile(args: EvalArguments): Promise<void> {
  const { completions, output, json, model, data } = args
  if (model !== undefined || data !== undefined)
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      'expected --completions without --model and --data: its rows have answers and completions',
    )
  if (output === undefined) throw new ConfigError('CONFIG_INVALID_VALUE', 'expected --output FILE for the graded rows')
  const { rows, correct, unanswered } = await gradeCompletions(completions!, output, judgeOf(args))
  const percent = rows === 0 ? 0 : (100 * correct) / rows
  if (json) console.log(JSON.stringify({ rows, correct, unanswered }))
  else
    console.log(
      `${formatCount(correct)} of ${formatCount(rows)} right (${percent.toFixed(1)}%), ${formatCount(unanswered)} without an answer\nwritten  ${output}`,
    )
}

function judgeOf(args: EvalArguments): { judge?: Judge; judgeName?: string } {
  const [url, model] = [args['judge-url'], args['judge-model']]
  if (url === undefined && model === undefined) return {}
  if (url === undefined || model === undefined || !URL.canParse(url))
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected --judge-url URL and --judge-model NAME together but received ${url} and ${model}`,
    )
  return { judge: openaiJudge({ url, model }), judgeName: `${model} at ${url}` }
}

function checkCount(value: number | undefined, name: string): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1)) return
  throw new ConfigError('CONFIG_INVALID_VALUE', `expected a whole number of at least 1 for ${name} but received ${value}`)
}

/** A line that is written over, on a terminal alone. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  for (const [index, row] of rows.entries()) {
    const line = row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
    console.log(index === 0 ? pc.dim(line) : line)
  }
}
