import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { isJsonObject } from '../config/json-object.js'
import { parseProblemRow } from '../data/problem-row.js'
import { columnNames, columnOf, isFilled } from '../data/row-columns.js'
import { findDataFiles } from '../data/rows/data-files.js'
import type { JsonRow } from '../data/rows/row.js'
import { describe, invalidRecord } from '../data/rows/row-fields.js'
import { readRows } from '../data/rows/rows.js'
import { DataError } from '../errors.js'
import { gradeBoxed, type Judge } from './judge.js'

/** Report on completions that were made elsewhere. */
export interface GradedCompletions {
  /** Rows that were graded, with and without an answer. */
  rows: number
  correct: number
  /** Graded rows without an answer in their completion, which are wrong. */
  unanswered: number
  /** Those of `unanswered` whose completion is empty, null or not there. */
  missing: number
  /** Rows that cannot be graded; they are counted in none of the others. */
  invalid: number
}

/** Who decides, what stops it, and who hears of rows that cannot be graded. */
export interface GradeCompletionsOptions {
  /** Decides on answers; by the last `\boxed{…}` and mathematics when absent. */
  judge?: Judge | undefined
  signal?: AbortSignal | undefined
  /** Hears of each row that cannot be graded, with its file and line: one that is no JSON, or has no answer to grade by. */
  onInvalid?: ((error: DataError) => void) | undefined
}

/**
 * Grades completions that were made elsewhere: rows `{answer, completion}` with any other columns, which are kept, and `extracted` and
 * `correct` are added. A completion that is null or missing is an answer that was not given. The output is JSONL, in the order of the
 * rows, without those that cannot be graded, written as a whole.
 *
 * Throws DATA_NOT_FOUND; DATA_INVALID_RECORD where no row has a completion; where none can be graded with what is wrong with the first one; WRITE_FAILED.
 */
export async function gradeCompletions(
  input: string,
  output: string,
  { judge = gradeBoxed, signal, onInvalid }: GradeCompletionsOptions = {},
): Promise<GradedCompletions> {
  const graded: GradedCompletions = { rows: 0, correct: 0, unanswered: 0, missing: 0, invalid: 0 }
  const files = await findDataFiles(input)
  let [firstError, firstMissing]: [DataError?, DataError?] = []
  let hasColumn = false
  const onError = (error: DataError) => {
    graded.invalid += 1
    firstError ??= error
    onInvalid?.(error)
  }
  await writeFileAtomically(output, async (sink) => {
    for await (const row of rowsOf(files, onError)) {
      signal?.throwIfAborted()
      const given = tryRead(row)
      if (given instanceof DataError) {
        onError(given)
        continue
      }
      const { value, question, answer, completion } = given
      hasColumn ||= given.hasColumn
      if (!given.hasColumn) firstMissing ??= withoutColumn(row, value)
      const { correct, extracted } =
        completion === undefined ? { correct: false, extracted: undefined } : await judge({ question, answer, completion })
      graded.rows += 1
      if (correct) graded.correct += 1
      if (extracted === undefined) graded.unanswered += 1
      if (completion === undefined) graded.missing += 1
      await sink(Buffer.from(`${JSON.stringify({ ...value, extracted: extracted ?? null, correct })}\n`))
    }
    // A file whose completions have another name would be graded as if nothing had been answered.
    if (graded.rows > 0 && !hasColumn) throw firstMissing!
    if (graded.rows === 0 && firstError !== undefined) throw nothingGraded(input, graded.invalid, firstError)
  })
  return graded
}

/** The rows of all files; where one is broken off, those before. */
async function* rowsOf(files: readonly string[], onMalformed: (error: DataError) => void): AsyncGenerator<JsonRow> {
  for (const file of files) {
    try {
      yield* readRows(file, { onMalformed })
    } catch (error) {
      if (!(error instanceof DataError) || error.code !== 'DATA_MALFORMED') throw error
      onMalformed(error)
    }
  }
}

interface GivenCompletion {
  value: Record<string, unknown>
  question: string
  answer: string
  /** Undefined where there is none. */
  completion: string | undefined
  /** Whether the row has a column for it. */
  hasColumn: boolean
}

function tryRead(row: JsonRow): GivenCompletion | DataError {
  try {
    return readCompletion(row)
  } catch (error) {
    if (error instanceof DataError) return error
    throw error
  }
}

function readCompletion({ place, value }: JsonRow): GivenCompletion {
  if (!isJsonObject(value))
    throw invalidRecord(place, `expected a JSON object but received ${describe(value)}`, 'Mend or remove the row.')
  const column = columnOf(value, 'completion')
  const completion = isFilled(column?.value) && !Number.isNaN(column?.value) ? column!.value : undefined
  if (completion !== undefined && typeof completion !== 'string') {
    const problem = `expected ${column!.name} to be text but received ${describe(completion)}`
    throw invalidRecord(place, problem, 'Write one completion a row, as text.')
  }
  // A question is of use to a judge that reads it, and may be missing. Chains are not read, whatever is in them.
  const chains: readonly string[] = columnNames.solution
  const problem = Object.fromEntries(Object.entries(value).filter(([name]) => !chains.includes(name)))
  const { question, answer } = parseProblemRow({ place, value: { question: '-', ...problem } })
  if (answer === undefined) throw invalidRecord(place, 'expected an answer to grade by but received none', 'Add a column answer.')
  return { value, question: 'question' in value ? question : '', answer, completion, hasColumn: column !== undefined }
}

function nothingGraded(input: string, rows: number, { code, message }: DataError): DataError {
  return new DataError(code, `none of the ${rows} rows of ${input} can be graded. The first: ${message}`, { file: input })
}

function withoutColumn({ place }: JsonRow, value: object): DataError {
  const problem =
    `expected a completion (${columnNames.completion.join(', ')}) but received {${Object.keys(value).join(', ')}}, ` +
    'and no other row has one'
  return invalidRecord(place, problem, 'Name the column completion.')
}
