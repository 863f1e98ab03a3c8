import { type BenchRecord, processorName } from '../bench/record.js'
import type { BenchRow } from '../bench/row.js'
import { counted, formatBytes } from './format.js'

/** Header of all tables: the machine, and how to read the numbers. */
export function conventionsText(): string {
  return `${processorName()}
Times are medians; every result is checked against double before it is timed. "share" is of the
ceiling that was measured just before and after, which on a shared machine is not always the one
above. FLOP of a step: 6 for each parameter and token, and causal attention counted once: 6·L·H·D·T².
What is computed a second time does not count. GB/s: every operand moved once. "memory": operands and
working memory of an operation, what is allocated for a step. bf16: weights, activations and
products; master weights and sums are float32.`
}

export function ceilingsText({ threads, instructionSet, description, gflops, gbps }: BenchRecord): string {
  const rates = Object.entries(gflops)
    .filter(([, rate]) => rate > 0)
    .map(([dtype, rate]) => `${rate.toFixed(0)} GFLOP/s of ${dtype} multiply-adds`)
  const ceilings = [...rates, `${gbps.toFixed(1)} GB/s of updates in place`].join(', ')
  const header = rowText(['', 'dtype', 'shape', 'median', 'rate', 'share', 'memory', ''])
  const what = description === '' ? counted(threads, 'thread') : description
  return `\n${what}, ${instructionSet}: ${ceilings}\n${header}`
}

export function benchRowText(row: BenchRow): string {
  const shape = Object.entries(row.shape).map(([letter, size]) => `${letter} ${size}`)
  return rowText([
    `${row.op ?? `step ${row.step}`}${row.op?.endsWith('_backward') || row.op?.includes('_backward_') ? '' : ` ${row.direction}`}`,
    row.dtype,
    shape.join(' '),
    `${row.medianMs.toFixed(2)} ms`,
    row.gflops !== undefined ? `${row.gflops.toFixed(0)} GFLOP/s` : `${row.gbps!.toFixed(1)} GB/s`,
    `${(100 * row.share).toFixed(0)}%`,
    formatBytes(row.peakBytes),
    [tokensText(row), againstText(row), baselineText(row), refusedText(row)].filter(Boolean).join('; '),
  ])
}

function tokensText({ tokensPerSecond }: BenchRow): string {
  return tokensPerSecond === undefined ? '' : `${tokensPerSecond.toFixed(0)} tokens/s`
}

function againstText({ against, againstError }: BenchRow): string {
  if (againstError !== undefined) return `no comparison: ${againstError}`
  if (!against) return ''
  const memory = against.peakBytes === undefined ? '' : `, ${formatBytes(against.peakBytes)}`
  const how = against.alternated ? '' : ', after ours: both do not fit into memory'
  return `${against.ratio.toFixed(2)} times as fast as ${against.peer} (${against.bestMs.toFixed(2)} ms${memory}${how})`
}

function refusedText({ refusedProducts }: BenchRow): string {
  return refusedProducts === undefined
    ? ''
    : `${counted(refusedProducts, 'product')} refused by cuBLASLt and done by a slow kernel`
}

function baselineText({ baseline }: BenchRow): string {
  return baseline ? `${baseline.ratio.toFixed(2)} times as fast as before (${baseline.medianMs.toFixed(2)} ms)` : ''
}

/** Columns: the first and the third start at the left, numbers end at the right. */
function rowText(cells: readonly string[]): string {
  const widths = [37, 5, 30, 12, 13, 5, 10, 0]
  const isLeft = [0, 1, 2, 7]
  return cells
    .map((cell, i) => (isLeft.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
    .join('  ')
    .trimEnd()
}
