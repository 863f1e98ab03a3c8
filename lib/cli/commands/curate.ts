import { relative } from 'node:path'
import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import type { ConfigKey } from '../../config/config-key.js'
import { type CurateReport, curate, folderOf } from '../../curate/curate.js'
import { type CurateConfig, loadCurateConfig } from '../../curate/curate-config.js'
import { curateKeys } from '../../curate/curate-keys.js'
import { qualityParts } from '../../curate/quality-words.js'
import type { StageSummary } from '../../curate/stage.js'
import { counted, formatCount, formatTable } from '../format.js'
import { INTERRUPTED, listenForInterrupt } from '../interruption.js'
import { asInFile, givenValues, pathOption, withKeys } from '../key-options.js'

interface CurateArguments {
  config: string | undefined
  print_words: boolean
}

/** The keys that are options too. */
const optionKeys = Object.fromEntries(
  Object.entries<ConfigKey>(curateKeys).filter(([name, { option }]) => !name.includes('.') || option !== undefined),
)

export const curateCommand: CommandModule<object, CurateArguments> = {
  command: 'curate [config]',
  describe: 'choose chains: duplicates, difficulty, contamination, quality, selection, with the reason for every row',
  builder: (yargs: Argv) =>
    withKeys(
      yargs.positional('config', { ...pathOption, describe: 'YAML or JSON file; docs/curation.md has its keys' }),
      optionKeys,
      { spelling: asInFile },
    )
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
    const overrides = givenValues(optionKeys, args, asInFile)
    const config = await loadCurateConfig(
      args.config,
      args.print_words ? { ...overrides, input: '-', output_dir: '-' } : overrides,
    )
    if (args.print_words) printWords(config)
    else await run(config)
  },
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
    console.log(`\n${counted(count, 'row')} could not be read: ${here(`${outputDir}/${folderOf(stage)}/malformed.jsonl`)}`)
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

/** Histograms of kept and dropped rows by score and by length, a character for each column. */
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
