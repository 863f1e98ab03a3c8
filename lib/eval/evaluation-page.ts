import { basename } from 'node:path'
import { group } from 'd3-array'
import { escapeHtml, htmlPage, htmlTable } from '../report/page.js'
import type { EvaluationDescription } from './evaluation-description.js'
import type { EvalResult } from './result.js'
import type { BenchmarkSummary } from './summary.js'

/** Characters of completions that a page shows, and problems of one group; `results.jsonl` has all of them. */
const SHOWN = { characters: 8_000_000, problems: 500 }

/** An answer and its line in `results.jsonl`. */
interface ShownResult extends EvalResult {
  line: number
}

const outcomes = [
  { name: 'right', mark: '✓', holds: ({ correct }: EvalResult) => correct },
  { name: 'wrong', mark: '✗', holds: ({ extracted }: EvalResult) => extracted !== null },
  { name: 'cut off by the limit', mark: '…', holds: ({ finishReason }: EvalResult) => finishReason === 'length' },
  { name: 'without an answer', mark: '○', holds: () => true },
]

type Outcome = (typeof outcomes)[number]

/** One page of HTML that needs nothing else: model and settings, the table of scores, and the problems with their answers. */
export function evaluationPage(
  description: EvaluationDescription,
  summaries: readonly BenchmarkSummary[],
  results: readonly EvalResult[],
): string {
  const lines = results.map((result, index) => ({ ...result, line: index + 1 }))
  const room = SHOWN.characters / Math.max(1, summaries.length)
  const parts = summaries.map(({ benchmark }) =>
    benchmarkPart(
      benchmark,
      lines.filter((result) => result.benchmark === benchmark),
      room,
    ),
  )
  const title = `Evaluation of ${basename(description.model)}`
  const body = [
    `<h1>${escapeHtml(title)}</h1>`,
    factsTable([
      [
        'model',
        `${description.model}, in ${description.dtype}, prompt and answer of at most ${count(description.maxLength)} tokens`,
      ],
      ['begun', `${description.started.replace('T', ' ').replace('Z', '')} UTC`],
      ['judged by', description.judge === 'boxed' ? 'the last \\boxed{…}, by mathematics' : description.judge],
    ]),
    htmlTable(summaryRows(summaries), { numeric: [1, 2, 3, 4, 5, 6, 7, 8, 9] }),
    '<h2>Settings</h2>',
    settingsPart(description),
    ...parts,
  ]
  return htmlPage({ title, body: body.join('\n'), styles })
}

const styles = `.marks { font: 13px ui-monospace, monospace; letter-spacing: .15em; margin-right: .5rem } .right { color: var(--kept) } .wrong { color: light-dark(#b3261e, #ff6a5a) }
details details { margin: .2rem 0 .2rem 1rem } details > p { white-space: pre-wrap; margin: .4rem 0 }`

const count = (value: number) => value.toLocaleString('en-US')

/** The table of scores, headings first. */
export function summaryRows(summaries: readonly BenchmarkSummary[]): string[][] {
  const percent = (share: number) => (100 * share).toFixed(1)
  return [
    ['benchmark', 'problems', 'answers', 'accuracy', '± error', 'pass@k', 'tokens', 'cut off', 'LIMO v1', 'LIMO v3'],
    ...summaries.map(({ benchmark, problems, samples, accuracy, standardError, passAtK, meanTokens, cutOff, published }) => {
      const best = Math.max(...Object.keys(passAtK).map(Number))
      return [
        benchmark,
        String(problems),
        String(problems * samples),
        `${percent(accuracy)}%`,
        percent(standardError),
        best > 1 ? `${percent(passAtK[best]!)}% @${best}` : '',
        String(Math.round(meanTokens)),
        `${percent(cutOff)}%`,
        published === undefined ? '' : `${percent(published.v1)}%`,
        published === undefined ? '' : `${percent(published.v3)}%`,
      ]
    }),
  ]
}

function factsTable(facts: readonly (readonly [string, string])[]): string {
  return `<table>${facts.map(([name, value]) => `<tr><th>${name}</th><td>${escapeHtml(value)}</td></tr>`).join('')}</table>`
}

/** How answers were sampled, a line a benchmark, and the system prompts below. */
function settingsPart({ benchmarks }: EvaluationDescription): string {
  const head = [
    'benchmark',
    'answers each',
    'temperature',
    'top k',
    'top p',
    'min p',
    'repetition penalty',
    'most tokens',
    'stop',
    'seed',
  ]
  const rows = benchmarks.map(({ name, samples, sampling }) => [
    name,
    ...[samples, sampling.temperature, sampling.topK || 'all', sampling.topP, sampling.minP, sampling.repetitionPenalty].map(
      String,
    ),
    ...[count(sampling.maxNewTokens), sampling.stop.map((text) => JSON.stringify(text)).join(', '), String(sampling.seed)],
  ])
  const prompts = [...new Set(benchmarks.map(({ system }) => system))]
  return [
    htmlTable([head, ...rows], { numeric: [1, 2, 3, 4, 5, 6, 7, 9] }),
    ...prompts.map((system) => `<p>System prompt: ${system === '' ? 'none' : `<q>${escapeHtml(system)}</q>`}</p>`),
  ].join('\n')
}

function outcomeOf(result: EvalResult): Outcome {
  return outcomes.find(({ holds }) => holds(result))!
}

/** The problems of a benchmark with a mark for each answer, those first that were never solved. */
function benchmarkPart(benchmark: string, results: readonly ShownResult[], room: number): string {
  const problems = [...group(results, ({ index }) => index).values()]
  const isRight = ({ correct }: EvalResult) => correct
  const isSingle = problems.every(({ length }) => length === 1)
  const groups: [name: string, problems: ShownResult[][]][] = [
    [isSingle ? 'wrong' : 'never right', problems.filter((answers) => !answers.some(isRight))],
    ['right sometimes', problems.filter((answers) => answers.some(isRight) && !answers.every(isRight))],
    [isSingle ? 'right' : 'always right', problems.filter((answers) => answers.every(isRight))],
  ]
  const counts = outcomes.map(({ name, mark }) => {
    const number = results.filter((result) => outcomeOf(result).name === name).length
    return `<span class="${classOf(name)}">${mark}</span> ${count(number)} ${name}`
  })
  const parts = groups.map(([name, own]) => groupPart(name, own, room / groups.length))
  return `<h2>${escapeHtml(benchmark)}</h2>\n<p>Answers: ${counts.join(', ')}</p>\n${parts.join('\n')}`
}

function groupPart(name: string, problems: readonly ShownResult[][], room: number): string {
  if (problems.length === 0) return ''
  let left = room
  const shown = problems.slice(0, SHOWN.problems).map((answers) => {
    left -= answers.reduce((sum, { completion }) => sum + completion.length, 0)
    return problemDetails(answers, { isWhole: left >= 0 })
  })
  const rest = problems.length - shown.length
  const more = rest > 0 ? `<p class="quiet">and ${count(rest)} more in results.jsonl</p>` : ''
  return `<h3>${name}: ${count(problems.length)}</h3>\n${shown.join('\n')}\n${more}`
}

function problemDetails(answers: readonly ShownResult[], { isWhole }: { isWhole: boolean }): string {
  const { index, question, answer } = answers[0]!
  const title = question.length > 100 ? `${question.slice(0, 100)}…` : question
  const right = answers.filter(({ correct }) => correct).length
  const marks = answers.map((result) => {
    const { name, mark } = outcomeOf(result)
    return `<span class="${classOf(name)}" title="answer ${result.sample + 1}: ${name}">${mark}</span>`
  })
  return (
    `<details><summary><span class="marks" aria-label="${right} of ${answers.length} right">${marks.join('')}</span>` +
    `${index + 1}: ${escapeHtml(title)}</summary><p>${escapeHtml(question)}</p>${factsTable([['answer', answer]])}` +
    `${answers.map((result) => answerDetails(result, { isOnly: answers.length === 1, isWhole })).join('')}</details>`
  )
}

function answerDetails(result: ShownResult, { isOnly, isWhole }: { isOnly: boolean; isWhole: boolean }): string {
  const { sample, extracted, completion, completionTokens, line } = result
  const { name, mark } = outcomeOf(result)
  const given = extracted === null ? name : `${name}: ${extracted}`
  const text = isWhole ? `<pre>${escapeHtml(completion)}</pre>` : `<p class="quiet">line ${count(line)} of results.jsonl</p>`
  return (
    `<details${isOnly ? ' open' : ''}><summary><span class="${classOf(name)}">${mark}</span> ${isOnly ? '' : `answer ${sample + 1}, `}` +
    `${escapeHtml(given)} <span class="quiet">(${count(completionTokens)} tokens)</span></summary>${text}</details>`
  )
}

function classOf(outcome: string): string {
  return outcome === 'right' || outcome === 'wrong' ? outcome : 'quiet'
}
