import { escapeHtml, htmlPage, htmlTable } from '../report/page.js'
import type { InspectedToken, Inspection, Packing } from './inspection.js'

/** A page that shows all of an inspection, in one file without scripts or links to anything else. */
export function inspectionPage(inspection: Inspection): string {
  const { place, tokens, scoredTokens, turns, lossModel } = inspection
  const losses = tokens.flatMap(({ loss }) => (loss === undefined ? [] : [loss]))
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length
  const facts: [string, string][] = [
    ['tokens', count(tokens.length)],
    ['scored', `${count(scoredTokens)} (${((100 * scoredTokens) / tokens.length).toFixed(1)}%)`],
    ...(turns.length > 0 ? [['turns', turns.join(', ')] as [string, string]] : []),
    ...(lossModel === undefined
      ? []
      : [['loss', `${mean.toFixed(4)} a token, with the model in ${lossModel}`] as [string, string]]),
  ]
  const body = [
    `<h1>${escapeHtml(place)}</h1>`,
    `<table>${facts.map(([name, value]) => `<tr><th>${name}</th><td>${escapeHtml(value)}</td></tr>`).join('')}</table>`,
    `<h2>As it is packed</h2>${packingPart(inspection.packing)}`,
    `<h2>As the model sees it</h2>${legend(lossModel !== undefined)}<pre>${tokens.map(tokenPart).join('')}</pre>`,
    `<h2>Token by token</h2><details><summary>${count(tokens.length)} tokens</summary>${tokenTable(inspection)}</details>`,
  ]
  return htmlPage({ title: `${place}: limo-native inspect`, body: body.join('\n'), styles })
}

const count = (value: number) => value.toLocaleString('en-US')

function legend(hasLoss: boolean): string {
  const loss = hasLoss ? `, and the redder, the larger its loss: ${scale()}` : ''
  return `<p class="legend quiet"><span class="scored">scored</span> <span>not scored</span>. Point at a token for its id, position and role${loss}</p>`
}

/** The loss in nats at which a token is as red as it gets: the model gave it a chance of 1 in 3,000. */
const REDDEST = 8

/** Half as red at 1.6 nats, a chance of 1 in 5: the losses of a trained model are told apart, and those of a young one. */
function heatOf(loss: number): number {
  return Math.round(100 * Math.min(1, Math.log1p(loss) / Math.log1p(REDDEST)))
}

/** Losses, each as red as its tokens. */
function scale(): string {
  return [0, 0.1, 0.5, 1, 2, 4, REDDEST]
    .map((loss) => `<span class="heat" style="--heat:${heatOf(loss)}%">${loss === REDDEST ? `${loss} or more` : loss}</span>`)
    .join(' ')
}

function tokenPart({ id, text, role, scored, loss }: InspectedToken, position: number): string {
  const title = `${position}: id ${id}, ${role}${scored ? ', scored' : ''}${loss === undefined ? '' : `, loss ${loss.toFixed(3)}`}`
  const heat = loss === undefined ? '' : ` style="--heat:${heatOf(loss)}%"`
  const kind = [role, scored ? 'scored' : '', loss === undefined ? '' : 'heat'].filter((name) => name !== '').join(' ')
  // A line break is shown and made.
  return `<span class="${kind}" title="${escapeHtml(title)}"${heat}>${escapeHtml(text).replaceAll('\n', '↵\n')}</span>`
}

function tokenTable({ tokens, lossModel }: Inspection): string {
  const hasLoss = lossModel !== undefined
  const rows = tokens.map(({ id, text, role, scored, loss }, position) => [
    ...[String(position), String(id), role, scored ? 'yes' : ''],
    ...(hasLoss ? [loss === undefined ? '' : loss.toFixed(3)] : []),
    JSON.stringify(text),
  ])
  const head = ['position', 'id', 'role', 'scored', ...(hasLoss ? ['loss'] : []), 'text']
  return htmlTable([head, ...rows], { numeric: hasLoss ? [0, 1, 4] : [0, 1] })
}

function packingPart(packing: Packing): string {
  if (packing.kind === 'held out') return '<p>Never: it is held out for evaluation.</p>'
  if (packing.kind === 'dropped') return '<p>Never in the first epoch: it is dropped or not drawn.</p>'
  if (packing.kind === 'not known') return `<p>Not known: ${escapeHtml(packing.why)}</p>`
  const { step, microBatch, microBatches, tokens, sequences } = packing
  const bars = sequences.map(({ place, length, isThis }) => {
    const label = `${place}, ${count(length)} tokens`
    return `<div class="sequence${isThis ? ' this' : ''}" style="flex:${length}" title="${escapeHtml(label)}">${escapeHtml(place)}</div>`
  })
  return (
    `<p>Epoch 1, step ${count(step)}, micro-batch ${microBatch} of ${microBatches}: ${count(tokens)} tokens in ${sequences.length} ` +
    `sequences. Attention does not cross from one to another.</p><div class="batch">${bars.join('')}</div>`
  )
}

const styles = `pre span { color: var(--quiet) } pre span:hover { outline: 1px solid var(--ink) } pre { line-height: 1.7 }
pre .scored, .legend .scored { background: var(--mark); color: var(--ink) } pre .heat, .legend .heat { background: color-mix(in srgb, var(--hot) var(--heat), var(--mark)) }
.batch { display: flex; gap: 2px; height: 2.2rem } .sequence { min-width: 3px; overflow: hidden; white-space: nowrap; padding: .4rem .3rem; font-size: 12px;
  background: var(--line); border-radius: 3px } .this { background: var(--mark); font-weight: 600 }`
