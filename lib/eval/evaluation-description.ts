import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../config/json-object.js'
import type { Protocol } from './protocol.js'

/** File of an evaluation's folder that says what it is of. */
export const descriptionName = 'evaluation.json'

/** Model, problems and settings of an evaluation, and when it was begun. */
export interface EvaluationDescription {
  /** Time in UTC, to the second: `2026-12-01T08:30:00Z`. */
  started: string
  /** The model's folder, as it was named. */
  model: string
  modelDigest: string
  dtype: string
  /** Most tokens of a prompt and its answer. */
  maxLength: number
  /** `boxed`, or the name of another judge. */
  judge: string
  /** Digest of the code that grades. */
  grader: string
  /** Digest of all problems. */
  problems: string
  benchmarks: ({ name: string } & Protocol)[]
}

/** Whether two descriptions are of one evaluation: it may be gone on with later, and its model may have been moved. */
export function areOneEvaluation(a: EvaluationDescription, b: EvaluationDescription): boolean {
  const identity = ({ started: _, model: __, ...rest }: EvaluationDescription) => JSON.stringify(rest)
  return identity(a) === identity(b)
}

/** The description in a folder; undefined where there is none that can be read. */
export async function readDescription(folder: string): Promise<EvaluationDescription | undefined> {
  const text = await readFile(join(folder, descriptionName), 'utf8').catch(() => '')
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) && Array.isArray(value.benchmarks) ? (value as unknown as EvaluationDescription) : undefined
  } catch {
    return undefined
  }
}
