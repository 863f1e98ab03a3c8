import { areDifferentNumbers } from '../answer/answer.js'
import { lastBoxed } from '../answer/boxed.js'
import type { TrainingRecord } from './records.js'
import { columnOf } from './row-columns.js'
import type { Row } from './rows/row-fields.js'
import type { SpelledTokens } from './tokenizer/spelled-tokens.js'
import { textsOfTurn } from './turn.js'

/** Kinds of warnings: valid, but seldom intended. */
export const warningKinds = {
  REPLACEMENT_CHARACTER: 'a text has U+FFFD: it was decoded with another encoding than it was written in',
  UNCLOSED_THINK: 'a response opens <think> and never closes it',
  SPELLED_TOKEN: 'a text spells out a special token, which is read as text',
  OTHER_ANSWER: 'the last \\boxed{} of a response is not the answer of the record',
  NO_ANSWER: 'a response has no \\boxed{} although the record has an answer',
  DUPLICATE: 'the same turns are in an earlier record',
  OVER_LENGTH: 'an example is longer than cutoff_len, and the policy drops or truncates it',
} as const

export type WarningKind = keyof typeof warningKinds

export interface RecordWarning {
  kind: WarningKind
  /** Message: what is odd, and the remedy. */
  message: string
}

/** Warnings about one record. `row` is the row that it was made from. */
export function warningsOf(record: TrainingRecord, row: unknown, spelledTokens?: SpelledTokens): RecordWarning[] {
  if (record.kind === 'tokens') return []
  const warnings: RecordWarning[] = []
  const warn = (kind: WarningKind, message: string) => warnings.push({ kind, message: `${record.place}: ${message}` })
  const broken = record.turns.findIndex((turn) => textsOfTurn(turn).some((text) => text.includes('\uFFFD')))
  if (broken >= 0) {
    warn(
      'REPLACEMENT_CHARACTER',
      `expected text in turn ${broken + 1} (${record.turns[broken]!.role}) but received U+FFFD, which stands for a character that was lost. ` +
        'Convert the original again.',
    )
  }
  for (const [index, turn] of record.turns.entries()) {
    const spelled = textsOfTurn(turn).find((text) => spelledTokens?.find(text) !== undefined)
    const at = spelled === undefined ? undefined : spelledTokens!.find(spelled)
    if (spelled === undefined || at === undefined) continue
    const text = JSON.stringify(spelled.slice(at, at + 24))
    warn(
      'SPELLED_TOKEN',
      `expected plain text but turn ${index + 1} (${turn.role}) spells out ${text}, which is read as text. Remove markup.`,
    )
    break
  }
  const response = record.turns.at(-1)!.content
  if (response.lastIndexOf('<think>') > response.lastIndexOf('</think>')) {
    warn('UNCLOSED_THINK', 'expected </think> after <think> in the last response but received none. It may be cut off.')
  }
  // A record of GSM8K's has its chain in the column `answer`.
  const [answer, solution] = (['answer', 'solution'] as const).map((role) => columnOf(row as Row, role)?.value)
  if (typeof answer !== 'string' || answer === '' || typeof solution !== 'string') return warnings
  const found = lastBoxed(response)?.content
  if (found !== undefined && areDifferentNumbers(found, answer)) {
    warn(
      'OTHER_ANSWER',
      `expected the answer ${answer.slice(0, 40)} but received \\boxed{${found.slice(0, 40)}}. Remove the record.`,
    )
  }
  if (found === undefined) {
    warn('NO_ANSWER', `expected the answer (${answer.slice(0, 40)}) in \\boxed{} but the response has none. It may be cut off.`)
  }
  return warnings
}
