import type { ColumnMapping } from '../lib/data/conversation.js'
import type { Example, ExampleOptions } from '../lib/data/example.js'
import { makeExample } from '../lib/data/example.js'
import { parseRecord, type TrainingRecord } from '../lib/data/records.js'
import { readRows } from '../lib/data/rows/rows.js'

/** All records of a small file. */
export async function readRecords(path: string, columns?: ColumnMapping): Promise<TrainingRecord[]> {
  const records: TrainingRecord[] = []
  for await (const row of readRows(path)) records.push(parseRecord(row, columns))
  return records
}

export function makeExamples(records: readonly TrainingRecord[], options: ExampleOptions): Example[] {
  return records.map((record) => makeExample(record, options))
}
