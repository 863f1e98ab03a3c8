import type { RowPlace } from './rows/row.js'
import { describe, invalidRecord, parseList, type Row } from './rows/row-fields.js'

/*
 * Columns that say of a whole row whether it is to be learnt, by the names that turns have for it (turn-keys.ts). Rows have other
 * things under some of these names, as the loss of another model: those count only where they are a flag.
 */

/** Columns for which another value than a flag is an error. */
const weightColumns = ['weight', 'loss_mask']
const flagColumns = [...weightColumns, 'train', 'training', 'trainable']

export interface RowWeight {
  isLearnt: boolean
  /** Columns that say so. */
  read: string[]
}

/** Whether a row is learnt, as far as its columns say. Throws DATA_INVALID_RECORD for what cannot be done here. */
export function rowWeight(row: Row, place: RowPlace): RowWeight {
  if (row.label === false) {
    const problem = 'expected a response to learn from but received one with label: false, by which preference data mark bad ones'
    throw invalidRecord(place, problem, 'Remove such rows or, where the label says something else, the column label.')
  }
  const read = flagColumns.filter((name) => isFlag(row[name]))
  const strange = weightColumns.find((name) => row[name] != null && row[name] !== '' && !read.includes(name))
  if (strange !== undefined) {
    const problem = `expected ${strange} to be 0, 1, true or false but received ${describe(row[strange])}`
    throw invalidRecord(place, problem, 'A row is learnt or is not: repeat rows that count more, and remove the column.')
  }
  if (typeof row.loss === 'boolean') read.push('loss')
  const isLearnt = read.every((name) => Number(row[name]) !== 0)
  return { isLearnt, read: row.label === true ? [...read, 'label'] : read }
}

function isFlag(value: unknown): boolean {
  return value === true || value === false || value === 0 || value === 1
}

/** The row without a mask over its labels. Throws DATA_INVALID_RECORD where that says otherwise than they do. */
export function withoutLossMask(row: Row, place: RowPlace): Row {
  const { loss_mask: mask, ...rest } = row
  const [flags, labels] = [parseList(mask), parseList(row.labels)]
  if (!Array.isArray(flags) || !Array.isArray(labels)) return row
  if (flags.length === labels.length && flags.every((flag, t) => Boolean(flag) === (labels[t] !== -100))) return rest
  const problem = 'expected loss_mask to be 0 exactly where labels are -100 but received others'
  throw invalidRecord(place, problem, 'Write -100 into labels where a token is not to be learnt, and remove loss_mask.')
}
