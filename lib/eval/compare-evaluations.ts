import { access, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { group } from 'd3-array'
import { CheckpointError } from '../errors.js'
import { descriptionName, type EvaluationDescription, readDescription } from './evaluation-description.js'
import { pendingName, resultsName } from './evaluation-record.js'
import { type EvalResult, readResults } from './result.js'
import { accuracyOf, type ProblemScore, pairedDifference, shareOf } from './scores.js'
import { scoresOf } from './summary.js'

/** An evaluation that is compared. */
export interface ComparedEvaluation {
  /** Its folder, as it was named. */
  folder: string
  /** The model's folder, as it was named then. */
  model: string
  started: string
}

/** A problem that two evaluations solved unequally often. */
export interface ChangedProblem {
  /** Its number in the benchmark of b, from 0. */
  index: number
  question: string
  answer: string
  a: ProblemScore
  b: ProblemScore
}

/** The problems of a benchmark that both evaluations have. */
export interface BenchmarkComparison {
  benchmark: string
  problems: number
  /** Problems that only one of the evaluations has; they count nowhere. */
  onlyA: number
  onlyB: number
  /** Shares of right answers to the shared problems, with standard errors. */
  a: { accuracy: number; standardError: number }
  b: { accuracy: number; standardError: number }
  /** The accuracy of b less that of a. */
  difference: number
  /** Standard error of the difference, problem by problem. */
  standardError: number
  /** Problems of which b has a larger share right, those that changed most first. */
  gained: ChangedProblem[]
  /** Problems of which b has a smaller share right, those that changed most first. */
  lost: ChangedProblem[]
}

/** Two evaluations, problem by problem. */
export interface EvaluationComparison {
  a: ComparedEvaluation
  b: ComparedEvaluation
  benchmarks: BenchmarkComparison[]
  /** Settings, benchmarks and problems that are not those of both: differences may come from them. */
  notes: string[]
}

interface Evaluation {
  folder: string
  description: EvaluationDescription
  results: EvalResult[]
}

/**
 * Compares two evaluations by their output folders, each problem with itself: how much b is better than a, with the standard error of
 * the paired differences, and which problems were gained and lost.
 *
 * Problems are the same where question and answer are, whatever their order. Throws CheckpointError: CHECKPOINT_NOT_FOUND where a folder
 * is no evaluation or one that is not over, CHECKPOINT_MISMATCH where the two share no benchmark or no problem.
 */
export async function compareEvaluations(folderA: string, folderB: string): Promise<EvaluationComparison> {
  const [a, b] = [await readEvaluation(folderA), await readEvaluation(folderB)]
  const [namesA, namesB] = [benchmarksOf(a), benchmarksOf(b)]
  const shared = namesB.filter((name) => namesA.includes(name))
  if (shared.length === 0) {
    const message = `expected evaluations of the same benchmarks but ${folderA} has ${namesA.join(', ')}, ${folderB} ${namesB.join(', ')}.`
    throw mismatch(`${message} Benchmarks are known by the names of their files.`, folderA, folderB)
  }
  const all = shared.map((name) => compareBenchmark(name, a, b))
  const benchmarks = all.filter(({ problems }) => problems > 0)
  if (benchmarks.length === 0) {
    const message = `expected the same problems in ${folderA} and ${folderB} but none of ${shared.join(', ')} has a question and answer that both have.`
    throw mismatch(`${message} Evaluate both with the same files.`, folderA, folderB)
  }
  const about = ({ folder, description: { model, started } }: Evaluation) => ({ folder, model, started })
  return { a: about(a), b: about(b), benchmarks, notes: notesOn(a, b, all) }
}

async function readEvaluation(folder: string): Promise<Evaluation> {
  const description = await readDescription(folder)
  const results = description === undefined ? [] : await readResults(join(folder, resultsName))
  if (description !== undefined && results.length > 0) return { folder, description, results }
  const isThere = (path: string, check: (path: string) => Promise<unknown>) =>
    check(path).then(
      () => true,
      () => false,
    )
  const isBegun = description !== undefined && (await isThere(join(folder, pendingName), access))
  const problem = !(await isThere(folder, stat))
    ? 'there is no such folder'
    : isBegun
      ? 'it is not over: the command that began it goes on from there'
      : `it lacks ${description === undefined ? descriptionName : resultsName}. Name the --output of limo-native eval`
  throw new CheckpointError('CHECKPOINT_NOT_FOUND', `expected an evaluation in ${folder} but ${problem}.`, { folder })
}

function benchmarksOf({ results }: Evaluation): string[] {
  return [...new Set(results.map(({ benchmark }) => benchmark))]
}

function mismatch(message: string, ...folders: string[]): CheckpointError {
  return new CheckpointError('CHECKPOINT_MISMATCH', message, { folders })
}

interface ScoredProblem {
  index: number
  question: string
  answer: string
  score: ProblemScore
}

/** The problems of a benchmark by what they ask; one that stands there twice has a number. */
function problemsOf({ results }: Evaluation, benchmark: string): Map<string, ScoredProblem> {
  const own = results.filter((result) => result.benchmark === benchmark)
  const scores = scoresOf(own)
  const problems = new Map<string, ScoredProblem>()
  for (const [index, [{ question, answer }]] of group(own, (result) => result.index) as Map<number, [EvalResult]>) {
    let [key, number] = [JSON.stringify([question, answer]), 1]
    while (problems.has(key)) key = JSON.stringify([question, answer, ++number])
    problems.set(key, { index, question, answer, score: scores.get(index)! })
  }
  return problems
}

function compareBenchmark(benchmark: string, a: Evaluation, b: Evaluation): BenchmarkComparison {
  const [problemsA, problemsB] = [problemsOf(a, benchmark), problemsOf(b, benchmark)]
  const pairs = [...problemsB].flatMap(([key, { score, ...problem }]) => {
    const before = problemsA.get(key)
    return before === undefined ? [] : [{ ...problem, a: before.score, b: score }]
  })
  const change = (problem: ChangedProblem) => shareOf(problem.b) - shareOf(problem.a)
  const bySize = (one: ChangedProblem, other: ChangedProblem) => Math.abs(change(other)) - Math.abs(change(one))
  return {
    benchmark,
    problems: pairs.length,
    onlyA: problemsA.size - pairs.length,
    onlyB: problemsB.size - pairs.length,
    a: accuracyOf(pairs.map((pair) => pair.a)),
    b: accuracyOf(pairs.map((pair) => pair.b)),
    ...pairedDifference(pairs),
    gained: pairs.filter((pair) => change(pair) > 0).sort(bySize),
    lost: pairs.filter((pair) => change(pair) < 0).sort(bySize),
  }
}

function notesOn(a: Evaluation, b: Evaluation, benchmarks: readonly BenchmarkComparison[]): string[] {
  const notes: string[] = []
  const [namesA, namesB] = [benchmarksOf(a), benchmarksOf(b)]
  for (const [own, others, { folder }] of [[namesA, namesB, a] as const, [namesB, namesA, b] as const]) {
    const alone = own.filter((name) => !others.includes(name))
    if (alone.length > 0) notes.push(`only ${folder} has ${alone.join(', ')}`)
  }
  for (const { benchmark, onlyA, onlyB } of benchmarks)
    if (onlyA + onlyB > 0) notes.push(`${benchmark}: ${onlyA} problems only in ${a.folder}, ${onlyB} only in ${b.folder}`)
  const [first, second] = [a.description, b.description]
  for (const key of ['dtype', 'maxLength', 'judge'] as const)
    if (first[key] !== second[key]) notes.push(`${key}: ${first[key]} in ${a.folder}, ${second[key]} in ${b.folder}`)
  if (first.grader !== second.grader) notes.push('graded by different releases of the grader')
  for (const { benchmark } of benchmarks) notes.push(...settingNotes(benchmark, a, b))
  return notes
}

/** Settings of a benchmark that are not the same: `aime: temperature 0 in base, 0.6 in trained`. */
function settingNotes(benchmark: string, a: Evaluation, b: Evaluation): string[] {
  const settingsOf = ({ description }: Evaluation): Record<string, unknown> => {
    const { system, samples, sampling } = description.benchmarks.find(({ name }) => name === benchmark) ?? {}
    return { system, samples, ...sampling }
  }
  const [first, second] = [settingsOf(a), settingsOf(b)]
  return Object.keys({ ...first, ...second }).flatMap((key) => {
    const [valueA, valueB] = [first[key], second[key]].map((value) => JSON.stringify(value) ?? 'not set')
    return valueA === valueB ? [] : [`${benchmark}: ${key} ${valueA} in ${a.folder}, ${valueB} in ${b.folder}`]
  })
}
