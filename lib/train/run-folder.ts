import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { findForeignFiles } from '../checkpoint/final-model.js'
import {
  type Checkpoint,
  findLatestCheckpoint,
  openCheckpoint,
  type SkippedCheckpoint,
  type TrainingState,
} from '../checkpoint/training-state.js'
import type { TrainConfig } from '../config/train-config.js'
import { CheckpointError } from '../errors.js'
import { type LrSettings, learningRateAt, lrScheduleOf } from './lr-schedule.js'

/** A checkpoint to go on from, and the newer ones that were passed over because they are damaged. */
export interface FoundCheckpoint extends Checkpoint {
  skipped: SkippedCheckpoint[]
}

/** The checkpoint that `resume_from_checkpoint` asks for, verified. Throws CHECKPOINT_NOT_FOUND, CHECKPOINT_CORRUPT. */
export async function findCheckpoint(config: TrainConfig, outputDir: string): Promise<FoundCheckpoint | undefined> {
  const asked = config.resumeFromCheckpoint
  if (asked === false) return undefined
  const { folder, skipped } = asked === true ? await findLatestCheckpoint(outputDir) : { folder: asked, skipped: [] }
  if (folder !== undefined) return { ...(await openCheckpoint(folder, { verify: true })), skipped }
  const damaged = skipped.map((checkpoint) => `; ${checkpoint.folder} is damaged (${checkpoint.reason})`).join('')
  const traces = await tracesOfRun(outputDir)
  throw new CheckpointError(
    'CHECKPOINT_NOT_FOUND',
    `expected a complete checkpoint to resume from in ${resolve(outputDir)} but there is none${damaged}. ` +
      `Start without resume_from_checkpoint${traces.length > 0 ? ', and with --overwrite_output_dir true' : ''}.`,
    { outputDir, skipped },
  )
}

/** What a user should know of a checkpoint that a run goes on from, a line each. */
export function resumeNotes(
  { folder, state, skipped }: FoundCheckpoint,
  { totalSteps, instructionSet }: { totalSteps: number; instructionSet: string },
  lr: LrSettings,
): string[] {
  const notes = skipped.map(({ folder, reason }) => `${folder} is damaged and was passed over (${reason})`)
  if (totalSteps > state.totalSteps) {
    const [before, now] = [state.totalSteps, totalSteps].map((total) => learningRateAt(state.step, lrScheduleOf(lr, total)))
    notes.push(
      `lengthened from ${state.totalSteps} to ${totalSteps} steps, with the moments of ${folder}: step ${state.step + 1} has the ` +
        `learning rate ${toThree(now!)}, not ${toThree(before!)}, and the weights will not be those of a run that was this long from the start`,
    )
  }
  if (state.instructionSet !== undefined && orderOfSums(state.instructionSet, state) !== orderOfSums(instructionSet, state)) {
    const onCpu = isCpuInstructionSet(state.instructionSet) && isCpuInstructionSet(instructionSet)
    const hint = onCpu ? ` (LIMO_CPU=${state.instructionSet} forces the former)` : ''
    notes.push(
      `${folder} was made with ${state.instructionSet} and this run computes with ${instructionSet}: the last bits of its ` +
        `numbers may differ from those of a run that was never stopped${hint}`,
    )
  }
  return notes
}

const toThree = (value: number) => String(Number(value.toPrecision(3)))

/** An instruction set of the CPU, which LIMO_CPU can force; a CUDA device has its compute capability in its place, `sm_90`. */
function isCpuInstructionSet(name: string): boolean {
  return /^[a-z]/.test(name) && !/^sm_\d/.test(name)
}

/** Instruction sets that give the same bits have the same name here: in float32 products of bfloat16 make no difference. */
function orderOfSums(instructionSet: string, { settings }: TrainingState): string {
  const plain: Record<string, string> = { avx512bf16: 'avx512', amx: 'avx512', neonbf16: 'neon' }
  return settings.bf16 === true ? instructionSet : (plain[instructionSet] ?? instructionSet)
}

/** Throws WRITE_FAILED where a file has the name of the output folder. */
export async function checkIsNoFile(outputDir: string): Promise<void> {
  const status = await stat(outputDir).catch(() => undefined)
  if (!status || status.isDirectory()) return
  const message = `expected a folder for output_dir but ${resolve(outputDir)} is a file: choose another output_dir`
  throw new CheckpointError('WRITE_FAILED', message, { file: outputDir })
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

/** A few lines of metrics and nothing else are what a run leaves that ended before it had saved anything. */
const WORTH_KEEPING = 64 << 10

/** A run must not write over another one, or over files of someone else. Throws OUTPUT_EXISTS. */
export async function checkOutputFolder(config: TrainConfig, outputDir: string, modelFolder: string): Promise<void> {
  if (config.overwriteOutputDir) return
  const foreign = await findForeignFiles(outputDir, modelFolder)
  const traces = (await tracesOfRun(outputDir)).filter((name) => !foreign.includes(name))
  if (traces.length === 0 && foreign.length > 0) {
    throw new CheckpointError(
      'OUTPUT_EXISTS',
      `expected an output_dir without files that the trained model would replace but ${resolve(outputDir)} has ` +
        `${foreign.join(', ')}: choose another output_dir, or replace them with --overwrite_output_dir true`,
      { outputDir, foreign },
    )
  }
  if (traces.length === 0) return
  if (traces.every((name) => name === 'metrics.jsonl') && (await stat(join(outputDir, 'metrics.jsonl'))).size < WORTH_KEEPING)
    return
  // A run that died before its first checkpoint has nothing to go on from.
  const { folder } = await findLatestCheckpoint(outputDir)
  const choices = ['write over it with --overwrite_output_dir true', 'choose another output_dir']
  if (folder !== undefined) choices.unshift('go on with it with --resume_from_checkpoint true')
  const remedy = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
  throw new CheckpointError(
    'OUTPUT_EXISTS',
    `expected an empty output_dir but ${resolve(outputDir)} holds a run (${traces.slice(0, 3).join(', ')}): ${remedy}`,
    { outputDir },
  )
}

/** The names by which a folder shows that a run has written to it. */
async function tracesOfRun(outputDir: string): Promise<string[]> {
  const names = await readdir(outputDir).catch(() => [] as string[])
  return names.filter((name) => isCheckpoint(name) || name === 'metrics.jsonl' || name === 'config.json')
}

/** With overwrite_output_dir: checkpoints of the run before must not be taken for those of this one. */
export async function removeEarlierRun(outputDir: string): Promise<void> {
  for (const name of await readdir(outputDir)) {
    if (isCheckpoint(name)) await rm(join(outputDir, name), { recursive: true, force: true })
  }
}
