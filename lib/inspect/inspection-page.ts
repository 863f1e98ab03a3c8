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
  return page(`${place}: limo-native inspect`, body.join('\n'))
}

const count = (value: number) => value.toLocaleString('en-US')

function legend(hasLoss: boolean): string {
  const loss = hasLoss ? '; the redder, the larger its loss' : ''
  return `<p class="legend"><span class="scored">scored</span> <span>not scored</span>. Point at a token for its id, position and role${loss}.</p>`
}

/** The loss in nats at which a token is as red as it gets: the model gave it a chance of 5%. */
const REDDEST = 3

function tokenPart({ id, text, role, scored, loss }: InspectedToken, position: number): string {
  const title = `${position}: id ${id}, ${role}${scored ? ', scored' : ''}${loss === undefined ? '' : `, loss ${loss.toFixed(3)}`}`
  const heat = loss === undefined ? '' : ` style="--heat:${Math.round(100 * Math.min(1, loss / REDDEST))}%"`
  const kind = [role, scored ? 'scored' : '', loss === undefined ? '' : 'heat'].filter((name) => name !== '').join(' ')
  // A line break is shown and made.
  return `<span class="${kind}" title="${escapeHtml(title)}"${heat}>${escapeHtml(text).replaceAll('\n', '↵\n')}</span>`
}

function tokenTable({ tokens, lossModel }: Inspection): string {
  const hasLoss = lossModel !== undefined
  const rows = tokens.map(({ id, text, role, scored, loss }, position) => {
    const lossCell = hasLoss ? `<td>${loss === undefined ? '' : loss.toFixed(3)}</td>` : ''
    return `<tr><td>${position}</td><td>${id}</td><td>${role}</td><td>${scored ? 'yes' : ''}</td>${lossCell}<td><code>${escapeHtml(JSON.stringify(text))}</code></td></tr>`
  })
  const head = ['position', 'id', 'role', 'scored', ...(hasLoss ? ['loss'] : []), 'text'].map((name) => `<th>${name}</th>`)
  return `<table class="tokens"><tr>${head.join('')}</tr>\n${rows.join('\n')}</table>`
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

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => entities[character]!)
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1d1d1f, #e8e8ea); --paper: light-dark(#fff, #17181a); --quiet: light-dark(#6b6b70, #9a9aa0);
  --line: light-dark(#d8d8dc, #3a3b3f); --mark: light-dark(#d9f2dc, #1f4427); --hot: light-dark(#ff6a5a, #b3261e); }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th { text-align: left; font-weight: 600; color: var(--quiet); padding: .1rem 1.5rem .1rem 0; vertical-align: top }
td { padding: .1rem 1.5rem .1rem 0 } .tokens td, .tokens th { border-bottom: 1px solid var(--line) } .tokens td { font-variant-numeric: tabular-nums }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.7 ui-monospace, monospace; border: 1px solid var(--line); border-radius: 6px; padding: 1rem }
pre span { color: var(--quiet) } pre span:hover { outline: 1px solid var(--ink) }
.scored { background: var(--mark); color: var(--ink) } .heat { background: color-mix(in srgb, var(--hot) var(--heat), var(--mark)) }
.legend { color: var(--quiet) }
.batch { display: flex; gap: 2px; height: 2.2rem } .sequence { min-width: 3px; overflow: hidden; white-space: nowrap; padding: .4rem .3rem; font-size: 12px;
  background: var(--line); border-radius: 3px } .this { background: var(--mark); font-weight: 600 }
</style>
</head>
<body>
${body}
</body>
</html>
`
}
