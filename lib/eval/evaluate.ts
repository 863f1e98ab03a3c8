import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { digestOfCode } from '../cache/file-digest.js'
import type { TextGenerator } from '../generate/generator.js'
import type { Benchmark, Problem } from './benchmark.js'
import type { EvaluationDescription } from './evaluation-description.js'
import { EvaluationRecord } from './evaluation-record.js'
import { gradeBoxed, type Judge } from './judge.js'
import { modelDigest } from './model-digest.js'
import { type Protocol, type ProtocolOptions, protocolFor } from './protocol.js'
import { type EvalResult, resultKey } from './result.js'
import { type BenchmarkSummary, summarize } from './summary.js'

/** What is evaluated, how answers are sampled, and where the results go. */
export interface EvaluateOptions {
  /** The folder of the generator's model, by which an evaluation that was interrupted is known again. */
  model: string
  generator: TextGenerator
  benchmarks: readonly Benchmark[]
  protocol?: ProtocolOptions
  /** Decides on answers; by the last `\boxed{…}` and mathematics when absent. */
  judge?: Judge
  /** Name of a custom judge: an evaluation resumes only with the same one. */
  judgeName?: string
  /** Folder for results.jsonl, summary.json and report.html; nothing is written when absent. */
  output?: string | undefined
  signal?: AbortSignal | undefined
}

/** What an evaluation tells: every answer as it is graded, then the summary. */
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
 * Each answer is on disk at once, so that an interrupted evaluation resumes where it was and ends with the same bytes.
 *
 * @throws ConfigError for a protocol that is wrong; CheckpointError OUTPUT_EXISTS where the folder holds another evaluation or another
 * process is at work, WRITE_FAILED; an AbortError when `signal` stops it
 */
export async function* evaluate(options: EvaluateOptions): AsyncGenerator<EvaluateEvent, void, void> {
  const { benchmarks, output } = options
  const protocols = benchmarks.map(({ problems }) => protocolFor(problems.length, options.protocol))
  const tasks = benchmarks.flatMap((benchmark, b) => tasksOf(benchmark, protocols[b]!))
  const record =
    output === undefined ? new EvaluationRecord() : await EvaluationRecord.open(output, await describe(options, protocols))
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

/** Yields results as they come. Tasks are submitted ahead: the engine runs as many as it can. */
async function* answerAll(tasks: readonly Task[], options: EvaluateOptions): AsyncGenerator<EvalResult, void, void> {
  const controller = new AbortController()
  const signal = options.signal === undefined ? controller.signal : AbortSignal.any([options.signal, controller.signal])
  // One listener per answer in flight.
  setMaxListeners(0, signal)
  const running = new Map<number, Promise<{ number: number; result: EvalResult }>>()
  // More tasks than fit in flight, so that one that ends is replaced at once.
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

/** The code that a verdict depends on. */
const codeFolders = ['./', '../answer/', '../cache/', '../data/', '../grader/', '../random/']

async function describe(
  { model, benchmarks, judge, judgeName, generator }: EvaluateOptions,
  protocols: readonly Protocol[],
): Promise<EvaluationDescription> {
  const problems = createHash('sha256')
  for (const benchmark of benchmarks) problems.update(JSON.stringify([benchmark.name, benchmark.problems]))
  return {
    started: new Date().toISOString().replace(/\.\d+/, ''),
    model,
    modelDigest: await modelDigest(model),
    dtype: generator.plan.shape.dtype,
    maxLength: generator.plan.maxLength,
    judge: judge === undefined ? 'boxed' : (judgeName ?? 'custom'),
    // Verdicts of another release may differ: one file must not mix them.
    grader: await digestOfCode(...codeFolders.map((folder) => new URL(folder, import.meta.url))),
    problems: problems.digest('hex'),
    benchmarks: benchmarks.map(({ name }, b) => ({ name, ...protocols[b]! })),
  }
}
