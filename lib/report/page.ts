/** Pages of one file: styles inside, nothing loaded from anywhere, nothing that needs a script. */

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => entities[character]!)
}

/** A table of texts; those of the first row are headings, those of columns in `numeric` stand to the right. It scrolls where it is too wide. */
export function htmlTable(rows: readonly (readonly string[])[], { numeric = [] }: { numeric?: readonly number[] } = {}): string {
  const [head = [], ...body] = rows
  const cell = (tag: 'th' | 'td') => (text: string, column: number) =>
    `<${tag}${numeric.includes(column) ? ' class="number"' : ''}>${escapeHtml(text)}</${tag}>`
  const lines = body.map((row) => `<tr>${row.map(cell('td')).join('')}</tr>`)
  return `<div class="wide"><table class="lined"><tr>${head.map(cell('th')).join('')}</tr>\n${lines.join('\n')}</table></div>`
}

/** A whole page, light or dark as the reader's system is. `styles` are added to those that all pages share. */
export function htmlPage({ title, body, styles = '' }: { title: string; body: string; styles?: string }): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1d1d1f, #e8e8ea); --paper: light-dark(#fff, #17181a); --quiet: light-dark(#6b6b70, #9a9aa0);
  --line: light-dark(#d8d8dc, #3a3b3f); --mark: light-dark(#d9f2dc, #1f4427); --hot: light-dark(#ff6a5a, #b3261e);
  --kept: light-dark(#2f855a, #68c08f); --dropped: light-dark(#b7b7bd, #5b5c62); }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
table { border-collapse: collapse } th { text-align: left; font-weight: 600; color: var(--quiet); padding: .1rem 1.5rem .1rem 0; vertical-align: top }
td { padding: .1rem 1.5rem .1rem 0; vertical-align: top } .lined td, .lined th { border-bottom: 1px solid var(--line) }
.lined td { font-variant-numeric: tabular-nums } td.number, th.number { text-align: right; white-space: nowrap }
.quiet { color: var(--quiet) } summary { cursor: pointer }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.6 ui-monospace, monospace; border: 1px solid var(--line); border-radius: 6px; padding: .8rem }
.wide { overflow-x: auto; margin: .8rem 0 } .wide svg { display: block } svg text { fill: var(--quiet); font: 12px system-ui, sans-serif } svg .axis { stroke: var(--line) }
svg .kept { fill: var(--kept) } svg .dropped { fill: var(--dropped) }
${styles}
</style>
</head>
<body>
${body}
</body>
</html>
`
}
