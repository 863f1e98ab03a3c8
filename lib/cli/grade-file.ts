import pc from 'picocolors'
import type { LimoError } from '../errors.js'
import { type GradedCompletions, gradeCompletions } from '../eval/grade-completions.js'
import type { Judge } from '../eval/judge.js'
import { counted, formatCount } from './format.js'

/** Rows that cannot be graded of which each is named; a file of another kind has too many. */
const NAMED = 20

/** Grades a file of completions, says how many are right, and which rows cannot be graded; those make the exit code 1. */
export async function gradeFile(
  completions: string,
  output: string,
  { json, ...judging }: { json: boolean; judge?: Judge },
): Promise<void> {
  let named = 0
  const onInvalid = ({ message, code }: LimoError) => {
    named += 1
    if (named <= NAMED) console.error(`${pc.red('not graded')}  ${message} ${pc.dim(`[${code}]`)}`)
  }
  const graded = await gradeCompletions(completions, output, { ...judging, onInvalid })
  if (graded.invalid > NAMED) console.error(`and ${formatCount(graded.invalid - NAMED)} rows more that cannot be graded`)
  console.log(json ? JSON.stringify(graded) : `${inWords(graded)}\nwritten  ${output}`)
  if (graded.invalid > 0) process.exitCode = 1
}

function inWords({ rows, correct, unanswered, missing, invalid }: GradedCompletions): string {
  const percent = rows === 0 ? 0 : (100 * correct) / rows
  const parts = [
    `${formatCount(correct)} of ${formatCount(rows)} right (${percent.toFixed(1)}%)`,
    `${formatCount(unanswered)} without an answer${missing > 0 ? ` (${formatCount(missing)} of them without a completion)` : ''}`,
  ]
  if (invalid > 0) parts.push(`${counted(invalid, 'row')} not graded`)
  return parts.join(', ')
}
