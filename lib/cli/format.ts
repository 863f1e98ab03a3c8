import { countNumbers, type ParameterLayout, trainedWeights } from '../plan/parameters.js'

export { formatBytes } from '../format-bytes.js'

/** A whole number with separators: `151,936`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** A duration: `2 h 05 min`, `3 min 20 s`, `12 s`. */
/** `1 sequence`, `12,000 sequences`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const pad = (value: number) => String(value).padStart(2, '0')
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${pad(Math.floor((seconds % 3600) / 60))} min`
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`
  return `${seconds} s`
}

/** A device as users know it: `cpu with 2 threads`, `cuda:1`. */
export function deviceText({ device, threads }: { device: string; threads: number }): string {
  return device === 'cpu' ? `cpu with ${counted(threads, 'thread')}` : device
}

/** How many parameters a model has, and how many of them are trained where it is not all. */
export function parametersText(layout: ParameterLayout): string {
  const all = countNumbers(layout.parts.values())
  const trained = countNumbers(trainedWeights(layout))
  return `${formatCount(all)} parameters${trained === all ? '' : `, ${formatCount(trained)} of them trained`}`
}

/** Two columns, the first as wide as its widest entry. */
export function formatTable(rows: readonly (readonly [string, string])[], indent = ''): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${indent}${name.padEnd(width)}  ${value}`).join('\n')
}

/** Columns as wide as their widest entry: those in `texts` stand to the left, the others to the right. */
export function formatColumns(
  rows: readonly (readonly string[])[],
  { texts = [0], indent = '' }: { texts?: readonly number[]; indent?: string } = {},
): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (texts.includes(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ')
  return rows.map((row) => (indent + line(row)).trimEnd()).join('\n')
}
