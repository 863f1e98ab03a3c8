import type { ExampleReport, OverLongExample } from '../data/over-length.js'
import { formatCount } from './format.js'

/** Losses by the policy for long examples, a line each; none where nothing was lost. */
export function overLengthLines({ dropped, truncated }: ExampleReport): string[] {
  return [lossLine('dropped', dropped), lossLine('truncated', truncated)].filter((line) => line !== undefined)
}

function lossLine(what: 'dropped' | 'truncated', examples: readonly OverLongExample[]): string | undefined {
  if (examples.length === 0) return undefined
  const count = (lost: (example: OverLongExample) => boolean) => formatCount(examples.filter(lost).length)
  const scored = examples.reduce((sum, { lostScored }) => sum + lostScored, 0)
  const shown = examples.slice(0, 3).map(({ place, length }) => `${place} (${formatCount(length)} tokens)`)
  const answers = `${count(({ lostAnswer }) => lostAnswer)} answers in \\boxed{}`
  const ends = what === 'truncated' ? `, ${count(({ lostEndOfTurn }) => lostEndOfTurn)} ends of turn` : ''
  return (
    `${formatCount(examples.length)} examples ${what}, longer than cutoff_len: ${formatCount(scored)} scored tokens lost, ` +
    `${answers}${ends}: ${shown.join(', ')}${examples.length > 3 ? ', …' : ''}`
  )
}
