import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve, sep } from 'node:path'
import { glob, isDynamicPattern } from 'tinyglobby'
import { parse } from 'yaml'
import { isJsonObject } from '../../config/json-object.js'
import { DataError } from '../../errors.js'

export interface DataFileOptions {
  /** Split of a Hugging Face dataset folder; default `train`. */
  split?: string | undefined
  /** Config in a dataset folder's README.md; by default the default one, or the only one. */
  subset?: string | undefined
}

const readable = /\.(jsonl|ndjson|json|csv|tsv)(\.(gz|gzip|zst|zstd))?$|\.parquet$/i
/** Files of a dataset folder that describe it. */
const descriptions = ['dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', 'state.json']

/**
 * The files that a path stands for: itself, those that match where it is a glob (`data/*.parquet`), and those of one split
 * where it is a folder as the Hugging Face Hub has them: by the `configs` of its README.md or else by the names of the files
 * (`train.jsonl`, `data/train-00000-of-00002.parquet`, `train/a.csv`). Sorted by name, so that the order of rows is the same
 * everywhere. Throws DATA_NOT_FOUND.
 */
export async function findDataFiles(path: string, options: DataFileOptions = {}): Promise<string[]> {
  const whole = resolve(path)
  if (existsSync(whole)) return (await stat(whole)).isDirectory() ? filesOfFolder(whole, options) : [whole]
  if (isDynamicPattern(path)) {
    const files = await matching(path, process.cwd())
    if (files.length > 0) return files
    throw notFound(path, `no file matches ${path}`, 'Check the pattern.')
  }
  throw notFound(path, `${path} does not exist`, 'Check the path.')
}

/** The files of what a model is evaluated on: of a dataset folder the split test or, where it has none, train. Throws DATA_NOT_FOUND. */
export async function findEvaluationFiles(path: string): Promise<string[]> {
  try {
    return await findDataFiles(path, { split: 'test' })
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== 'DATA_NOT_FOUND') throw error
    return findDataFiles(path)
  }
}

async function matching(pattern: string | string[], cwd: string): Promise<string[]> {
  const files = await glob(pattern, { cwd, absolute: true, expandDirectories: false })
  return files.map((file) => resolve(file)).sort()
}

async function filesOfFolder(folder: string, { split = 'train', subset }: DataFileOptions): Promise<string[]> {
  if (existsSync(join(folder, 'state.json')) || existsSync(join(folder, 'dataset_dict.json'))) {
    throw notFound(
      folder,
      `${folder} was written by save_to_disk (Arrow)`,
      'Write Parquet or JSONL instead: to_parquet, to_json.',
    )
  }
  const patterns = await patternsOfReadme(folder, split, subset)
  const files = patterns === undefined ? await filesBySplit(folder, split, subset) : await matching(patterns, folder)
  if (files.length > 0) return files
  throw notFound(
    folder,
    `${folder} has no files of the split ${split} that are JSONL, JSON, CSV or Parquet`,
    'Name files or a glob.',
  )
}

/** Patterns from the front matter of a README.md; undefined where it says nothing of files. */
async function patternsOfReadme(folder: string, split: string, subset: string | undefined): Promise<string[] | undefined> {
  const text = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '')
  const frontMatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1]
  let described: unknown
  try {
    described = frontMatter === undefined ? undefined : parse(frontMatter)
  } catch {
    return undefined
  }
  const configs = isJsonObject(described) && Array.isArray(described.configs) ? described.configs.filter(isJsonObject) : []
  if (configs.length === 0) return undefined
  const names = configs.map(({ config_name: name }) => String(name))
  const named = (name: string | undefined) => configs.find((config) => String(config.config_name) === name)
  const only = configs.length === 1 ? configs[0] : undefined
  const config = subset === undefined ? (configs.find((one) => one.default === true) ?? named('default') ?? only) : named(subset)
  if (config !== undefined) return patternsOf(config.data_files, split)
  const received = subset === undefined ? 'none, and none of them is the default' : subset
  throw notFound(folder, `expected a subset of ${names.join(', ')} but received ${received}`, 'Set subset in dataset_info.json.')
}

/** `data_files` is a pattern, a list of them, or a list of `{split, path}`; patterns without a split are train. */
function patternsOf(value: unknown, split: string): string[] | undefined {
  if (value === undefined) return undefined
  const entries = Array.isArray(value) ? value : [value]
  return entries.flatMap((entry) => {
    if (!isJsonObject(entry)) return split === 'train' ? [String(entry)] : []
    if ((entry.split ?? 'train') !== split) return []
    return (Array.isArray(entry.path) ? entry.path : [entry.path]).map(String)
  })
}

/** Names that mean a split, as the Hub reads them. */
const splitWords: Record<string, string[]> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
}

async function filesBySplit(folder: string, split: string, subset: string | undefined): Promise<string[]> {
  const root = subset === undefined ? folder : join(folder, subset)
  const entries = await readdir(root, { recursive: true }).catch(() => [] as string[])
  const files = entries.filter((name) => readable.test(name) && !descriptions.includes(basename(name)) && !name.startsWith('.'))
  const words = Object.entries(splitWords).flatMap(([name, spellings]) => spellings.map((word) => ({ name, word })))
  const splitOf = (file: string) => {
    const parts = file.toLowerCase().split(/[^a-z0-9]+/)
    return words.find(({ word }) => parts.includes(word))?.name ?? (parts.includes(split.toLowerCase()) ? split : undefined)
  }
  const named = files.filter((file) => splitOf(file.split(sep).join('/')) === split)
  const hasSplits = files.some((file) => splitOf(file) !== undefined)
  const chosen = hasSplits ? named : split === 'train' ? files : []
  return chosen.map((file) => join(root, file)).sort()
}

function notFound(path: string, problem: string, remedy: string): DataError {
  return new DataError('DATA_NOT_FOUND', `expected rows at ${path}, but ${problem}. ${remedy}`, { file: path })
}
