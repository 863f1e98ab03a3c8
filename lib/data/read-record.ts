import type { TrainConfig } from '../config/train-config.js'
import { DataError } from '../errors.js'
import type { ColumnMapping } from './conversation.js'
import { resolveDatasets } from './dataset-info.js'
import { isUnlearnt } from './example.js'
import { parseRecord, type TrainingRecord } from './records.js'
import type { JsonRow } from './rows/row.js'
import { readRows } from './rows/rows.js'
import type { TokenizationOptions } from './tokenization.js'

/** A record, and its number among those that are learnt, counting from 0 through all data sets. */
export interface ReadRecord {
  record: TrainingRecord
  index: number
  columns: ColumnMapping | undefined
}

/**
 * The n-th record of the data sets of a config, counting from 1 through all their files, or what they have where they end before
 * it. Of rows before it only those that are left out are told from others; the record itself throws the errors of `parseRecord`.
 */
export async function readRecord(
  config: Pick<TrainConfig, 'datasetDir' | 'maxSamples' | 'maskHistory' | 'trainOnPrompt'>,
  dataset: string,
  n: number,
): Promise<ReadRecord | { records: number }> {
  let [records, learnt] = [0, 0]
  for (const { files, columns } of await resolveDatasets(dataset, config.datasetDir)) {
    const before = learnt
    for (const file of files) {
      // A malformed row counts as a record too; if it is the one asked for, its error is thrown.
      const onMalformed = (error: DataError) => {
        records += 1
        learnt += 1
        if (records === n) throw error
      }
      for await (const row of readRows(file, { onMalformed })) {
        if (learnt - before === config.maxSamples) break
        records += 1
        if (records === n) return { record: parseRecord(row, columns), index: learnt, columns }
        if (!isLeftOut(row, columns, config)) learnt += 1
      }
    }
  }
  return { records }
}

function isLeftOut(row: JsonRow, columns: ColumnMapping | undefined, options: TokenizationOptions): boolean {
  try {
    return isUnlearnt(parseRecord(row, columns), options)
  } catch (error) {
    // A row that is an error, which training stops at.
    if (!(error instanceof DataError)) throw error
    return false
  }
}
