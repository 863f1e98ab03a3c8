import { escapeHtml, htmlPage, htmlTable } from '../report/page.js'
import type { EvalResult } from './result.js'
import type { BenchmarkSummary } from './summary.js'

/** Completions of each outcome of each benchmark that a page shows; `results.jsonl` has all of them. */
const SHOWN = 50

const outcomes = [
  { name: 'wrong', holds: (result: EvalResult) => !result.correct && result.extracted !== null },
  {
    name: 'cut off by the limit',
    holds: (result: EvalResult) => !result.correct && result.extracted === null && result.finishReason === 'length',
  },
  {
    name: 'without an answer',
    holds: (result: EvalResult) => !result.correct && result.extracted === null && result.finishReason === 'stop',
  },
  { name: 'right', holds: (result: EvalResult) => result.correct },
]

/** One page of HTML that needs nothing else: the table of scores, and completions to read by their outcome. */
export function evaluationPage(summaries: readonly BenchmarkSummary[], results: readonly EvalResult[]): string {
  const sections = summaries.map(({ benchmark }) => {
    const own = results.filter((result) => result.benchmark === benchmark)
    const parts = outcomes.map(({ name, holds }) => outcomeSection(name, own.filter(holds)))
    return `<h2>${escapeHtml(benchmark)}</h2>\n${parts.join('\n')}`
  })
  return htmlPage({
    title: 'Evaluation',
    body: `<h1>Evaluation</h1>\n${htmlTable(summaryRows(summaries), { numeric: [1, 2, 3, 4, 5, 6, 7, 8, 9] })}\n${sections.join('\n')}`,
  })
}

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

function outcomeSection(name: string, results: readonly EvalResult[]): string {
  if (results.length === 0) return ''
  const shown = results.slice(0, SHOWN).map(resultDetails)
  const rest = results.length > SHOWN ? `<p class="quiet">and ${results.length - SHOWN} more in results.jsonl</p>` : ''
  return `<h3>${escapeHtml(name)}: ${results.length}</h3>\n${shown.join('\n')}\n${rest}`
}

function resultDetails(result: EvalResult): string {
  const { index, sample, question, answer, extracted, completion, completionTokens } = result
  const title = question.length > 100 ? `${question.slice(0, 100)}…` : question
  const facts = [
    ['answer', answer],
    ['given', extracted ?? 'none'],
    ['tokens', String(completionTokens)],
  ].map(([key, value]) => `<tr><th>${key}</th><td>${escapeHtml(value!)}</td></tr>`)
  return (
    `<details><summary>${index + 1}${sample > 0 ? ` (answer ${sample + 1})` : ''}: ${escapeHtml(title)}</summary>` +
    `<p>${escapeHtml(question)}</p><table>${facts.join('')}</table><pre>${escapeHtml(completion)}</pre></details>`
  )
}
