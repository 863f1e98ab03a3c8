import { tidyAnswer, withoutSpaces } from '../answer/answer-text.js'
import { ExpressionComparison } from './compare-expressions.js'
import { hasVariables, type Verdict, variablesIn } from './compare-values.js'
import { type Expression, nameOf, some } from './expression.js'
import { substituted } from './named-values.js'
import { type Parsed, parse } from './parse.js'
import { withoutRemarks } from './remarks.js'
import { areOneWord, choiceIn, isWords, withoutChoice, wordsIn } from './words.js'

/** Longest answer that is parsed; longer ones are compared as text. */
export const LONGEST_ANSWER = 2000

/** Way in which two answers were compared; `structure` is lists, intervals, matrices, equations and inequalities. */
export interface Comparison {
  verdict: Verdict
  how: 'text' | 'choice' | 'number' | 'symbolic' | 'structure'
}

interface Answer {
  text: string
  units: string[]
}

/**
 * Whether two answers are the same, in the calling thread, in bounded time, and the same in every run.
 *
 * `same` and `different` are certain, up to the rules for decimals, percent and degrees; `undecided` are words that differ,
 * brackets that may mean the same, formulas that are not read, and values that cannot be computed.
 */
export function compareAnswers(first: string, second: string): Comparison {
  if (first.length > LONGEST_ANSWER || second.length > LONGEST_ANSWER) {
    return { verdict: first.trim() === second.trim() ? 'same' : 'undecided', how: 'text' }
  }
  let [a, b] = [withoutRemarks(tidyAnswer(first)), withoutRemarks(tidyAnswer(second))]
  if (a.text === '' || b.text === '') return { verdict: 'undecided', how: 'text' }
  const [choiceA, choiceB] = [choiceIn(a.text), choiceIn(b.text)]
  if (choiceA && choiceB && (choiceA.isAlone || choiceB.isAlone)) {
    return { verdict: choiceA.letter === choiceB.letter ? 'same' : 'different', how: 'choice' }
  }
  // The letter of a choice says nothing where the other answer is what the choice says.
  if (choiceA === undefined && choiceB?.isAlone === false) b = { ...b, text: withoutChoice(b.text) }
  if (choiceB === undefined && choiceA?.isAlone === false) a = { ...a, text: withoutChoice(a.text) }
  if (compact(a.text) === compact(b.text))
    return { verdict: haveOtherUnits(a.units, b.units) ? 'undecided' : 'same', how: 'text' }
  if (isWords(a.text) || isWords(b.text) || areOneWord(a.text, b.text)) {
    const [wordsA, wordsB] = [wordsIn(a.text), wordsIn(b.text)]
    return { verdict: wordsA !== '' && wordsA === wordsB ? 'same' : 'undecided', how: 'text' }
  }
  return compareFormulas(a, b)
}

/** Answers that can be read in several ways are the same where they are in one of them. */
function compareFormulas(a: Answer, b: Answer): Comparison {
  const [readingsA, readingsB] = [readings(a.text), readings(b.text)]
  if (readingsA.length === 0 || readingsB.length === 0) return { verdict: 'undecided', how: 'text' }
  const how = kindOf(readingsA[0]!.expression, readingsB[0]!.expression)
  const comparison = new ExpressionComparison()
  let isDifferent = true
  for (const readA of readingsA) {
    for (const readB of readingsB) {
      const verdict = comparison.compare(...withOneConstant(readA.expression, readB.expression))
      // Units are not converted, and names may be other names of the same.
      const isOpen = haveOtherUnits([...readA.units, ...a.units], [...readB.units, ...b.units])
      if (verdict === 'same' && !isOpen) return { verdict, how }
      isDifferent &&= verdict === 'different' && !isOpen && !haveOtherNames(readA.expression, readB.expression)
    }
  }
  return { verdict: isDifferent ? 'different' : 'undecided', how }
}

/** Readings of an answer: commas between thousands, between answers, or as the decimal sign. */
function readings(text: string): Parsed[] {
  const found = [parse(text, { thousands: true, decimalComma: false })]
  if (/\d[, ]\d{3}/.test(text)) found.push(parse(text, { thousands: false, decimalComma: false }))
  // The 2 of 5 as China writes it; C may be a name, too.
  const chosen = text.replace(/(?:\\text ?\{C\}|(?<![a-zA-Z\\])C) ?_ ?\{?(\d+)\}? ?\^ ?\{?(\d+)\}?/g, '\\binom{$1}{$2}')
  if (chosen !== text) found.push(parse(chosen))
  // As in Europe: 1.234,5.
  if (/^-?\d{1,3}(?:\.\d{3})+,\d+$/.test(text)) found.push(parse(text.replaceAll('.', '').replace(',', '.')))
  if (/^-?\d+,\d+$/.test(text)) found.push(parse(text, { thousands: false, decimalComma: true }))
  return found.filter((parsed) => parsed !== undefined)
}

function kindOf(...expressions: Expression[]): Comparison['how'] {
  const isValue = ({ kind }: Expression) => kind === 'number' || kind === 'name' || kind === 'call'
  if (!expressions.every(isValue)) return 'structure'
  return expressions.some(hasVariables) ? 'symbolic' : 'number'
}

/** A constant of integration is c or C, with a number or without: one is taken for the other where there is no choice. */
function withOneConstant(a: Expression, b: Expression): [Expression, Expression] {
  const uses = (expression: Expression, name: string) =>
    some(expression, (part) => part.kind === 'name' && (part.name === name || part.name.startsWith(`${name}_`)))
  const isOther = (lower: Expression, upper: Expression) =>
    uses(lower, 'c') && !uses(lower, 'C') && uses(upper, 'C') && !uses(upper, 'c')
  const lowered = (expression: Expression) => {
    let changed = substituted(expression, 'C', nameOf('c'))
    for (let number = 1; number < 10; number += 1) changed = substituted(changed, `C_${number}`, nameOf(`c_${number}`))
    return changed
  }
  if (isOther(a, b)) return [a, lowered(b)]
  return isOther(b, a) ? [lowered(a), b] : [a, b]
}

function haveOtherNames(a: Expression, b: Expression): boolean {
  const [namesA, namesB] = [variablesIn(a), variablesIn(b)]
  const isMissing = (names: Set<string>, others: Set<string>) => [...names].some((name) => !others.has(name))
  return isMissing(namesA, namesB) && isMissing(namesB, namesA)
}

/** Units are left out too often to be held against an answer that has none. */
function haveOtherUnits(a: string[], b: string[]): boolean {
  if (a.length === 0 || b.length === 0) return false
  const written = (units: string[]) =>
    units
      .map((unit) =>
        unit
          .toLowerCase()
          .replace(/[^a-z/]/g, '')
          .replace(/e?s$/, ''),
      )
      .join(' ')
  return written(a) !== written(b)
}

/** `x^{2}3` keeps its braces: without them it is another number. */
function compact(text: string): string {
  return withoutSpaces(text).replace(/([_^])\{(\w)\}(?!\d)/g, '$1$2')
}
