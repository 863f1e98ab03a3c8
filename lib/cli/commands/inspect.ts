import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { readModelConfig } from '../../config/model-config.js'
import type { TrainConfig } from '../../config/train-config.js'
import { loadChatTemplate } from '../../data/chat-template.js'
import { type Example, type ExampleOptions, makeExample, notScored, renderRecord } from '../../data/example.js'
import type { Examples } from '../../data/examples.js'
import type { LoadedExamples } from '../../data/load-examples.js'
import { readRecord } from '../../data/read-record.js'
import type { TrainingRecord } from '../../data/records.js'
import { loadTokenizer } from '../../data/tokenizer.js'
import { ConfigError, DataError } from '../../errors.js'
import { loadRunExamples, planRunBatches, required } from '../../train/prepare.js'
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
    const { record, options } = await loadRow(config, args.row)
    const example = makeExample(record, options)
    printText(record, example, options)
    if (args.ids) printIds(example)
    printNumbers(record, example, config)
    await printPacking(Number(args.row) - 1, config)
  },
}

async function loadRow(config: TrainConfig, row: string): Promise<{ record: TrainingRecord; options: ExampleOptions }> {
  const modelFolder = required(config.modelNameOrPath, 'model_name_or_path', './Qwen2.5-0.5B-Instruct')
  const dataset = required(config.dataset, 'dataset', 'chains.jsonl')
  const { vocabSize } = await readModelConfig(modelFolder)
  const found = /^[1-9]\d*$/.test(row)
    ? await readRecord(config, dataset, Number(row))
    : await readRecord(config, dataset, Infinity)
  if (!('record' in found)) {
    const message = `expected --row from 1 to ${found.records} but received "${row}"`
    throw new ConfigError('CONFIG_INVALID_VALUE', message, { row })
  }
  const options: ExampleOptions = { vocabSize, defaultSystem: config.defaultSystem }
  if (found.record.kind === 'chat') {
    options.tokenizer = await loadTokenizer(modelFolder)
    options.template = await loadChatTemplate(modelFolder, config.template, options.tokenizer.specialTokens)
  }
  return { record: found.record, options }
}

/** The text, scored parts marked: in colour on a terminal, between ⟦ and ⟧ everywhere. */
function printText(record: TrainingRecord, example: Example, options: ExampleOptions): void {
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
async function printPacking(record: number, config: TrainConfig): Promise<void> {
  let loaded: LoadedExamples
  try {
    ;({ loaded } = await loadRunExamples(config))
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    console.log(`\npacked     not known: ${error.message}`)
    return
  }
  const { train: examples, validation } = loaded
  const index = findRecord(examples, record)
  if (index < 0) {
    const isHeldOut = config.evalDataset === undefined && findRecord(validation, record) >= 0
    if (isHeldOut) console.log(`\npacked     never: held out for evaluation (val_size ${config.valSize})`)
    return
  }
  const { batches } = planRunBatches(examples, config)
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
        `         ${mark} ${examples.placeOf(neighbour)}  tokens ${cuSeqlens[sequence]!}…${cuSeqlens[sequence + 1]! - 1}, positions from 0`,
      )
    })
    return
  }
}

function findRecord(examples: Examples, record: number): number {
  for (let index = 0; index < examples.count; index++) if (examples.recordOf(index) === record) return index
  return -1
}
