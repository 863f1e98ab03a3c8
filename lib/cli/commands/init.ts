import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Argv, CommandModule } from 'yargs'
import { tokenizerFiles } from '../../checkpoint/model-folder.js'
import { jsonProblem } from '../../config/json-object.js'
import { parseModelConfig } from '../../config/model-config.js'
import { keys } from '../../config/train-keys.js'
import { parseRecord } from '../../data/records.js'
import { readRows } from '../../data/rows/rows.js'
import { type Merge, MergeTrainer } from '../../data/tokenizer/byte-level/merge-trainer.js'
import { CheckpointError, ConfigError, DataError } from '../../errors.js'
import { byteLevelTokenizerFiles } from '../../model/byte-tokenizer.js'
import { countParameters } from '../../model/decoder-parameters.js'
import { type InitScheme, writeInitialModel } from '../../model/initialize.js'
import { byteLevelVocabulary, type ConfigJson, presets } from '../../model/presets.js'
import { formatCount } from '../format.js'
import { pathOption } from '../key-options.js'

interface InitArguments {
  folder: string
  preset: string | undefined
  config: string | undefined
  tokenizer: string | undefined
  words: string[] | undefined
  seed: string
  scheme: InitScheme
}

export const initCommand: CommandModule<object, InitArguments> = {
  command: 'init <folder>',
  describe: 'a new model folder with random weights and a tokenizer',
  builder: (yargs: Argv) =>
    yargs
      .positional('folder', { ...pathOption, demandOption: true, describe: 'where the model folder goes; must not exist yet' })
      .option('preset', { choices: Object.keys(presets), describe: 'a small model of ours' })
      .option('config', { ...pathOption, describe: 'a config.json, or a folder with one, in place of a preset' })
      .option('tokenizer', { ...pathOption, describe: 'a folder whose tokenizer files are copied; byte-level when absent' })
      .option('words', {
        ...pathOption,
        array: true,
        describe: 'data files whose words become tokens: a preset then reads fewer of them; after the folder',
      })
      .option('seed', { type: 'string', default: '42', describe: 'fixes every bit of the weights' })
      .option('scheme', {
        choices: ['scaled', 'huggingface'],
        default: 'scaled',
        describe: 'scaled: N(0, 1/fan-in) and two heads that look back; huggingface: N(0, initializer_range)',
      })
      .conflicts('preset', 'config')
      .requiresArg('words')
      .conflicts('words', ['config', 'tokenizer'])
      .example('$0 init model --preset tiny', 'a Qwen2-type model of 0.8 million parameters')
      .strict() as unknown as Argv<InitArguments>,
  handler: async ({ folder, preset, config, tokenizer, words: wordFiles, seed, scheme }) => {
    if (!/^\d+$/.test(seed) || !Number.isSafeInteger(Number(seed)))
      throw new ConfigError('CONFIG_INVALID_VALUE', `expected a whole number for --seed but received "${seed}"`, { seed })
    if (existsSync(folder))
      throw new CheckpointError(
        'OUTPUT_EXISTS',
        `expected a folder that does not exist yet but ${folder} does. Choose another name.`,
        { folder },
      )
    const merges = wordFiles === undefined ? [] : await mergesOfFiles(wordFiles)
    const configJson =
      config === undefined
        ? { ...presets[preset ?? 'tiny'], ...byteLevelVocabulary(merges.length) }
        : await readConfigJson(config)
    const files = tokenizer ?? (config !== undefined && existsSync(join(config, 'tokenizer.json')) ? config : undefined)
    if (files !== undefined && !(existsSync(files) && (await tokenizerFiles(files)).includes('tokenizer.json'))) {
      throw new ConfigError(
        'CONFIG_INVALID_VALUE',
        `expected a folder with a tokenizer.json for --tokenizer but received ${files}`,
        { tokenizer: files },
      )
    }
    await writeInitialModel(folder, {
      configJson,
      seed: Number(seed),
      scheme,
      tokenizer: files === undefined ? { files: byteLevelTokenizerFiles(merges) } : { folder: files },
    })
    const parameters = formatCount(countParameters(parseModelConfig(configJson, folder)))
    console.log(`${folder}: ${configJson.model_type}, ${parameters} parameters, random weights in float32`)
    const named = configJson.torch_dtype ?? configJson.dtype
    if (named !== undefined && named !== 'float32') console.log(`${config} names ${named}; new weights are float32 all the same`)
    console.log(`Train it with: npx limo-native train --model_name_or_path ${folder} --dataset chains.jsonl --output_dir out`)
  },
}

/** Merges that make the words of data files, and of what training puts around them. */
async function mergesOfFiles(files: string[]): Promise<Merge[]> {
  const trainer = new MergeTrainer()
  let texts = 0
  for (const file of files) {
    for await (const row of readRows(file)) {
      const record = parseRecord(row, undefined)
      if (record.kind === 'tokens') continue
      texts += 1
      for (const { role, content } of [{ role: 'system', content: keys.default_system.default }, ...record.turns]) {
        trainer.add(`${role}\n`)
        trainer.add(content)
      }
    }
  }
  if (texts === 0)
    throw new DataError('DATA_EMPTY', `expected rows with text for --words in ${files.join(', ')} but there are none.`, { files })
  const merges = trainer.merges()
  console.log(`${formatCount(merges.length)} tokens are words of these files, and parts of words`)
  return merges
}

async function readConfigJson(path: string): Promise<ConfigJson> {
  const file = path.endsWith('.json') ? path : join(path, 'config.json')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const problems: Record<string, string> = {
      ENOTDIR: `${path} is no JSON file and no folder`,
      ENOENT: `there is no ${file}`,
    }
    const problem = problems[(cause as NodeJS.ErrnoException).code ?? ''] ?? (cause as Error).message
    const message = `expected a model's config.json, or a folder with one, for --config but ${problem}`
    throw new ConfigError('CONFIG_NOT_FOUND', message, { file }, { cause })
  }
  try {
    return JSON.parse(text) as ConfigJson
  } catch (cause) {
    throw new ConfigError('CONFIG_MALFORMED', `expected JSON in ${file}: ${jsonProblem(text, cause)}`, { file }, { cause })
  }
}
