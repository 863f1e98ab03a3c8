import { writeFile } from 'node:fs/promises'
import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { CheckpointError, ConfigError } from '../../errors.js'
import { type InspectedToken, type Inspection, inspectRecord } from '../../inspect/inspection.js'
import { inspectionPage } from '../../inspect/inspection-page.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { formatCount, formatTable } from '../format.js'
import { pathOption } from '../key-options.js'

interface InspectArguments {
  config: string | undefined
  row: string
  full: boolean
  ids: boolean
  tokens: string | undefined
  loss: string | undefined
  html: string | undefined
}

export const inspectCommand: CommandModule<object, InspectArguments> = {
  command: 'inspect [config]',
  describe: 'one record as the model will see it, down to each token',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .option('row', { type: 'string', default: '1', describe: 'which record, counting from 1 through all files' })
      .option('full', { type: 'boolean', default: false, describe: 'print all of a long text, not its beginning and end' })
      .option('ids', { type: 'boolean', default: false, describe: 'print the token ids' })
      .option('tokens', { type: 'string', describe: 'print a line for each token, or for some: --tokens 100:200' })
      .option('loss', { ...pathOption, describe: 'loss of each token, with the trained model in output_dir or with --loss DIR' })
      .option('html', { ...pathOption, describe: 'write all of it to this file, as a page without links to anything else' })
      .example('$0 inspect train.yaml --row 17 --tokens', 'each token with its id, role, and whether it is scored')
      .example(
        '$0 inspect train.yaml --row 17 --loss --html row-17.html',
        'after training: what the model still finds hard',
      ) as Argv<InspectArguments>,
  handler: async (args) => {
    const { config } = await loadCommandConfig(args, ['row', 'full', 'ids', 'tokens', 'loss', 'html'])
    const range = parseRange(args.tokens)
    const loss = args.loss === '' ? true : args.loss
    const inspection = await inspectRecord(config, { row: args.row, loss })
    checkRange(range, inspection.tokens.length)
    printNumbers(inspection)
    printPacking(inspection)
    if (inspection.lossModel !== undefined) printHardest(inspection)
    printText(inspection, args.full ? Number.POSITIVE_INFINITY : SHOWN_CHARACTERS)
    if (range !== undefined) printTokens(inspection, range)
    else if (args.ids) printIds(inspection.tokens)
    if (args.html !== undefined) await writePage(args.html, inspection)
  },
}

/** `--tokens` alone is all of them, `--tokens 100:200` those from 100 to 199. */
function parseRange(text: string | undefined): [number, number] | undefined {
  if (text === undefined || text === '') return text === undefined ? undefined : [0, Infinity]
  const [, from, to] = /^(\d*):(\d*)$/.exec(text) ?? []
  if (from === undefined) {
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected --tokens FROM:TO, such as 100:200, but received "${text}"`, {
      tokens: text,
    })
  }
  return [Number(from), to === '' ? Infinity : Number(to)]
}

function checkRange(range: [number, number] | undefined, tokens: number): void {
  if (range === undefined) return
  const [from, to] = range
  if (from < to && from < tokens) return
  const given = `${from}:${to === Number.POSITIVE_INFINITY ? '' : to}`
  throw new ConfigError(
    'CONFIG_INVALID_VALUE',
    `expected --tokens FROM:TO with FROM below TO and below the record's ${tokens} tokens but received "${given}"`,
    {
      tokens: given,
    },
  )
}

/** Characters of a part of the text that are shown at its beginning and at its end. */
const SHOWN_CHARACTERS = 1200

/** A long text without its middle. */
function fold(text: string, shown: number): string {
  if (text.length <= 2 * shown + 200) return text
  return `${text.slice(0, shown)}\n… ${formatCount(text.length - 2 * shown)} characters (--full) …\n${text.slice(-shown)}`
}

/** The text, scored parts marked: in colour on a terminal, between ⟦ and ⟧ everywhere. */
function printText({ segments, tokens, scoredTokens }: Inspection, shown: number): void {
  const mark = (text: string, scored: boolean) => (scored ? pc.green(`⟦${fold(text, shown)}⟧`) : pc.dim(fold(text, shown)))
  console.log()
  console.log(
    segments.length === 0 ? pc.dim('(already tokenized)') : segments.map(({ text, scored }) => mark(text, scored)).join(''),
  )
  console.log(`\n⟦…⟧ is scored: the loss is taken on ${formatCount(scoredTokens)} of ${formatCount(tokens.length)} tokens`)
}

function printIds(tokens: readonly InspectedToken[]): void {
  const runs: string[] = []
  for (let start = 0; start < tokens.length; ) {
    const { scored } = tokens[start]!
    let end = start + 1
    while (end < tokens.length && tokens[end]!.scored === scored) end++
    const ids = tokens
      .slice(start, end)
      .map(({ id }) => id)
      .join(' ')
    runs.push(scored ? pc.green(`⟦${ids}⟧`) : pc.dim(ids))
    start = end
  }
  console.log(`\ninput_ids  ${runs.join(' ')}`)
}

function printTokens({ tokens, lossModel }: Inspection, [from, to]: [number, number]): void {
  if (from >= tokens.length) {
    const message = `expected --tokens within the ${tokens.length} tokens of this record but received those from ${from} on`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { from, tokens: tokens.length })
  }
  const hasLoss = lossModel !== undefined
  console.log(`\nposition      id  role       scored${hasLoss ? '    loss' : ''}  text`)
  for (const [position, { id, text, role, scored, loss }] of tokens.entries()) {
    if (position < from || position >= to) continue
    const lossText = hasLoss ? `  ${(loss === undefined ? '' : loss.toFixed(3)).padStart(6)}` : ''
    const line = `${String(position).padStart(8)}  ${String(id).padStart(6)}  ${role.padEnd(9)}  ${scored ? 'yes   ' : '      '}${lossText}  ${JSON.stringify(text)}`
    console.log(scored ? pc.green(line) : line)
  }
}

function printNumbers({ place, tokens, scoredTokens, turns, cutoffLen, overLength }: Inspection): void {
  const over = tokens.length > cutoffLen ? `, over cutoff_len ${formatCount(cutoffLen)}: policy ${overLength}` : ''
  console.log(
    formatTable([
      ['place', place],
      ['tokens', `${formatCount(tokens.length)}${over}`],
      ['scored', `${formatCount(scoredTokens)} (${((100 * scoredTokens) / tokens.length).toFixed(1)}%)`],
      ...(turns.length > 0 ? [['turns', turns.join(', ')] as [string, string]] : []),
    ]),
  )
}

function printPacking({ packing }: Inspection): void {
  if (packing.kind === 'held out') console.log(`\npacked     never: held out for evaluation (val_size ${packing.valSize})`)
  if (packing.kind === 'dropped') console.log('\npacked     never in the first epoch: it is dropped or not drawn')
  if (packing.kind === 'not known') console.log(`\npacked     not known: ${packing.why}`)
  if (packing.kind !== 'packed') return
  const { step, microBatch, microBatches, tokens, sequences } = packing
  console.log(`\npacked     epoch 1, step ${step}, micro-batch ${microBatch} of ${microBatches}: ${formatCount(tokens)} tokens`)
  for (const { place, start, length, isThis } of sequences) {
    console.log(`         ${isThis ? '→' : ' '} ${place}  tokens ${start}…${start + length - 1}, positions from 0`)
  }
}

/** The tokens that cost most, each with what comes before it. */
function printHardest({ tokens, lossModel }: Inspection): void {
  const scored = tokens.map(({ loss }, position) => ({ loss, position })).filter(({ loss }) => loss !== undefined)
  const mean = scored.reduce((sum, { loss }) => sum + loss!, 0) / scored.length
  console.log(`\nloss       ${mean.toFixed(4)} a token, with the model in ${lossModel}; the hardest:`)
  for (const { loss, position } of scored.toSorted((a, b) => b.loss! - a.loss!).slice(0, 10)) {
    const before = tokens.slice(Math.max(0, position - 12), position).map(({ text }) => text)
    const excerpt = JSON.stringify(before.join('').slice(-40)).slice(1, -1)
    const token = JSON.stringify(tokens[position]!.text).slice(1, -1)
    console.log(`  ${String(position).padStart(8)}  ${loss!.toFixed(3).padStart(7)}  ${pc.dim(excerpt)}${pc.bold(`⟦${token}⟧`)}`)
  }
}

async function writePage(path: string, inspection: Inspection): Promise<void> {
  try {
    await writeFile(path, inspectionPage(inspection))
  } catch (cause) {
    const message = `cannot write ${path}: ${(cause as Error).message}. Name a file in a folder that exists.`
    throw new CheckpointError('WRITE_FAILED', message, { file: path }, { cause })
  }
  console.log(`\nwritten    ${path}`)
}
