import { readdir, realpath, rm } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { type Checkpoint, findLatestCheckpoint, openCheckpoint } from '../checkpoint/training-state.js'
import type { TrainConfig } from '../config/train-config.js'
import { CheckpointError } from '../errors.js'

/** The checkpoint that `resume_from_checkpoint` asks for, verified. Throws CHECKPOINT_NOT_FOUND, CHECKPOINT_CORRUPT. */
export async function findCheckpoint(config: TrainConfig, outputDir: string): Promise<Checkpoint | undefined> {
  const asked = config.resumeFromCheckpoint
  if (asked === false) return undefined
  const folder = asked === true ? await findLatestCheckpoint(outputDir) : asked
  if (folder === undefined) {
    throw new CheckpointError(
      'CHECKPOINT_NOT_FOUND',
      `expected a complete checkpoint to resume from in ${resolve(outputDir)} but there is none. Start without resume_from_checkpoint.`,
      { outputDir },
    )
  }
  return openCheckpoint(folder, { verify: true })
}

/** A run must not write over the model it starts from, or remove it. Throws OUTPUT_EXISTS. */
export async function checkModelIsApart(outputDir: string, modelFolder: string): Promise<void> {
  const output = await realpath(outputDir).catch(() => resolve(outputDir))
  const model = await realpath(modelFolder)
  const problem =
    output === model
      ? "an output_dir other than the model's folder"
      : isCheckpoint(relative(output, model))
        ? 'an output_dir other than that of the checkpoint to start from (copy it elsewhere, or go on with resume_from_checkpoint)'
        : undefined
  if (problem)
    throw new CheckpointError('OUTPUT_EXISTS', `expected ${problem} but received ${output}`, { outputDir, modelFolder })
}

const isCheckpoint = (name: string) => /^checkpoint-\d+$/.test(name)

/** Whether a folder lies in the output folder, whatever links lead to either. */
export async function liesIn(outputDir: string, folder: string): Promise<boolean> {
  const real = (path: string) => realpath(path).catch(() => resolve(path))
  const path = relative(await real(outputDir), await real(folder))
  return path !== '' && !isAbsolute(path) && path.split(sep)[0] !== '..'
}

/** A run must not write over another one. Throws OUTPUT_EXISTS. */
export async function checkOutputFolder(config: TrainConfig, outputDir: string): Promise<void> {
  if (config.overwriteOutputDir) return
  const names = await readdir(outputDir).catch(() => [] as string[])
  const traces = names.filter((name) => isCheckpoint(name) || name === 'metrics.jsonl' || name === 'config.json')
  if (traces.length > 0) {
    throw new CheckpointError(
      'OUTPUT_EXISTS',
      `expected an empty output_dir but ${resolve(outputDir)} holds a run (${traces.slice(0, 3).join(', ')}). Go on with it with ` +
        '--resume_from_checkpoint true, write over it with --overwrite_output_dir true, or choose another output_dir.',
      { outputDir },
    )
  }
}

/** With overwrite_output_dir: checkpoints of the run before must not be taken for those of this one. */
export async function removeEarlierRun(outputDir: string): Promise<void> {
  for (const name of await readdir(outputDir)) {
    if (isCheckpoint(name)) await rm(join(outputDir, name), { recursive: true, force: true })
  }
}
