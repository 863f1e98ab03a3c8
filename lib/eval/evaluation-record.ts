import { access, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { lockOutput } from '../checkpoint/output-lock.js'
import { CheckpointError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { areOneEvaluation, descriptionName, type EvaluationDescription, readDescription } from './evaluation-description.js'
import { evaluationPage } from './evaluation-page.js'
import { type EvalResult, readResults, resultKey } from './result.js'
import type { BenchmarkSummary } from './summary.js'

/** File of an evaluation's folder with every answer. */
export const resultsName = 'results.jsonl'
/** The same while the evaluation is under way, in the order in which they came. */
export const pendingName = 'results.part.jsonl'

/** The results of an evaluation, in memory and in its folder. */
export class EvaluationRecord {
  readonly #results = new Map<string, EvalResult>()
  #file: Awaited<ReturnType<typeof open>> | undefined
  #output: { folder: string; description: EvaluationDescription } | undefined
  #unlock: (() => Promise<void>) | undefined

  /** The record in a folder; one that goes on keeps the time at which it was begun, and the name of the model. */
  static async open(folder: string, description: EvaluationDescription): Promise<EvaluationRecord> {
    const record = new EvaluationRecord()
    await makeFolder(folder)
    record.#unlock = await lockOutput(folder, 'eval')
    try {
      const before = await readDescription(folder)
      const isThere = before !== undefined || (await exists(join(folder, descriptionName)))
      if (isThere && (before === undefined || !areOneEvaluation(before, description))) throw otherSettings(folder)
      const text = `${JSON.stringify(description, null, 2)}\n`
      if (before === undefined) await writeFileAtomically(join(folder, descriptionName), (sink) => sink(Buffer.from(text)))
      record.#output = { folder, description: before ?? description }
      for (const name of [resultsName, pendingName])
        for (const result of await readResults(join(folder, name))) record.#results.set(resultKey(result), result)
      // A line that was torn must not become the beginning of the next one.
      const known = [...record.#results.values()].map((result) => `${JSON.stringify(result)}\n`).join('')
      await writeFileAtomically(join(folder, pendingName), (sink) => sink(Buffer.from(known)))
      record.#file = await open(join(folder, pendingName), 'a')
      return record
    } catch (error) {
      await record.close()
      throw error
    }
  }

  has(key: Pick<EvalResult, 'benchmark' | 'index' | 'sample'>): boolean {
    return this.#results.has(resultKey(key))
  }

  resultsOf(benchmark: string): EvalResult[] {
    return [...this.#results.values()].filter((result) => result.benchmark === benchmark)
  }

  async add(result: EvalResult): Promise<void> {
    this.#results.set(resultKey(result), result)
    await this.#file?.appendFile(`${JSON.stringify(result)}\n`)
    failpoint('result')
  }

  /** Writes what the evaluation came to: results in the order of the problems, whatever the order in which they were answered. */
  async finish(order: readonly string[], summaries: readonly BenchmarkSummary[]): Promise<void> {
    if (this.#output === undefined) return
    const { folder, description } = this.#output
    const results = order.map((key) => this.#results.get(key)!)
    await writeFileAtomically(join(folder, resultsName), async (sink) => {
      for (const result of results) await sink(Buffer.from(`${JSON.stringify(result)}\n`))
    })
    await writeFileAtomically(join(folder, 'summary.json'), (sink) =>
      sink(Buffer.from(`${JSON.stringify(summaries, null, 2)}\n`)),
    )
    await writeFileAtomically(join(folder, 'report.html'), (sink) =>
      sink(Buffer.from(evaluationPage(description, summaries, results))),
    )
    await this.close()
    await rm(join(folder, pendingName), { force: true })
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    await this.#unlock?.()
    this.#unlock = undefined
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function otherSettings(folder: string): CheckpointError {
  return new CheckpointError(
    'OUTPUT_EXISTS',
    `expected an evaluation with the same model, problems, settings and grader in ${folder} but it holds another one (${descriptionName}). ` +
      'Choose another --output, or remove the folder.',
    { folder },
  )
}
