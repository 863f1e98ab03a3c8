import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { distance } from 'fastest-levenshtein'
import { isDynamicPattern } from 'tinyglobby'
import { isJsonObject, type JsonObject } from '../config/json-object.js'
import { DataError } from '../errors.js'
import { type ColumnMapping, mappedRoles } from './conversation.js'
import type { Role, TurnTags } from './row-columns.js'
import { findDataFiles } from './rows/data-files.js'

/** The files of a data set and what `dataset_info.json` says of it. */
export interface DatasetSource {
  name: string
  /** In the order in which they are read. */
  files: string[]
  columns?: ColumnMapping | undefined
  /** Number of examples to take; where it has fewer, some are taken several times. */
  numSamples?: number | undefined
}

/** DATA_EMPTY for a data set without a record to learn from; `unlearnt` rows say themselves that they are none. */
export function noRecords({ name, files }: DatasetSource, unlearnt: number): DataError {
  const where = files.length === 1 ? files[0] : `${name} (${files.length} files)`
  const none =
    unlearnt === 0
      ? 'it has none. Fill it, or leave it out of dataset'
      : `nothing of its rows (${unlearnt}) is to be learnt, as they say themselves (weight, train or the like)`
  return new DataError('DATA_EMPTY', `expected at least one record in ${where} but ${none}.`, { file: files[0] })
}

type Entry = JsonObject

// LLaMA-Factory's keys. Keys that only matter for a download are accepted and have no effect on a file.
const entryKeys = [
  'file_name',
  'formatting',
  'ranking',
  'columns',
  'tags',
  'subset',
  'split',
  'folder',
  'num_samples',
  'cloud_file_name',
]
const downloadKeys = ['hf_hub_url', 'ms_hub_url', 'om_hub_url', 'script_url']
/** Columns of preference pairs, which are nothing to learn from here. */
const preferenceColumns = ['chosen', 'rejected', 'kto_tag']
const tagKeys = ['role_tag', 'content_tag', 'user_tag', 'assistant_tag', 'observation_tag', 'function_tag', 'system_tag']

/**
 * Turns the `dataset` of a config into files: names in `<datasetDir>/dataset_info.json` or paths of files, folders and globs
 * (`findDataFiles`), several of them separated by commas.
 *
 * Throws DATA_NOT_FOUND for a name that is neither, and for one that would have to be downloaded; DATA_MALFORMED for a
 * `dataset_info.json` that is not JSON or asks for something this package does not do, naming the key.
 */
export async function resolveDatasets(dataset: string, datasetDir: string): Promise<DatasetSource[]> {
  const names = dataset
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (names.length === 0) {
    throw new DataError('DATA_NOT_FOUND', 'expected dataset to be a name or the path of a file but received an empty text.')
  }
  const infoPath = resolve(datasetDir, 'dataset_info.json')
  const info = await readDatasetInfo(infoPath)
  return Promise.all(
    names.map(async (name) => {
      const isNamed = info !== undefined && Object.hasOwn(info, name)
      if (isNamed) return parseEntry(name, info[name], infoPath, datasetDir)
      const path = [resolve(name), resolve(datasetDir, name)].find((candidate) => existsSync(candidate))
      if (path !== undefined) return { name: basename(path), files: await findDataFiles(path) }
      if (isDynamicPattern(name)) return { name, files: await findDataFiles(name) }
      throw unknownDataset(name, info === undefined ? undefined : Object.keys(info), infoPath)
    }),
  )
}

async function readDatasetInfo(path: string): Promise<Entry | undefined> {
  if (!existsSync(path)) return undefined
  const text = await readFile(path, 'utf8')
  try {
    const info: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    if (isJsonObject(info)) return info
  } catch (cause) {
    const { message } = cause as Error
    throw new DataError('DATA_MALFORMED', `${path}: expected JSON but received text that is not (${message}). Mend it.`, {
      file: path,
    })
  }
  throw new DataError('DATA_MALFORMED', `${path}: expected a JSON object with one entry for each dataset. Mend it.`, {
    file: path,
  })
}

async function parseEntry(name: string, entry: unknown, infoPath: string, datasetDir: string): Promise<DatasetSource> {
  const where = `${infoPath}: ${name}`
  const fail = (problem: string) => new DataError('DATA_MALFORMED', `${where}: ${problem}`, { file: infoPath, dataset: name })
  if (!isJsonObject(entry)) throw fail('expected an object with file_name. Mend the entry.')

  const download = downloadKeys.find((key) => key in entry)
  if (download !== undefined && entry.file_name === undefined) {
    throw new DataError(
      'DATA_NOT_FOUND',
      `${where}: expected file_name but received ${download} (${JSON.stringify(entry[download])}), and nothing is downloaded here. ` +
        'Download the file and name it with file_name, or give its path as dataset.',
      { file: infoPath, dataset: name },
    )
  }
  if (entry.ranking === true || preferenceColumns.some((key) => isJsonObject(entry.columns) && key in entry.columns))
    throw fail(
      'expected chains to learn from but received preference pairs (ranking, chosen, rejected or kto_tag). Use another dataset.',
    )
  const unknown = Object.keys(entry).find((key) => ![...entryKeys, ...downloadKeys].includes(key))
  if (unknown !== undefined) throw fail(`received the key ${unknown}, which has no meaning here. Remove it.`)
  if (typeof entry.file_name !== 'string') throw fail('expected file_name to be the name of a file. Add it.')

  const { formatting = 'alpaca', num_samples: numSamples, split, subset } = entry
  if (formatting !== 'alpaca' && formatting !== 'sharegpt' && formatting !== 'openai') {
    throw fail(`expected formatting to be alpaca, sharegpt or openai but received ${JSON.stringify(formatting)}.`)
  }
  if (numSamples != null && !(Number.isSafeInteger(numSamples) && (numSamples as number) > 0)) {
    throw fail(`expected num_samples to be a whole number above 0 but received ${JSON.stringify(numSamples)}.`)
  }
  for (const [key, value] of Object.entries({ split, subset })) {
    if (value != null && typeof value !== 'string') throw fail(`expected ${key} to be a string.`)
  }
  const columns = checkTexts(entry.columns, 'columns', Object.keys(mappedRoles), fail)
  const tags = checkTexts(entry.tags, 'tags', tagKeys, fail)
  const mapping = mappingOf(formatting, columns, tags)
  const path = resolve(datasetDir, entry.file_name)
  return {
    name,
    files: await findDataFiles(path, {
      split: (split ?? undefined) as string | undefined,
      subset: (subset ?? undefined) as string | undefined,
    }),
    ...(mapping && { columns: mapping }),
    ...(numSamples != null && { numSamples: numSamples as number }),
  }
}

/** An entry that only names a file leaves it to the columns of the records to say what they are. */
function mappingOf(
  formatting: 'alpaca' | 'sharegpt' | 'openai',
  columns: Record<string, string> | undefined,
  tags: Record<string, string> | undefined,
): ColumnMapping | undefined {
  if (formatting === 'alpaca')
    return columns === undefined && tags === undefined ? undefined : { formatting, columns: columns ?? {} }
  const messages = columns?.messages ?? (formatting === 'openai' ? 'messages' : 'conversations')
  return { formatting: 'sharegpt', columns: { ...columns, messages }, tags: tags && parseTags(tags) }
}

function checkTexts(
  value: unknown,
  key: string,
  known: string[],
  fail: (problem: string) => DataError,
): Record<string, string> | undefined {
  if (value == null) return undefined
  if (!isJsonObject(value)) throw fail(`expected ${key} to be an object.`)
  for (const [name, text] of Object.entries(value)) {
    if (!known.includes(name)) throw fail(`expected ${key} to have only ${known.join(', ')} but received ${name}. Remove it.`)
    if (typeof text !== 'string') throw fail(`expected ${key}.${name} to be a string but received ${JSON.stringify(text)}.`)
  }
  return value as Record<string, string>
}

/** Tags that are not given keep their ShareGPT default. */
function parseTags(tags: Record<string, string>): TurnTags {
  const roles: Record<string, Role> = {
    [tags.user_tag ?? 'human']: 'user',
    [tags.assistant_tag ?? 'gpt']: 'assistant',
    [tags.system_tag ?? 'system']: 'system',
    [tags.function_tag ?? 'function_call']: 'assistant',
    [tags.observation_tag ?? 'observation']: 'tool',
  }
  return {
    role: tags.role_tag ?? 'from',
    content: tags.content_tag ?? 'value',
    roles,
    call: tags.function_tag ?? 'function_call',
  }
}

function unknownDataset(name: string, known: string[] | undefined, infoPath: string): DataError {
  const nearest = known?.toSorted((a, b) => distance(name, a) - distance(name, b))[0]
  const received =
    known === undefined
      ? `no such file exists, and neither does ${infoPath}`
      : `it is neither (nearest name: ${nearest ?? 'none, the file is empty'})`
  return new DataError(
    'DATA_NOT_FOUND',
    `expected dataset ${JSON.stringify(name)} to be a file or a name in ${infoPath}, but ${received}. Check dataset and dataset_dir.`,
    { dataset: name, nearest },
  )
}
