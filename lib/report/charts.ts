import { max } from 'd3-array'
import { scaleBand, scaleLinear } from 'd3-scale'
import { escapeHtml } from './page.js'

/** Values of a chart, drawn in the colour of the class `name`. */
export interface Series {
  name: 'kept' | 'dropped'
  counts: readonly number[]
}

const size = { width: 640, height: 220, left: 52, right: 12, top: 12, bottom: 34 }

/** A histogram, its series stacked: column i holds the values from i · width to (i + 1) · width. */
export function histogram(series: readonly Series[], { width, label }: { width: number; label: string }): string {
  const columns = Math.max(1, max(series, ({ counts }) => counts.length) ?? 1)
  const totals = Array.from({ length: columns }, (_, column) =>
    series.reduce((sum, { counts }) => sum + (counts[column] ?? 0), 0),
  )
  const x = scaleLinear([0, columns * width], [size.left, size.width - size.right])
  const y = scaleLinear([0, max(totals) || 1], [size.height - size.bottom, size.top]).nice(4)
  const bars: string[] = []
  for (let column = 0; column < columns; column++) {
    let below = 0
    for (const { name, counts } of series) {
      const count = counts[column] ?? 0
      if (count === 0) continue
      const [top, bottom] = [y(below + count), y(below)]
      const left = x(column * width)
      const title = `${name}: ${count} from ${format(column * width)} to ${format((column + 1) * width)}`
      bars.push(
        rect(
          name,
          { x: left + 0.5, y: top, width: Math.max(1, x((column + 1) * width) - left - 1), height: bottom - top },
          title,
        ),
      )
      below += count
    }
  }
  const xTicks = x.ticks(8).map((tick) => text(x(tick), size.height - size.bottom + 16, format(tick), 'middle'))
  const yTicks = y.ticks(4).map((tick) => line(tick === 0, y(tick)) + text(size.left - 6, y(tick) + 4, format(tick), 'end'))
  const title = text((size.left + size.width) / 2, size.height - 4, label, 'middle')
  return svg(size.width, size.height, label, [...yTicks, ...bars, ...xTicks, title])
}

/** A bar for each name, its series one after another. */
export function bars(rows: readonly { name: string; values: Partial<Record<Series['name'], number>> }[], label: string): string {
  const [rowHeight, left, right] = [22, 260, 70]
  const height = rows.length * rowHeight + 8
  const total = (values: Partial<Record<Series['name'], number>>) => (values.kept ?? 0) + (values.dropped ?? 0)
  const x = scaleLinear([0, max(rows, ({ values }) => total(values)) || 1], [left, size.width - right])
  const y = scaleBand(
    rows.map((_, index) => index),
    [4, height - 4],
  ).padding(0.2)
  const parts = rows.flatMap(({ name, values }, index) => {
    const top = y(index)!
    const middle = top + y.bandwidth() / 2 + 4
    const kept = rect(
      'kept',
      { x: left, y: top, width: x(values.kept ?? 0) - left, height: y.bandwidth() },
      `${name}: ${values.kept ?? 0} kept`,
    )
    const start = x(values.kept ?? 0)
    const dropped = rect(
      'dropped',
      { x: start, y: top, width: x(total(values)) - start, height: y.bandwidth() },
      `${name}: ${values.dropped ?? 0} dropped`,
    )
    const shown = name.length > 36 ? `${name.slice(0, 35)}…` : name
    const number = [values.kept, values.dropped]
      .filter((value) => value !== undefined)
      .map(format)
      .join(' + ')
    return [text(left - 8, middle, shown, 'end'), kept, dropped, text(x(total(values)) + 6, middle, number, 'start')]
  })
  return svg(size.width, height, label, parts)
}

const format = (value: number) => Number(value.toFixed(4)).toLocaleString('en-US')

function svg(width: number, height: number, label: string, parts: readonly string[]): string {
  // Its size is fixed, for its letters: on a narrow window it scrolls.
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`
  return `<div class="wide"><svg ${size} role="img" aria-label="${escapeHtml(label)}">${parts.join('')}</svg></div>`
}

function rect(kind: string, box: Record<'x' | 'y' | 'width' | 'height', number>, title: string): string {
  const attributes = Object.entries(box).map(([name, value]) => `${name}="${Number(value.toFixed(2))}"`)
  return `<rect class="${kind}" ${attributes.join(' ')}><title>${escapeHtml(title)}</title></rect>`
}

function line(isAxis: boolean, y: number): string {
  return `<line class="axis" x1="${size.left}" x2="${size.width - size.right}" y1="${y.toFixed(2)}" y2="${y.toFixed(2)}"${isAxis ? '' : ' stroke-dasharray="2 3"'}/>`
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x.toFixed(2)}" y="${y.toFixed(2)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`
}
