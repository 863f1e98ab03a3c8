import { createHash } from 'node:crypto'
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { digestOfCode, digestOfFile } from '../cache/file-digest.js'
import { lockOutput } from '../checkpoint/output-lock.js'
import { isJsonObject } from '../config/json-object.js'
import { CheckpointError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { CurateConfig } from './curate-config.js'
import { extraFiles, findInputs, type InputFile, keptRows, readAttempts, readEvaluation, readInputs } from './curate-inputs.js'
import { reportPage } from './curate-page.js'
import { runDecontamination } from './decontamination-stage.js'
import { runDifficulty } from './difficulty-stage.js'
import { runPool } from './pool-stage.js'
import { runQuality } from './quality-stage.js'
import { runSelection } from './selection-stage.js'
import { type RowSource, type StageContext, type StageName, StageOutput, type StageSummary, stageNames } from './stage.js'

/** Progress of a curation, a stage at a time. */
export type CurateEvent =
  | { type: 'stage'; stage: StageName }
  /** `reused`: an earlier run had done it on the same rows with the same settings. */
  | { type: 'done'; summary: StageSummary; reused: boolean }
  | { type: 'end'; report: CurateReport }

/** Result of a curation. */
export interface CurateReport {
  outputDir: string
  /** The rows that were chosen: `{question, solution, answer, …}`, as `limo-native train` reads them. */
  curated: string
  /** The page with all of this. */
  page: string
  stages: StageSummary[]
}

/** How a curation is stopped. */
export interface CurateOptions {
  /** Ends the run with the signal's reason; finished stages stay. */
  signal?: AbortSignal | undefined
}

/**
 * Chooses rows: each stage reads what the one before it kept and writes a folder of its own into `outputDir`
 * (`1-pool/kept.jsonl`, `dropped.jsonl`, `malformed.jsonl`, `stage.json`); the last stage's rows are `curated.jsonl`, and
 * `report.html` tells the whole. A stage's folder appears when it is whole, so a run that was killed goes on with the first stage
 * that is not there, and the same rows and settings always give the same bytes. Folders of stages that this run has not stay.
 *
 * @throws ConfigError, DataError (the first malformed row with `strict`), CheckpointError WRITE_FAILED, and OUTPUT_EXISTS while
 * another run works in the folder
 */
export async function* curate(
  config: CurateConfig,
  { signal }: CurateOptions = {},
): AsyncGenerator<CurateEvent, void, undefined> {
  const outputDir = resolve(config.outputDir)
  const inputs = await findInputs(config, outputDir)
  let unlock: (() => Promise<void>) | undefined
  try {
    await mkdir(outputDir, { recursive: true })
    unlock = await lockOutput(outputDir, 'curate')
    await removeTemporaries(outputDir)
    const stages: StageSummary[] = []
    let key = await firstKey(inputs)
    let rows: (out: StageOutput) => RowSource = (out) => readInputs(inputs, out, config.strict)
    for (const stage of config.stages) {
      signal?.throwIfAborted()
      yield { type: 'stage', stage }
      const folder = join(outputDir, folderOf(stage))
      key = digest([key, stage, config.seed, config.strict, settingsOf(config, stage), await extraDigests(config, stage)])
      const known = await readSummary(folder, key)
      const summary = known ?? (await runStage(stage, { config, rows, folder, key, signal }))
      stages.push(summary)
      yield { type: 'done', summary, reused: known !== undefined }
      rows = () => () => keptRows(join(folder, 'kept.jsonl'))
    }
    const report: CurateReport = {
      outputDir,
      curated: join(outputDir, 'curated.jsonl'),
      page: join(outputDir, 'report.html'),
      stages,
    }
    await publish(report.curated, (path) => copyFile(join(outputDir, folderOf(config.stages.at(-1)!), 'kept.jsonl'), path))
    await publish(report.page, (path) => writeText(path, reportPage(stages)))
    yield { type: 'end', report }
  } catch (cause) {
    throw asWriteFailed(cause, outputDir)
  } finally {
    await unlock?.()
  }
}

/** `3-decontamination`: the number of a stage is the same in every run. */
export function folderOf(stage: StageName): string {
  return `${stageNames.indexOf(stage) + 1}-${stage}`
}

/** Removes leftovers of a killed run. */
async function removeTemporaries(outputDir: string): Promise<void> {
  const names = [...stageNames.flatMap((stage) => [folderOf(stage), `${folderOf(stage)}.work`]), 'curated.jsonl', 'report.html']
  for (const name of names) await rm(join(outputDir, `${name}${temporaryEnding}`), { recursive: true, force: true })
}

const temporaryEnding = '.limo-tmp'

const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')

/** The code that a row goes through in the stages. */
const codeFolders = ['./', '../answer/', '../cache/', '../data/', '../grader/', '../random/']

async function firstKey(inputs: readonly InputFile[]): Promise<string> {
  const code = await digestOfCode(...codeFolders.map((folder) => new URL(folder, import.meta.url)))
  const files = await Promise.all(inputs.map(async ({ path, columns }) => [basename(path), columns, await digestOfFile(path)]))
  return digest([code, files])
}

function settingsOf(config: CurateConfig, stage: StageName): unknown {
  // JSON has no Infinity.
  if (stage === 'difficulty') return config.difficulty.criteria.map((criterion) => Object.entries(criterion).map(String))
  // Files count by their content, however their paths are written.
  return stage === 'decontamination' ? { ...config.decontamination, against: [] } : config[stage]
}

async function extraDigests(config: CurateConfig, stage: StageName): Promise<unknown> {
  const files = await extraFiles(config, stage)
  const missing = stage === 'difficulty' ? config.difficulty.missing : ''
  return [missing, await Promise.all(files.map(async (path) => [basename(path), await digestOfFile(path)]))]
}

async function readSummary(folder: string, key: string): Promise<StageSummary | undefined> {
  try {
    const file: unknown = JSON.parse(await readFile(join(folder, 'stage.json'), 'utf8'))
    if (!isJsonObject(file) || file.key !== key || !isJsonObject(file.files)) return undefined
    // A stage whose files were changed is made again.
    for (const [name, bytes] of Object.entries(file.files)) {
      if ((await stat(join(folder, name))).size !== bytes) return undefined
    }
    return file.summary as StageSummary
  } catch {
    return undefined
  }
}

interface StageRun {
  config: CurateConfig
  rows: (out: StageOutput) => RowSource
  folder: string
  key: string
  signal: AbortSignal | undefined
}

async function runStage(stage: StageName, { config, rows, folder, key, signal }: StageRun): Promise<StageSummary> {
  const building = `${folder}${temporaryEnding}`
  const temporary = `${folder}.work${temporaryEnding}`
  for (const path of [building, temporary]) await rm(path, { recursive: true, force: true })
  for (const path of [building, temporary]) await mkdir(path)
  const out = new StageOutput(stage, building)
  const context: StageContext = { rows: rows(out), out, temporary, seed: config.seed, signal }
  try {
    if (stage === 'pool') await runPool(context, config.pool)
    else if (stage === 'difficulty') await runDifficulty(context, config.difficulty, await readAttempts(config, out))
    else if (stage === 'decontamination') await runDecontamination(context, config.decontamination, await readEvaluation(config))
    else if (stage === 'quality') await runQuality(context, config.quality)
    else await runSelection(context, config.selection, building)
  } finally {
    out.close()
    await rm(temporary, { recursive: true, force: true })
  }
  const files = await sizesOf(building)
  await writeText(join(building, 'stage.json'), `${JSON.stringify({ key, files, summary: out.summary }, null, 2)}\n`)
  failpoint('rename')
  await rm(folder, { recursive: true, force: true })
  failpoint('removed')
  await rename(building, folder)
  return out.summary
}

async function sizesOf(folder: string): Promise<Record<string, number>> {
  const names = (await readdir(folder)).sort()
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).size])))
}

async function writeText(path: string, text: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Writes a temporary file and renames it. */
async function publish(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}${temporaryEnding}`
  await write(temporary)
  failpoint('file')
  await rename(temporary, path)
}

function asWriteFailed(cause: unknown, folder: string): unknown {
  const { code, message } = cause as NodeJS.ErrnoException
  if (!['ENOSPC', 'EACCES', 'EROFS', 'EDQUOT', 'ENOTDIR', 'EPERM', 'EEXIST'].includes(code ?? '')) return cause
  return new CheckpointError(
    'WRITE_FAILED',
    `cannot write into ${folder}: ${message}. Make room, or choose another output_dir.`,
    { folder },
    { cause },
  )
}
