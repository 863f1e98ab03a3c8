import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { isJsonObject } from '../config/json-object.js'
import { lastingDefaults } from '../config/lasting-settings.js'
import { CheckpointError, LimoError } from '../errors.js'
import { makeFolder, publishFolder } from './atomic-folder.js'
import { activeTemporary, moveInPlace, temporaryName } from './durable-file.js'
import { checkHashes, checkSizes, corrupt, manifestName, readManifest } from './manifest.js'
import { type ModelContents, writeModelFiles } from './model-files.js'
import { type ModelFolder, openModelFolder } from './model-folder.js'
import { readHeader, type TensorEntry } from './safetensors.js'
import { produceSafetensors, type TensorWriter } from './safetensors-writer.js'

/**
 * State of a run after `step` steps, and the settings that must be the same for another run to go on from there with the same
 * bits.
 */
export interface TrainingState {
  /** Steps done. */
  step: number
  /** Epochs done, with the fraction of the one under way. */
  epoch: number
  totalSteps: number
  /** Every setting that changes the numbers, as plain JSON. */
  settings: Record<string, unknown>
  /** How many examples there are, and a digest of their tokens in order. */
  examples: { count: number; digest: string }
  /** Of the device; another one adds in another order. Checkpoints of earlier releases do not tell. */
  instructionSet?: string | undefined
}

/** Contents of a checkpoint to be written. */
export interface CheckpointContents {
  model: ModelContents
  state: TrainingState
  /** Moments of every trained weight, and in bfloat16 its master weight, under the names below. */
  optimizer: TensorWriter[]
}

/** The names of AdamW's moments in a checkpoint, after PyTorch's, by the Hugging Face name of the weight. */
export const firstMomentName = (name: string) => `exp_avg.${name}`
export const secondMomentName = (name: string) => `exp_avg_sq.${name}`
/** The float32 weight whose rounding the model has. */
export const masterName = (name: string) => `master.${name}`

/** An opened checkpoint; the bytes of weights and moments are still in their files. */
export interface Checkpoint {
  folder: string
  state: TrainingState
  model: ModelFolder
  optimizer: Map<string, TensorEntry>
}

const stateName = 'training-state/state.json'
const optimizerName = 'training-state/optimizer.safetensors'
/** Raised when a checkpoint of an older version could no longer be resumed with the same bits. */
const stateFormat = 2

/**
 * Writes `checkpoint-<step>` into the output folder: a model folder plus `training-state/`, published whole (see
 * `publishFolder`), and returns its path. Throws a CheckpointError `WRITE_FAILED`; earlier checkpoints are then intact.
 */
export async function writeCheckpoint(outputDir: string, step: number, contents: CheckpointContents): Promise<string> {
  const folder = join(outputDir, `checkpoint-${step}`)
  await makeFolder(outputDir)
  await publishFolder(
    folder,
    async (writer) => {
      await writeModelFiles(writer, contents.model)
      await writer.writeText(stateName, `${JSON.stringify({ format: stateFormat, ...contents.state }, null, 2)}\n`)
      await writer.writeFile(optimizerName, (sink) => produceSafetensors(contents.optimizer, sink))
    },
    { manifest: true },
  )
  return folder
}

/** A checkpoint folder that cannot be resumed from, and why. */
export interface SkippedCheckpoint {
  folder: string
  reason: string
}

/**
 * The newest complete checkpoint of an output folder: its manifest is there and every file has its size. `skipped` are the
 * newer ones that are not complete.
 */
export async function findLatestCheckpoint(
  outputDir: string,
): Promise<{ folder: string | undefined; skipped: SkippedCheckpoint[] }> {
  const skipped: SkippedCheckpoint[] = []
  for (const { folder } of await listCheckpoints(outputDir)) {
    const reason = await whyIncomplete(folder)
    if (reason === undefined) return { folder, skipped }
    skipped.push({ folder, reason })
  }
  return { folder: undefined, skipped }
}

/** Folders named `checkpoint-<step>`, newest first. */
async function listCheckpoints(outputDir: string): Promise<{ folder: string; step: number }[]> {
  const names = await readdir(outputDir).catch(() => [] as string[])
  return names
    .flatMap((name) => {
      const step = /^checkpoint-(\d+)$/.exec(name)?.[1]
      return step === undefined ? [] : [{ folder: join(outputDir, name), step: Number(step) }]
    })
    .sort((a, b) => b.step - a.step)
}

async function whyIncomplete(folder: string): Promise<string | undefined> {
  try {
    await checkSizes(folder, await readManifest(folder))
    return undefined
  } catch (error) {
    return error instanceof LimoError ? String(error.details.problem) : (error as Error).message
  }
}

/**
 * Opens a checkpoint to go on from. With `verify` the hash of every file is checked first.
 *
 * Throws a CheckpointError: `CHECKPOINT_NOT_FOUND`; `CHECKPOINT_CORRUPT` naming the file that is missing, cut or altered.
 */
export async function openCheckpoint(folder: string, { verify }: { verify: boolean }): Promise<Checkpoint> {
  const isFolder = await stat(folder).then(
    (status) => status.isDirectory(),
    () => false,
  )
  if (!isFolder) {
    const message = `expected a checkpoint folder for resume_from_checkpoint but there is none at ${resolve(folder)}`
    throw new CheckpointError('CHECKPOINT_NOT_FOUND', message, { folder })
  }
  const manifest = await readManifest(folder)
  for (const name of [stateName, optimizerName]) {
    if (!Object.hasOwn(manifest.files, name)) throw corrupt(join(folder, name), `${manifestName} does not list it`)
  }
  await checkSizes(folder, manifest)
  if (verify) await checkHashes(folder, manifest)
  const state = await readState(join(folder, stateName))
  const { entries } = await readHeader(join(folder, optimizerName))
  return { folder, state, model: await openModelFolder(folder), optimizer: entries }
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const stateSchema = v.object({
  format: v.literal(stateFormat),
  step: count,
  epoch: v.pipe(v.number(), v.finite(), v.minValue(0)),
  totalSteps: count,
  settings: v.record(v.string(), v.unknown()),
  examples: v.object({ count, digest: v.string() }),
  instructionSet: v.optional(v.string()),
})

async function readState(path: string): Promise<TrainingState> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw corrupt(path, `expected JSON: ${(cause as Error).message}`, cause)
  }
  const format = isJsonObject(json) ? json.format : undefined
  if (Number.isInteger(format) && format !== stateFormat) {
    const message =
      `${path} is of format ${format} and this version of limo-native goes on from format ${stateFormat}: its sums have another ` +
      'order, so the run would not be the same. Resume with the version that wrote it, or start a new run with ' +
      'model_name_or_path set to the checkpoint.'
    throw new CheckpointError('CHECKPOINT_MISMATCH', message, { file: path, format })
  }
  const result = v.safeParse(stateSchema, json)
  if (!result.success) {
    const [issue] = result.issues
    throw corrupt(path, `expected ${issue.expected} for ${v.getDotPath(issue)} but received ${issue.received}`)
  }
  const { format: _, ...state } = result.output
  return state
}

const totalStepsName = 'total steps'

/**
 * Checks that going on from `saved` gives what a run of `current` would have given without a stop, or, to `lengthen` it, would have but for
 * the learning rates of the steps that are done. Throws a CheckpointError `CHECKPOINT_MISMATCH` naming every setting that differs, with
 * both values.
 */
export function checkResumable(
  saved: TrainingState,
  current: Omit<TrainingState, 'step' | 'epoch'>,
  { folder, lengthen }: { folder: string; lengthen: boolean },
): void {
  const facts = ({ settings, totalSteps, examples }: Omit<TrainingState, 'step' | 'epoch'>): Record<string, unknown> => ({
    ...{ ...lastingDefaults, ...settings },
    'number of examples': examples.count,
    'digest of the examples': examples.digest,
    [totalStepsName]: totalSteps,
  })
  const before = facts(saved)
  const now = facts(current)
  const isLonger = current.totalSteps > saved.totalSteps
  const differing = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
    (key) => canonicalJson(before[key]) !== canonicalJson(now[key]) && !(key === totalStepsName && isLonger && lengthen),
  )
  if (differing.length === 0) return
  const list = differing.map((key) => `${key}: ${canonicalJson(before[key])} then, ${canonicalJson(now[key])} now`).join('; ')
  const remedy = differing.includes(totalStepsName)
    ? 'The learning rate of every step depends on the total steps, so a run of another length is another run. Set them back, ' +
      `${isLonger && differing.length === 1 ? 'go on all the same with lengthen: true, ' : ''}or start a new run with ` +
      `model_name_or_path: ${folder} and an output_dir of its own`
    : 'Set them back, or choose another output_dir'
  const message = `${folder} was made by a run with other settings (${list}). ${remedy}.`
  throw new CheckpointError('CHECKPOINT_MISMATCH', message, { folder, differing })
}

function canonicalJson(value: unknown): string {
  const sortKeys = (_key: string, inner: unknown) =>
    isJsonObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner
  return JSON.stringify(value, sortKeys) ?? 'nothing'
}

/**
 * Removes all but the newest `keep` checkpoints. Only folders with a manifest count and are removed: other tools' stay.
 * Throws a CheckpointError `WRITE_FAILED`.
 */
export async function pruneCheckpoints(outputDir: string, keep: number): Promise<void> {
  const complete: string[] = []
  for (const { folder } of await listCheckpoints(outputDir))
    if ((await whyIncomplete(folder)) === undefined) complete.push(folder)
  for (const folder of complete.slice(Math.max(1, keep))) {
    // Out of sight first: a folder half removed must not pass for a checkpoint.
    const doomed = temporaryName(folder)
    await activeTemporary(doomed, () => moveInPlace(folder, doomed))
  }
}
