import { parseAnswer } from './answer-parser.js'
import { sameAnswer } from './compare.js'

/** Whether an answer is the gold answer: as a text, or by the mathematics of both. Work and memory are bounded by their lengths. */
export function gradeAnswer(gold: string, answer: string): boolean {
  if (gold.trim() === answer.trim()) return true
  if (sameAnswer(parseAnswer(gold), parseAnswer(answer))) return true
  // `1,22` is a list, or a number with a decimal comma.
  const comma = /^\s*-?\d+,\d{2}\s*$/
  const pointed = (text: string) => (comma.test(text) ? text.replace(',', '.') : text)
  if (comma.test(gold) === comma.test(answer)) return false
  return sameAnswer(parseAnswer(pointed(gold)), parseAnswer(pointed(answer)))
}
