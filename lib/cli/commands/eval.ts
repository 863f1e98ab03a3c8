import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { type ConfigKeys, custom, expandHome, flag, path, text, WrongPart, whole } from '../../config/config-key.js'
import type { SettingsOf } from '../../config/settings.js'
import { ConfigError } from '../../errors.js'
import { readBenchmarks } from '../../eval/benchmark.js'
import { evaluate } from '../../eval/evaluate.js'
import { summaryRows } from '../../eval/evaluation-page.js'
import type { Judge } from '../../eval/judge.js'
import { openaiJudge } from '../../eval/openai-judge.js'
import { presets, protocolFor } from '../../eval/protocol.js'
import type { SamplingOptions } from '../../generate/sampling.js'
import { printComparison } from '../evaluation-comparison.js'
import { formatColumns, formatCount, formatDuration } from '../format.js'
import { loadGenerator, modelKeys, samplingOptionKeys, withGenerationOptions } from '../generation-options.js'
import { gradeFile } from '../grade-file.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'
import { readOptions } from '../key-options.js'

const paths = (description: string) =>
  custom(
    'files, globs or folders',
    (value) => {
      const expanded = [value].flat().map((path) => expandHome(String(path)))
      return expanded.find((path) => path instanceof WrongPart) ?? (expanded as string[])
    },
    undefined,
    description,
    'list',
  )

const evalKeys = {
  data: paths('benchmarks: files, globs or folders of rows with question and answer'),
  preset: text('limo', `protocol: ${Object.keys(presets).join(', ')}; other options go before it`),
  system: text(undefined, 'system prompt [the preset’s]', { mayBeEmpty: true }),
  samples: whole({ min: 1 }, undefined, 'answers to each problem [the preset’s]'),
  limit: whole({ min: 1 }, undefined, 'only the first so many problems of each benchmark'),
  batch_size: whole({ min: 1 }, 16, 'answers in flight'),
  output: path(undefined, 'folder for results.jsonl, summary.json and report.html; of --completions, the graded file'),
  completions: path(undefined, 'grade these rows {answer, completion} instead of asking a model'),
  compare: paths('two --output folders: how the second differs from the first, problem by problem'),
  judge_url: text(undefined, 'an endpoint of OpenAI’s protocol that judges answers [the grader]', { mayBeEmpty: true }),
  judge_model: text(undefined, 'the model that judges there', { mayBeEmpty: true }),
  json: flag(false, 'print the summaries as one JSON object'),
} as const satisfies ConfigKeys

type EvalSettings = SettingsOf<typeof evalKeys> & {
  generation: SettingsOf<typeof modelKeys>
  sampling: Partial<SamplingOptions>
}

export const evalCommand: CommandModule = {
  command: 'eval',
  describe: 'how well a model reasons: benchmarks by LIMO’s protocol, or completions made elsewhere',
  builder: (yargs: Argv) =>
    withGenerationOptions(yargs, evalKeys)
      .array(['data', 'compare'])
      .strictOptions()
      .example('$0 eval --model trained --data aime.jsonl math.jsonl --output scores', 'LIMO’s protocol')
      .example('$0 eval --compare scores-before scores-after', 'what training changed, with its standard error')
      .example('$0 eval --completions vllm.jsonl --output graded.jsonl', 'the grader alone'),
  handler: async (args) => {
    const generation = readOptions(modelKeys, args)
    const settings = { ...readOptions(evalKeys, args), generation, sampling: readOptions(samplingOptionKeys, args) }
    if (settings.compare !== undefined) return compareGiven(settings)
    if (settings.completions !== undefined) return gradeGiven(settings)
    const { data } = settings
    if (generation.model === undefined || data === undefined || data.length === 0)
      throw new ConfigError(
        'CONFIG_INVALID_VALUE',
        'expected --model DIR and --data FILES, or --completions FILE, or --compare A B',
      )
    await evaluateModel(settings, generation.model, data)
  },
}

async function evaluateModel(settings: EvalSettings, model: string, data: string[]): Promise<void> {
  const interruption = listenForInterrupt()
  const { preset, system, samples, sampling, limit, batchSize, output, json, generation } = settings
  const protocol = { preset, system, samples, sampling }
  const benchmarks = await readBenchmarks(data, { limit })
  for (const { problems } of benchmarks) protocolFor(problems.length, protocol)
  const generator = await loadGenerator(model, generation, { maxSequences: batchSize, signal: interruption.signal })
  const start = performance.now()
  let tokens = 0
  let fresh = 0
  try {
    const run = evaluate({
      model,
      generator,
      benchmarks,
      protocol,
      ...judgeOf(settings),
      output,
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
        if (json) console.log(JSON.stringify(event.summaries))
        else printTable(summaryRows(event.summaries))
        if (output !== undefined && !json) console.log(`\nwritten  ${output}: results.jsonl, summary.json, report.html`)
      }
    }
  } catch (error) {
    progress('')
    if (!interruption.signal.aborted) throw error
    const where = output === undefined ? 'nothing was kept: name a folder with --output' : 'the same command goes on from here'
    console.error(`interrupted: ${where}`)
    process.exitCode = INTERRUPTED
  } finally {
    interruption.stop()
    await generator.close()
  }
}

async function compareGiven({ compare, completions, data, output, json, generation }: EvalSettings): Promise<void> {
  const [a, b, ...more] = compare ?? []
  const others = { completions, data, output, model: generation.model }
  const other = Object.entries(others).find(([, value]) => value !== undefined)?.[0]
  if (a === undefined || b === undefined || more.length > 0 || other !== undefined) {
    const received = other === undefined ? `${compare?.length ?? 0}` : `--${other}`
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected --compare with two folders alone but received ${received}`)
  }
  await printComparison([a, b], { json })
}

async function gradeGiven(settings: EvalSettings): Promise<void> {
  const { completions, output, json, data } = settings
  const { model } = settings.generation
  if (model !== undefined || data !== undefined)
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      'expected --completions without --model and --data: its rows have answers and completions',
    )
  if (output === undefined) throw new ConfigError('CONFIG_INVALID_VALUE', 'expected --output FILE for the graded rows')
  await gradeFile(completions!, output, { json, ...judgeOf(settings) })
}

function judgeOf({ judgeUrl: url, judgeModel: model }: EvalSettings): { judge?: Judge; judgeName?: string } {
  if (url === undefined && model === undefined) return {}
  if (url === undefined || model === undefined || !URL.canParse(url))
    throw new ConfigError(
      'CONFIG_INVALID_VALUE',
      `expected --judge-url URL and --judge-model NAME together but received ${url} and ${model}`,
    )
  return { judge: openaiJudge({ url, model }), judgeName: `${model} at ${url}` }
}

/** A line that is written over, on a terminal alone. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}

/** Headings dimmed. */
function printTable(rows: readonly (readonly string[])[]): void {
  const [head, ...lines] = formatColumns(rows).split('\n')
  console.log([pc.dim(head!), ...lines].join('\n'))
}
