import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../checkpoint/atomic-folder.js'
import { writeFileAtomically } from '../checkpoint/durable-file.js'
import { lockOutput } from '../checkpoint/output-lock.js'
import { CheckpointError } from '../errors.js'
import type { TextGenerator } from '../generate/generator.js'
import type { Benchmark, Problem } from './benchmark.js'
import { evaluationPage } from './evaluation-page.js'
import { gradeBoxed, type Judge } from './judge.js'
import { modelDigest } from './model-digest.js'
import { type Protocol, type ProtocolOptions, protocolFor } from './protocol.js'
import { type EvalResult, readResults, resultKey } from './result.js'
import { type BenchmarkSummary, summarize } from './summary.js'

export interface EvaluateOptions {
  /** The folder of the generator's model, by which an evaluation that was interrupted is known again. */
  model: string
  generator: TextGenerator
  benchmarks: readonly Benchmark[]
  protocol?: ProtocolOptions
  /** Decides on answers; by the last `\boxed{…}` and mathematics when absent. */
  judge?: Judge
  /** What a judge of one's own is called: an evaluation goes on with the same one only. */
  judgeName?: string
  /** Folder for results.jsonl, summary.json and report.html; nothing is written when absent. */
  output?: string | undefined
  signal?: AbortSignal | undefined
}

export type EvaluateEvent =
  | { type: 'start'; answers: number; known: number }
  | { type: 'answer'; result: EvalResult; done: number; answers: number }
  | { type: 'benchmark'; summary: BenchmarkSummary }
  | { type: 'end'; summaries: BenchmarkSummary[] }

/** An answer that is to be given. */
interface Task {
  benchmark: Benchmark
  problem: Problem
  sample: number
  protocol: Protocol
}

/**
 * Asks a model every problem of some benchmarks and grades its answers.
 *
 * What is answered is on disk at once, so that an evaluation that was interrupted goes on where it was, and ends with the same bytes.
 *
 * @throws ConfigError for a protocol that is wrong; CheckpointError OUTPUT_EXISTS where the folder holds another evaluation or another
 * process is at work, WRITE_FAILED; an AbortError when `signal` stops it
 */
export async function* evaluate(options: EvaluateOptions): AsyncGenerator<EvaluateEvent, void, void> {
  const { benchmarks, output } = options
  const protocols = benchmarks.map(({ problems }) => protocolFor(problems.length, options.protocol))
  const tasks = benchmarks.flatMap((benchmark, b) => tasksOf(benchmark, protocols[b]!))
  const record =
    output === undefined ? new EvaluationRecord() : await EvaluationRecord.open(output, await settingsOf(options, protocols))
  try {
    const open = tasks.filter(
      ({ benchmark, problem, sample }) => !record.has({ benchmark: benchmark.name, index: problem.index, sample }),
    )
    let done = tasks.length - open.length
    yield { type: 'start', answers: tasks.length, known: done }
    const finished = new Set<Benchmark>()
    const report = function* (): Generator<EvaluateEvent, void, void> {
      for (const [b, benchmark] of benchmarks.entries()) {
        const results = record.resultsOf(benchmark.name)
        if (finished.has(benchmark) || results.length < benchmark.problems.length * protocols[b]!.samples) continue
        finished.add(benchmark)
        yield { type: 'benchmark', summary: summarize(benchmark, protocols[b]!, results) }
      }
    }
    yield* report()
    for await (const result of answerAll(open, options)) {
      await record.add(result)
      done += 1
      yield { type: 'answer', result, done, answers: tasks.length }
      yield* report()
    }
    const summaries = benchmarks.map((benchmark, b) => summarize(benchmark, protocols[b]!, record.resultsOf(benchmark.name)))
    await record.finish(tasks.map(taskKey), summaries)
    yield { type: 'end', summaries }
  } finally {
    await record.close()
  }
}

function tasksOf(benchmark: Benchmark, protocol: Protocol): Task[] {
  return benchmark.problems.flatMap((problem) =>
    Array.from({ length: protocol.samples }, (_, sample) => ({ benchmark, problem, sample, protocol })),
  )
}

function taskKey({ benchmark, problem, sample }: Task): string {
  return resultKey({ benchmark: benchmark.name, index: problem.index, sample })
}

/** The results as they come. Every task is with the engine at once: it takes as many as it can. */
async function* answerAll(tasks: readonly Task[], options: EvaluateOptions): AsyncGenerator<EvalResult, void, void> {
  const controller = new AbortController()
  const signal = options.signal === undefined ? controller.signal : AbortSignal.any([options.signal, controller.signal])
  // Every answer in flight listens.
  setMaxListeners(0, signal)
  const running = new Map<number, Promise<{ number: number; result: EvalResult }>>()
  // More than are in flight, so that one that ends is replaced at once.
  const most = 2 * options.generator.plan.shape.maxSequences
  let next = 0
  try {
    while (next < tasks.length || running.size > 0) {
      for (; next < tasks.length && running.size < most; next++) {
        const number = next
        running.set(
          number,
          answer(tasks[number]!, options, signal).then((result) => ({ number, result })),
        )
      }
      const { number, result } = await Promise.race(running.values())
      running.delete(number)
      yield result
    }
  } finally {
    controller.abort()
    await Promise.allSettled(running.values())
  }
}

async function answer(
  { benchmark, problem, sample, protocol }: Task,
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<EvalResult> {
  const { question, answer } = problem
  const system = protocol.system === '' ? [] : [{ role: 'system' as const, content: protocol.system }]
  const messages = [...system, { role: 'user' as const, content: question }]
  const { text, ids, finishReason, promptTokens } = await options.generator.complete(
    { messages },
    { ...protocol.sampling, sample, signal },
  )
  const { correct, extracted } = await (options.judge ?? gradeBoxed)({ question, answer, completion: text })
  return {
    ...{ benchmark: benchmark.name, index: problem.index, sample, question, answer },
    ...{ completion: text, extracted: extracted ?? null, correct, finishReason, promptTokens, completionTokens: ids.length },
  }
}

/** What two runs must have in common for one to go on with the results of the other. */
async function settingsOf(
  { model, benchmarks, judge, judgeName, generator }: EvaluateOptions,
  protocols: readonly Protocol[],
): Promise<string> {
  const problems = createHash('sha256')
  for (const benchmark of benchmarks) problems.update(JSON.stringify([benchmark.name, benchmark.problems]))
  return `${JSON.stringify(
    {
      model: await modelDigest(model),
      dtype: generator.plan.shape.dtype,
      maxLength: generator.plan.maxLength,
      judge: judge === undefined ? 'boxed' : (judgeName ?? 'custom'),
      problems: problems.digest('hex'),
      benchmarks: benchmarks.map(({ name }, b) => ({ name, ...protocols[b]! })),
    },
    null,
    2,
  )}\n`
}

const settingsName = 'evaluation.json'
const resultsName = 'results.jsonl'
const pendingName = 'results.part.jsonl'

/** The results of an evaluation, in memory and in its folder. */
class EvaluationRecord {
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
    `expected an evaluation with the same model, problems and settings in ${folder} but it holds another one (${settingsName}). ` +
      'Choose another --output, or remove the folder.',
    { folder },
  )
}
