import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { isJsonObject } from '../config/json-object.js'
import { parseProblemRow } from '../data/problem-row.js'
import { columnNames } from '../data/row-columns.js'
import { findDataFiles } from '../data/rows/data-files.js'
import type { JsonRow } from '../data/rows/row.js'
import { describe, invalidRecord } from '../data/rows/row-fields.js'
import { readRows } from '../data/rows/rows.js'
import { gradeBoxed, type Judge } from './judge.js'

/** Report on completions that were made elsewhere. */
export interface GradedCompletions {
  rows: number
  correct: number
  /** Rows without an answer in their completion. */
  unanswered: number
}

/**
 * Grades completions that were made elsewhere: rows `{answer, completion}` with any other columns, which are kept, and `extracted` and
 * `correct` are added. The output is JSONL, in the order of the rows, written as a whole.
 *
 * Throws DATA_NOT_FOUND, DATA_MALFORMED and DATA_INVALID_RECORD naming file and line; WRITE_FAILED.
 */
export async function gradeCompletions(
  input: string,
  output: string,
  { judge = gradeBoxed, signal }: { judge?: Judge | undefined; signal?: AbortSignal | undefined } = {},
): Promise<GradedCompletions> {
  const graded: GradedCompletions = { rows: 0, correct: 0, unanswered: 0 }
  const files = await findDataFiles(input)
  await writeFileAtomically(output, async (sink) => {
    for (const file of files) {
      for await (const row of readRows(file)) {
        signal?.throwIfAborted()
        const { question, answer, completion } = readCompletion(row)
        const { correct, extracted } = await judge({ question, answer, completion })
        graded.rows += 1
        if (correct) graded.correct += 1
        if (extracted === undefined) graded.unanswered += 1
        await sink(Buffer.from(`${JSON.stringify({ ...(row.value as object), extracted: extracted ?? null, correct })}\n`))
      }
    }
  })
  return graded
}

function readCompletion(row: JsonRow): { question: string; answer: string; completion: string } {
  const { place, value } = row
  if (!isJsonObject(value))
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the row.')
  const column = columnNames.completion.find((name) => typeof value[name] === 'string')
  if (column === undefined) {
    const problem = `expected a completion (${columnNames.completion.join(', ')}) but received {${Object.keys(value).join(', ')}}`
    throw invalidRecord(place, problem, 'Name the column completion.')
  }
  // A question is of use to a judge that reads it, and may be missing.
  const { question, answer } = parseProblemRow({ place, value: { question: '-', ...value } })
  if (answer === undefined) throw invalidRecord(place, 'expected an answer to grade by but received none', 'Add a column answer.')
  return { question: 'question' in value ? question : '', answer, completion: value[column] as string }
}
