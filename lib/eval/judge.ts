import { compareAnswers } from '../data/answer.js'
import { lastBoxed } from '../data/boxed.js'

/** What is said of an answer. */
export interface Verdict {
  correct: boolean
  /** The answer that was found in the completion; undefined where there is none. */
  extracted: string | undefined
}

/** What a judge is shown. */
export interface JudgedAnswer {
  question: string
  /** The right answer. */
  answer: string
  completion: string
}

/** Decides whether a completion has the right answer. */
export type Judge = (answer: JudgedAnswer) => Promise<Verdict>

/** By the answer in the last `\boxed{…}` and mathematics. */
export async function gradeBoxed({ answer, completion }: JudgedAnswer): Promise<Verdict> {
  const extracted = lastBoxed(completion)?.content
  return { extracted, correct: extracted !== undefined && compareAnswers(answer, extracted) === 'same' }
}
