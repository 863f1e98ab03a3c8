import { bars, histogram } from '../report/charts.js'
import { escapeHtml, htmlPage, htmlTable } from '../report/page.js'
import { qualityParts } from './quality-words.js'
import type { ExampleRow, StageSummary } from './stage.js'

const count = (value: number) => value.toLocaleString('en-US')

/** The report of a curation as one page. Nothing in it depends on when or where it was made. */
export function reportPage(stages: readonly StageSummary[]): string {
  const [first, last] = [stages[0]!, stages.at(-1)!]
  const body = [
    '<h1>What was chosen, and why</h1>',
    `<p>${count(first.read)} rows became ${count(last.kept)}.</p>`,
    stageTable(stages),
    '<h2>Why rows were dropped</h2>',
    bars(
      stages.flatMap(({ stage, reasons }) =>
        sorted(reasons).map(([code, dropped]) => ({ name: `${stage}: ${code}`, values: { dropped } })),
      ),
      'rows dropped for each reason',
    ),
    distributions(stages),
    ...stages.map(stagePart),
  ]
  return htmlPage({ title: 'limo-native curate', body: body.filter((part) => part !== '').join('\n'), styles })
}

const styles = `.example { margin: .6rem 0; border-left: 3px solid var(--line); padding-left: .8rem } .example p { margin: .2rem 0 }
.swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin: 0 .3rem 0 1rem }`

function sorted(numbers: Record<string, number>): [string, number][] {
  return Object.entries(numbers).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}

function stageTable(stages: readonly StageSummary[]): string {
  const rows = stages.map(({ stage, read, kept, dropped, malformed, reasons }) => [
    stage,
    count(read),
    count(kept),
    count(dropped),
    sorted(reasons)
      .map(([code, number]) => `${count(number)} ${code}`)
      .join(', '),
    malformed === 0 ? '' : count(malformed),
  ])
  return htmlTable([['stage', 'read', 'kept', 'dropped', 'why', 'malformed'], ...rows], { numeric: [1, 2, 3, 5] })
}

/** Histogram of the last stage with scores: kept against dropped. */
function distributions(stages: readonly StageSummary[]): string {
  const stage = stages.findLast(({ histograms }) => histograms.score.kept.counts.length > 0)
  if (stage === undefined) return ''
  const { score, length } = stage.histograms
  const chart = ({ kept, dropped }: typeof score, label: string) =>
    histogram(
      [
        { name: 'kept', counts: kept.counts },
        { name: 'dropped', counts: dropped.counts },
      ],
      { width: kept.width, label },
    )
  return [
    `<h2>Chains by score and length (${stage.stage})</h2>`,
    '<p class="quiet"><span class="swatch" style="background:var(--kept);margin-left:0"></span>kept<span class="swatch" style="background:var(--dropped)"></span>dropped</p>',
    chart(score, 'score'),
    chart(length, 'words'),
  ].join('\n')
}

function stagePart(summary: StageSummary): string {
  const { stage, examples, facts } = summary
  const dropped = Object.entries(examples.dropped).map(
    ([code, rows]) => `<h3>${escapeHtml(code)}</h3>${rows.map(example).join('')}`,
  )
  return [
    `<h2>${stage}</h2>`,
    factsPart(facts),
    dropped.length > 0 ? `<details><summary>Some of what it dropped</summary>${dropped.join('')}</details>` : '',
    examples.kept.length > 0
      ? `<details><summary>Some of what it kept</summary>${examples.kept.map(example).join('')}</details>`
      : '',
  ].join('\n')
}

function example({ place, question, solution, message, score }: ExampleRow): string {
  const why = message === undefined ? '' : `<p>${escapeHtml(message)}</p>`
  const scored = score === undefined ? '' : `, score ${score}`
  const chain = solution === undefined ? '' : `<pre>${escapeHtml(solution)}</pre>`
  return `<div class="example"><p class="quiet">${escapeHtml(place)}${scored}</p>${why}<pre>${escapeHtml(question)}</pre>${chain}</div>`
}

function factsPart(facts: StageSummary['facts']): string {
  const parts: string[] = []
  const { problems, questions, bySource, solved, groups, levels } = facts as {
    problems?: number
    questions?: number
    bySource?: Record<string, number>
    solved?: Record<string, number>
    groups?: { name: string; problems: number; kept: number }[]
    levels?: { by: string; chains: number; means: number[] }
  }
  if (problems !== undefined) parts.push(`<p>${count(problems)} different problems.</p>`)
  if (questions !== undefined) parts.push(`<p>Compared with ${count(questions)} questions of evaluation sets.</p>`)
  if (bySource !== undefined && Object.keys(bySource).length > 0) {
    parts.push(
      bars(
        sorted(bySource).map(([name, dropped]) => ({ name, values: { dropped } })),
        'contaminated rows by evaluation set',
      ),
    )
  }
  if (solved !== undefined) {
    const rows = sorted(solved).slice(0, 40)
    parts.push(
      `<p>How often problems were solved:</p>${bars(
        rows.map(([name, kept]) => ({ name, values: { kept } })),
        'problems by attempts solved',
      )}`,
    )
  }
  if (groups !== undefined) {
    const rows = groups.map(({ name, problems: all, kept }) => ({ name, values: { kept, dropped: all - kept } }))
    parts.push(`<p>Problems by group, those taken first:</p>${bars(rows, 'problems by group')}`)
  }
  if (levels !== undefined) {
    const rows = levels.means.map((mean, level) => [`level-${level + 1}.jsonl`, count(levels.chains), String(mean)])
    parts.push(
      `<p>Levels of quality, cut by ${levels.by}:</p>${htmlTable([['file', 'chains', 'mean score'], ...rows], { numeric: [1, 2] })}`,
    )
  }
  if (facts.weights !== undefined) parts.push(qualityPart(facts))
  return parts.join('\n')
}

function qualityPart(facts: StageSummary['facts']): string {
  const { weights, scales, words } = facts as Record<'weights' | 'scales', Record<string, number>> & {
    words: Record<string, string[]>
  }
  const rows = qualityParts.map((part) => [
    part,
    String(weights[part]),
    String(scales[part]),
    words[part]?.join(', ') ?? 'words of the chain',
  ])
  return `<details><summary>Weights, scales and words</summary>${htmlTable([['part', 'weight', 'counts in full at', 'words (occurrences in a thousand)'], ...rows], { numeric: [1, 2] })}</details>`
}
