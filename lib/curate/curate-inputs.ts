import { dirname } from 'node:path'
import { findDataFiles, findEvaluationFiles } from '../data/rows/data-files.js'
import type { JsonRow } from '../data/rows/row.js'
import { readRows } from '../data/rows/rows.js'
import { ConfigError, DataError } from '../errors.js'
import type { CurateConfig } from './curate-config.js'
import { type Attempt, type CurateColumns, type CurateRow, parseCurateRow } from './curate-row.js'
import { EvaluationIndex } from './decontamination-stage.js'
import type { RecordedAttempts } from './difficulty-stage.js'
import { type RowSource, type StageName, type StageOutput, stageNames } from './stage.js'
import { textKey } from './text.js'

/** A file of the input with the names of its columns. */
export interface InputFile {
  path: string
  columns: CurateColumns
}

/** The files of a config's input. Throws DATA_NOT_FOUND, and CONFIG_INVALID_VALUE where one lies in the output folder. */
export async function findInputs({ input, stages }: CurateConfig, outputDir: string): Promise<InputFile[]> {
  if (stages.length === 0)
    throw new ConfigError('CONFIG_INVALID_VALUE', `expected one of the stages ${stageNames.join(', ')} but received none`)
  const files: InputFile[] = []
  for (const { path, columns } of input) {
    for (const file of await findDataFiles(path)) files.push({ path: file, columns })
  }
  const inside = files.find(({ path }) => dirname(path) === outputDir || path.startsWith(`${outputDir}/`))
  if (inside === undefined) return files
  const message = `expected an output_dir apart from the input but ${inside.path} lies in it. Choose another folder.`
  throw new ConfigError('CONFIG_INVALID_VALUE', message, { outputDir, file: inside.path })
}

/** Files that a stage reads besides the rows. */
export async function extraFiles(config: CurateConfig, stage: StageName): Promise<string[]> {
  const find = async (paths: readonly string[], how: (path: string) => Promise<string[]>) =>
    (await Promise.all(paths.map(how))).flat()
  if (stage === 'difficulty') return find(config.difficulty.attemptsFiles, (path) => findDataFiles(path))
  return stage === 'decontamination' ? find(config.decontamination.against, findEvaluationFiles) : []
}

/** The rows of the input; malformed ones go to `out`, or are thrown with `strict`. */
export function readInputs(inputs: readonly InputFile[], out: StageOutput, strict: boolean): RowSource {
  const onMalformed = strict ? undefined : (error: DataError) => out.setAside(error)
  return async function* () {
    for (const { path, columns } of inputs) {
      try {
        for await (const row of readRows(path, { onMalformed })) {
          const parsed = tryParse(row, columns, onMalformed)
          if (parsed !== undefined) yield parsed
        }
      } catch (error) {
        // The rest of a broken file is lost; other files are read.
        if (onMalformed === undefined || !(error instanceof DataError) || error.code !== 'DATA_MALFORMED') throw error
        onMalformed(error)
      }
    }
  }
}

function tryParse(
  row: JsonRow,
  columns: CurateColumns,
  onMalformed: ((error: DataError) => void) | undefined,
): CurateRow | undefined {
  try {
    return parseCurateRow(row, columns)
  } catch (error) {
    if (onMalformed === undefined || !(error instanceof DataError)) throw error
    onMalformed(error)
    return undefined
  }
}

/** The rows that a stage kept. */
export async function* keptRows(path: string): AsyncGenerator<CurateRow> {
  for await (const { value } of readRows(path)) yield value as CurateRow
}

/** Attempts by normalised question, without their texts: about 100 bytes each. */
export async function readAttempts(config: CurateConfig, out: StageOutput): Promise<RecordedAttempts> {
  const recorded = new Map<string, Attempt[]>()
  const onMalformed = config.strict ? undefined : (error: DataError) => out.setAside(error)
  for (const path of await extraFiles(config, 'difficulty')) {
    for await (const row of readRows(path, { onMalformed })) {
      const parsed = tryParse(row, {}, onMalformed)
      if (parsed?.attempts === undefined) continue
      const key = textKey(parsed.question)
      // The texts of the attempts are not needed to count them.
      const attempts = parsed.attempts.map(({ correct, model }) => ({ correct, ...(model !== undefined && { model }) }))
      const earlier = recorded.get(key)
      if (earlier === undefined) recorded.set(key, attempts)
      else for (const attempt of attempts) earlier.push(attempt)
    }
  }
  return recorded
}

/** Throws for a row that cannot be read: what it asks would not be kept out of the training data. */
export async function readEvaluation(config: CurateConfig): Promise<EvaluationIndex> {
  const index = new EvaluationIndex(config.decontamination.ngram)
  for (const path of await extraFiles(config, 'decontamination')) {
    for await (const row of readRows(path)) index.add(parseCurateRow(row).question, row.place.text)
  }
  if (index.size > 0) return index
  throw new DataError('DATA_EMPTY', `expected questions in ${config.decontamination.against.join(', ')} but there are none.`)
}
