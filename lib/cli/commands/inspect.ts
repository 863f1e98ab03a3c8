import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import type { TrainConfig } from '../../config/train-config.js'
import { type Example, makeExample, notScored, renderRecord } from '../../data/example.js'
import type { TrainingRecord } from '../../data/records.js'
import { ConfigError, LimoError } from '../../errors.js'
import { type LoadedRecords, loadRecords, planExamples } from '../../train/prepare.js'
import { loadCommandConfig, withTrainOptions } from '../config-options.js'
import { formatCount, formatTable } from '../format.js'

interface InspectArguments {
  config: string | undefined
  row: string
  ids: boolean
}

export const inspectCommand: CommandModule<object, InspectArguments> = {
  command: 'inspect [config]',
  describe: 'one record as the model will see it',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .option('row', { type: 'string', default: '1', describe: 'which record, counting from 1' })
      .option('ids', { type: 'boolean', default: true, describe: 'print the token ids' }) as Argv<InspectArguments>,
  handler: async (args) => {
    const { config } = await loadCommandConfig(args, ['row', 'ids'])
    const loaded = await loadRecords(config)
    const row = Number(args.row)
    const record = loaded.records[row - 1]
    if (!Number.isInteger(row) || !record) {
      throw new ConfigError(
        'CONFIG_INVALID_VALUE',
        `expected --row from 1 to ${loaded.records.length} but received "${args.row}"`,
        { row: args.row },
      )
    }
    // A record that is too long is still worth a look.
    const example = makeExample(record, { ...loaded.options, cutoffLen: Number.MAX_SAFE_INTEGER })
    printText(record, example, loaded)
    if (args.ids) printIds(example)
    printNumbers(record, example, config)
    printPacking(row - 1, loaded, config)
  },
}

/** The text, scored parts marked: in colour on a terminal, between ⟦ and ⟧ everywhere. */
function printText(record: TrainingRecord, example: Example, { options }: LoadedRecords): void {
  const mark = (text: string, scored: boolean) => (scored ? pc.green(`⟦${text}⟧`) : pc.dim(text))
  if (record.kind === 'chat') {
    const { segments } = renderRecord(record, options)
    console.log(segments.map(({ text, scored }) => mark(text, scored)).join(''))
  } else console.log(pc.dim('(already tokenized)'))
  console.log(
    `\n⟦…⟧ is scored: the loss is taken on ${formatCount(example.scoredTokens)} of ${formatCount(example.inputIds.length)} tokens`,
  )
}

function printIds({ inputIds, labels }: Example): void {
  const isScored = (index: number) => index > 0 && labels[index] !== notScored
  const runs: string[] = []
  for (let start = 0; start < inputIds.length; ) {
    let end = start + 1
    while (end < inputIds.length && isScored(end) === isScored(start)) end++
    const ids = inputIds.subarray(start, end).join(' ')
    runs.push(isScored(start) ? pc.green(`⟦${ids}⟧`) : pc.dim(ids))
    start = end
  }
  console.log(`\ninput_ids  ${runs.join(' ')}`)
}

function printNumbers(record: TrainingRecord, { inputIds, scoredTokens }: Example, config: TrainConfig): void {
  const over =
    inputIds.length > config.cutoffLen ? `, over cutoff_len ${formatCount(config.cutoffLen)}: policy ${config.overLength}` : ''
  console.log()
  console.log(
    formatTable([
      ['place', record.place],
      ['tokens', `${formatCount(inputIds.length)}${over}`],
      ['scored', `${formatCount(scoredTokens)} (${((100 * scoredTokens) / inputIds.length).toFixed(1)}%)`],
      ...(record.kind === 'chat' ? [['turns', record.turns.map(({ role }) => role).join(', ')] as [string, string]] : []),
    ]),
  )
}

/** The first micro-batch that the record is in, with its neighbours. */
function printPacking(recordIndex: number, { records, options }: LoadedRecords, config: TrainConfig): void {
  const kept: Example[] = []
  let example: Example | undefined
  for (const [index, record] of records.entries()) {
    try {
      kept.push(makeExample(record, options))
      if (index === recordIndex) example = kept.at(-1)
    } catch (error) {
      if (!(error instanceof LimoError) || error.code === 'TOKENIZER_MALFORMED') throw error
    }
  }
  if (example === undefined) return
  const { examples, batches } = planExamples(kept, config)
  const index = examples.indexOf(example)
  if (index < 0) {
    console.log(`\npacked     never: held out for evaluation (val_size ${config.valSize})`)
    return
  }
  for (let step = 1; step <= batches.stepsPerEpoch; step++) {
    const { microBatches } = batches.step(step)
    const micro = microBatches.findIndex(({ exampleIndices }) => exampleIndices.includes(index))
    if (micro < 0) continue
    const { exampleIndices, cuSeqlens, inputIds } = microBatches[micro]!
    console.log(
      `\npacked     epoch 1, step ${step}, micro-batch ${micro + 1} of ${microBatches.length}: ${formatCount(inputIds.length)} tokens`,
    )
    exampleIndices.forEach((neighbour, sequence) => {
      const mark = neighbour === index ? '→' : ' '
      console.log(
        `         ${mark} ${examples[neighbour]!.place}  tokens ${cuSeqlens[sequence]!}…${cuSeqlens[sequence + 1]! - 1}, positions from 0`,
      )
    })
    return
  }
}
