import pc from 'picocolors'
import type { Argv, CommandModule } from 'yargs'
import { readModelConfig } from '../../config/model-config.js'
import { loadTrainConfig } from '../../config/train-config.js'
import { checkData, type DataCheck, type DataProblem } from '../../data/check-data.js'
import { warningKinds } from '../../data/record-warnings.js'
import { ConfigError } from '../../errors.js'
import { required } from '../../train/prepare.js'
import { configOverrides, withTrainOptions } from '../config-options.js'
import { counted, formatCount, formatTable } from '../format.js'

interface CheckArguments {
  config: string | undefined
  strict: boolean
  json: boolean
}

const checkCommand: CommandModule<object, CheckArguments> = {
  command: 'check [config]',
  describe: 'every problem of whole data sets, with its line and what to do; exit code 1 where there is an error',
  builder: (yargs: Argv) =>
    withTrainOptions(yargs)
      .option('strict', { type: 'boolean', default: false, describe: 'exit code 1 for warnings too' })
      .option('json', { type: 'boolean', default: false, describe: 'one JSON object a line: the problems, then a summary' })
      .example('$0 data check train.yaml', 'as training would read it')
      .example('$0 data check --dataset chains.jsonl', 'without a model: the rows alone')
      .epilogue(
        `Warnings: ${Object.entries(warningKinds)
          .map(([kind, meaning]) => `${kind} (${meaning})`)
          .join('; ')}.`,
      ) as Argv<CheckArguments>,
  handler: async (args) => {
    const { config } = await loadTrainConfig(args.config, configOverrides({ ...args }, ['strict', 'json', 'command']))
    const dataset = required(config.dataset, 'dataset', 'chains.jsonl')
    const folder = config.modelNameOrPath
    const model = folder === undefined ? undefined : { folder, vocabSize: (await readModelConfig(folder)).vocabSize }
    const onProblem = args.json ? (problem: DataProblem) => console.log(JSON.stringify(problem)) : printProblem
    const result = await checkData(config, dataset, { model, onProblem })
    if (args.json) console.log(JSON.stringify({ summary: result }))
    else printSummary(result, { hasModel: model !== undefined })
    if (result.errors > 0 || (args.strict && result.warnings > 0)) process.exitCode = 1
  },
}

export const dataCommand: CommandModule = {
  command: 'data',
  describe: 'look after data sets: data check',
  builder: (yargs: Argv) => yargs.command(checkCommand).strictCommands(),
  handler: () => {
    throw new ConfigError('CONFIG_INVALID_VALUE', 'expected a command after data: check (limo-native data --help)')
  },
}

function printProblem({ severity, code, message }: DataProblem): void {
  const name = { error: pc.red('error'), warning: pc.yellow('warning'), note: pc.cyan('note') }[severity]
  console.log(`${name}  ${message} ${pc.dim(`[${code}]`)}`)
}

function printSummary({ files, examples, errors, warnings, tokens }: DataCheck, { hasModel }: { hasModel: boolean }): void {
  const rows: [string, string][] = [['checked', `${formatCount(examples)} examples of ${counted(files, 'file')}`]]
  if (tokens !== undefined) {
    const { total, scored, median, p90, longest } = tokens
    rows.push(['tokens', `${formatCount(total)}, ${formatCount(scored)} of them scored`])
    rows.push(['length', `median ${formatCount(median)}, 9 of 10 below ${formatCount(p90)}, longest ${formatCount(longest)}`])
  }
  rows.push(['found', `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`])
  console.log(`${errors + warnings > 0 ? '\n' : ''}${formatTable(rows)}`)
  if (!hasModel)
    console.log('\nRows were not tokenized: name a model with --model_name_or_path to check lengths, ids and the template.')
}
