import { relative } from 'node:path'
import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { type CurateReport, curate, folderOf } from '../../curate/curate.js'
import { type CurateConfig, loadCurateConfig } from '../../curate/curate-config.js'
import { qualityParts } from '../../curate/quality-words.js'
import { type StageSummary, stageNames } from '../../curate/stage.js'
import { formatCount, formatTable } from '../format.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'

interface CurateArguments {
  config: string | undefined
  input: string | undefined
  output_dir: string | undefined
  against: string | undefined
  attempts: string | undefined
  count: number | undefined
  levels: number | undefined
  spread: string | undefined
  stages: string | undefined
  seed: number | undefined
  strict: boolean | undefined
  print_words: boolean
}

export const curateCommand: CommandModule<object, CurateArguments> = {
  command: 'curate [config]',
  describe: 'choose chains: duplicates, difficulty, contamination, quality, selection, with the reason for every row',
  builder: (yargs: Argv) =>
    yargs
      .positional('config', { type: 'string', describe: 'YAML or JSON file; docs/curation.md has its keys' })
      .option('input', { type: 'string', describe: 'files, globs or folders of rows, separated by commas' })
      .option('output_dir', { type: 'string', describe: 'folder for what is chosen, what is dropped and why, and the report' })
      .option('against', { type: 'string', describe: 'evaluation files whose questions must not be in the rows' })
      .option('attempts', { type: 'string', describe: 'files of recorded attempts: {question, attempts: [{correct}]}' })
      .option('count', { type: 'number', describe: 'how many problems to take [all]' })
      .option('spread', { type: 'string', describe: 'spread them over topics, difficulty or topics,difficulty' })
      .option('levels', { type: 'number', describe: 'also write five levels of quality, of so many chains each' })
      .option('stages', { type: 'string', describe: `only these, of ${stageNames.join(', ')}` })
      .option('seed', { type: 'number', describe: 'seed of everything random [42]' })
      .option('strict', { type: 'boolean', describe: 'end with the first malformed row' })
      .option('print_words', {
        type: 'boolean',
        default: false,
        describe: 'print weights, scales and words of the score, and do nothing',
      })
      .strictOptions()
      .example(
        '$0 curate --input pool.jsonl --against "eval/*.jsonl" --count 800 --output_dir curated',
        '800 chains out of a pool',
      )
      .example('$0 curate --stages quality --input chains.jsonl --output_dir scored', 'one stage alone') as Argv<CurateArguments>,
  handler: async (args) => {
    const overrides = overridesOf(withLastValues(args))
    const config = await loadCurateConfig(
      args.config,
      args.print_words ? { ...overrides, input: '-', output_dir: '-' } : overrides,
    )
    if (args.print_words) printWords(config)
    else await run(config)
  },
}

/** An option that is given twice has its last value. */
function withLastValues(args: CurateArguments): CurateArguments {
  const last = (value: unknown) => (Array.isArray(value) ? value.at(-1) : value)
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, last(value)])) as unknown as CurateArguments
}

function overridesOf(args: CurateArguments): Record<string, unknown> {
  const list = (text: string | undefined) => text?.split(',').map((part) => part.trim())
  return {
    input: args.input,
    output_dir: args.output_dir,
    seed: args.seed,
    strict: args.strict,
    stages: list(args.stages),
    'decontamination.against': args.against,
    'difficulty.attempts_files': args.attempts,
    'selection.count': args.count,
    'selection.spread': list(args.spread),
    'selection.levels': args.levels,
  }
}

async function run(config: CurateConfig): Promise<void> {
  const interruption = listenForInterrupt()
  interruption.onFirst(() => console.log('Ending. Stages that are done stay; the same command goes on.'))
  try {
    for await (const event of curate(config, { signal: interruption.signal })) {
      if (event.type === 'stage' && process.stdout.isTTY) process.stdout.write(pc.dim(`${event.stage} …\r`))
      if (event.type === 'done') console.log(stageLine(event.summary, event.reused))
      if (event.type === 'end') printReport(event.report)
    }
  } catch (error) {
    if (!interruption.signal.aborted || error !== interruption.signal.reason) throw error
    process.exitCode = INTERRUPTED
  } finally {
    interruption.stop()
  }
}

function stageLine({ stage, read, kept, malformed, reasons }: StageSummary, reused: boolean): string {
  const why = Object.entries(reasons)
    .sort((a, b) => b[1] - a[1])
    .map(([code, count]) => `${formatCount(count)} ${code}`)
  if (malformed > 0) why.push(`${formatCount(malformed)} malformed`)
  const counts = `${formatCount(read).padStart(11)} → ${formatCount(kept).padStart(11)}`
  return `${stage.padEnd(16)}${counts}  ${why.join(', ')}${reused ? pc.dim(' (done before)') : ''}`
}

function printReport({ outputDir, curated, page, stages }: CurateReport): void {
  const here = (path: string) => relative('.', path) || '.'
  const { kept } = stages.at(-1)!
  printDistributions(stages)
  for (const { stage, examples } of stages) {
    for (const [code, [first]] of Object.entries(examples.dropped)) {
      if (first !== undefined) console.log(`${pc.dim(`${stage}: ${code}`)}  ${first.place}: ${first.message}`)
    }
  }
  const malformed = stages.filter((stage) => stage.malformed > 0)
  for (const { stage, malformed: count } of malformed) {
    console.log(
      `\n${formatCount(count)} ${count === 1 ? 'row' : 'rows'} could not be read: ${here(`${outputDir}/${folderOf(stage)}/malformed.jsonl`)}`,
    )
  }
  console.log()
  console.log(
    formatTable([
      [
        'chosen',
        kept === 0
          ? 'no rows: every one was dropped'
          : `${formatCount(kept)} rows in ${here(curated)}: limo-native train --dataset ${here(curated)}`,
      ],
      ['dropped', `each with its reason in ${here(outputDir)}/*/dropped.jsonl`],
      ['report', here(page)],
    ]),
  )
}

const blocks = '▁▂▃▄▅▆▇█'

/** What was kept and what was dropped by score and by length, a character for each column. */
function printDistributions(stages: readonly StageSummary[]): void {
  const stage = stages.findLast(({ histograms }) => histograms.score.kept.counts.length > 0)
  console.log()
  if (stage === undefined) return
  for (const part of ['score', 'length'] as const) {
    const { kept, dropped } = stage.histograms[part]
    const columns = Math.max(kept.counts.length, dropped.counts.length)
    const most = Math.max(...kept.counts, ...dropped.counts, 1)
    const line = (counts: readonly number[]) =>
      Array.from({ length: Math.min(columns, 80) }, (_, column) => {
        const count = counts[column] ?? 0
        return count === 0 ? ' ' : blocks[Math.ceil((count / most) * blocks.length) - 1]
      }).join('')
    const unit = part === 'length' ? ' words' : ''
    const to = Number((Math.min(columns, 80) * kept.width).toFixed(2))
    console.log(`${part.padEnd(8)}kept    ${pc.green(line(kept.counts))}  0 to ${to}${unit}`)
    if (dropped.counts.length > 0) console.log(`        dropped ${line(dropped.counts)}`)
  }
  console.log()
}

function printWords({ quality }: CurateConfig): void {
  console.log(
    'score = sum of weight · min(1, value / scale); values are words of the chain, and occurrences in a thousand words\n',
  )
  for (const part of qualityParts) {
    console.log(`${part}: weight ${quality.weights[part]}, scale ${quality.scales[part]}`)
    if (part !== 'length') console.log(`  ${quality.words[part].join(', ')}`)
  }
}
