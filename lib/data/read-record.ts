import type { TrainConfig } from '../config/train-config.js'
import type { DataError } from '../errors.js'
import type { ColumnMapping } from './conversation.js'
import { resolveDatasets } from './dataset-info.js'
import { parseRecord, type TrainingRecord } from './records.js'
import { readRows } from './rows/rows.js'

/**
 * The n-th record of the data sets of a config, counting from 1 through all their files, or what they have where they end before
 * it. Rows before it are passed over as they are; the record itself throws the errors of `parseRecord`.
 */
export async function readRecord(
  config: Pick<TrainConfig, 'datasetDir' | 'maxSamples'>,
  dataset: string,
  n: number,
): Promise<{ record: TrainingRecord; columns: ColumnMapping | undefined } | { records: number }> {
  let records = 0
  for (const { files, columns } of await resolveDatasets(dataset, config.datasetDir)) {
    const before = records
    for (const file of files) {
      // A malformed row counts as a record too; if it is the one asked for, its error is thrown.
      const onMalformed = (error: DataError) => {
        records += 1
        if (records === n) throw error
      }
      for await (const row of readRows(file, { onMalformed })) {
        if (records - before === config.maxSamples) break
        records += 1
        if (records === n) return { record: parseRecord(row, columns), columns }
      }
    }
  }
  return { records }
}
