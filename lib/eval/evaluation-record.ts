import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { lockOutput } from '../checkpoint/output-lock.js'
import { CheckpointError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { evaluationPage } from './evaluation-page.js'
import { type EvalResult, readResults, resultKey } from './result.js'
import type { BenchmarkSummary } from './summary.js'

const settingsName = 'evaluation.json'
const resultsName = 'results.jsonl'
const pendingName = 'results.part.jsonl'

/** The results of an evaluation, in memory and in its folder. */
export class EvaluationRecord {
  readonly #results = new Map<string, EvalResult>()
  #file: Awaited<ReturnType<typeof open>> | undefined
  #folder: string | undefined
  #unlock: (() => Promise<void>) | undefined

  static async open(folder: string, settings: string): Promise<EvaluationRecord> {
    const record = new EvaluationRecord()
    record.#folder = folder
    await makeFolder(folder)
    record.#unlock = await lockOutput(folder, 'eval')
    try {
      const before = await readFile(join(folder, settingsName), 'utf8').catch(() => undefined)
      if (before !== undefined && before !== settings) throw otherSettings(folder)
      if (before === undefined) await writeFileAtomically(join(folder, settingsName), (sink) => sink(Buffer.from(settings)))
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
    const folder = this.#folder
    if (folder === undefined) return
    const results = order.map((key) => this.#results.get(key)!)
    await writeFileAtomically(join(folder, resultsName), async (sink) => {
      for (const result of results) await sink(Buffer.from(`${JSON.stringify(result)}\n`))
    })
    await writeFileAtomically(join(folder, 'summary.json'), (sink) =>
      sink(Buffer.from(`${JSON.stringify(summaries, null, 2)}\n`)),
    )
    await writeFileAtomically(join(folder, 'report.html'), (sink) => sink(Buffer.from(evaluationPage(summaries, results))))
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

function otherSettings(folder: string): CheckpointError {
  return new CheckpointError(
    'OUTPUT_EXISTS',
    `expected an evaluation with the same model, problems, settings and grader in ${folder} but it holds another one (${settingsName}). ` +
      'Choose another --output, or remove the folder.',
    { folder },
  )
}
