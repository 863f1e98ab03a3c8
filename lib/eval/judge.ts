import { extractAnswer } from '../grader/extract-answer.js'
import { Grader } from '../grader/grader.js'

/** Verdict on an answer. */
export interface Judgment {
  correct: boolean
  /** The answer that was found in the completion; undefined where there is none. */
  extracted: string | undefined
}

/** Input of a judge. */
export interface JudgedAnswer {
  question: string
  /** The right answer. */
  answer: string
  completion: string
}

/** Decides whether a completion has the right answer. */
export type Judge = (answer: JudgedAnswer) => Promise<Judgment>

/** One for the process: its thread starts with the first long answer and keeps no process alive. */
const grader = new Grader()

/** LIMO's way: the answer after the last `\boxed`, and equality of mathematics. */
export async function gradeBoxed({ answer, completion }: JudgedAnswer): Promise<Judgment> {
  const extracted = extractAnswer(completion)
  const { correct } = await grader.grade(answer, extracted)
  return { extracted, correct }
}
