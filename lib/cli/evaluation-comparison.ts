import pc from 'picocolors'
import {
  type BenchmarkComparison,
  type ChangedProblem,
  compareEvaluations,
  type EvaluationComparison,
} from '../eval/compare-evaluations.js'
import { formatColumns, formatCount } from './format.js'

/** Problems of each benchmark that are listed as gained, and as lost. */
const LISTED = 20

/** Prints how the second of two evaluations differs from the first, problem by problem. */
export async function printComparison([a, b]: readonly [string, string], { json }: { json: boolean }): Promise<void> {
  const comparison = await compareEvaluations(a, b)
  if (json) {
    console.log(JSON.stringify(comparison))
    return
  }
  for (const name of ['a', 'b'] as const) console.log(`${name}  ${describe(comparison[name])}`)
  for (const note of comparison.notes) console.log(pc.yellow(`note  ${note}`))
  console.log(`\n${formatColumns(tableRows(comparison))}`)
  for (const benchmark of comparison.benchmarks) printChanges(benchmark)
}

function describe({ folder, model, started }: EvaluationComparison['a']): string {
  return `${folder}: ${model}${started === undefined ? '' : `, ${started.slice(0, 16).replace('T', ' ')} UTC`}`
}

function tableRows({ benchmarks }: EvaluationComparison): string[][] {
  const percent = (share: number) => (100 * share).toFixed(1)
  return [
    ['benchmark', 'problems', 'a', '± error', 'b', '± error', 'b − a', '± error', 'gained', 'lost'],
    ...benchmarks.map(({ benchmark, problems, a, b, difference, standardError, gained, lost }) => [
      ...[benchmark, formatCount(problems)],
      ...[a, b].flatMap(({ accuracy, standardError: error }) => [`${percent(accuracy)}%`, percent(error)]),
      ...[`${difference > 0 ? '+' : ''}${percent(difference)}`.replace('-', '−'), percent(standardError)],
      ...[formatCount(gained.length), formatCount(lost.length)],
    ]),
  ]
}

function printChanges({ benchmark, gained, lost }: BenchmarkComparison): void {
  const kinds: [string, ChangedProblem[]][] = [
    ['gained', gained],
    ['lost', lost],
  ]
  for (const [kind, problems] of kinds) {
    if (problems.length === 0) continue
    console.log(`\n${kind} in ${benchmark}: ${formatCount(problems.length)}`)
    const rows = problems
      .slice(0, LISTED)
      .map(({ index, question, a, b }) => [
        String(index + 1),
        `${a.correct} of ${a.samples} → ${b.correct} of ${b.samples}`,
        shortened(question),
      ])
    console.log(formatColumns(rows, { texts: [1, 2], indent: '  ' }))
    if (problems.length > LISTED) console.log(`  and ${formatCount(problems.length - LISTED)} more (--json)`)
  }
}

/** A question on one line. */
function shortened(question: string): string {
  const line = question.replace(/\s+/g, ' ').trim()
  return line.length > 80 ? `${line.slice(0, 79)}…` : line
}
