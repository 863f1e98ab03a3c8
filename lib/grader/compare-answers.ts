import { tidyAnswer, withoutSpaces } from '../answer/answer-text.js'
import { toDouble } from '../answer/rational.js'
import { ExpressionComparison } from './compare-expressions.js'
import { hasVariables, type Verdict, variablesIn } from './compare-values.js'
import { ExactValues } from './exact.js'
import { type Expression, isCall, nameOf, some, substituted } from './expression.js'
import { haveOtherOrders } from './letter-orders.js'
import { withDigits } from './number-words.js'
import { type Reading, readings, withGivenDecimals } from './readings.js'
import { withoutRemarks } from './remarks.js'
import { withScale } from './scales.js'
import { haveOtherUnits, isTemperature, mayBeConverted, moneyIn } from './units.js'
import { areOneWord, choiceIn, choicesIn, isWords, withoutChoice, wordsIn } from './words.js'

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
  /** The name that stands for every whole number: k of `k\pi, k \in \mathbb{Z}`. */
  wholeName?: string | undefined
}

/**
 * Whether an answer is the same as the gold answer, in the calling thread, in bounded time, and the same in every run.
 *
 * `same` and `different` are certain, up to the rules for decimals, percent and degrees; `undecided` are words that differ,
 * brackets that may mean the same, formulas that are not read, and values that cannot be computed. The order matters to decimals
 * alone: the answer may be the gold one rounded, but not more precise than it.
 */
export function compareAnswers(gold: string, answer: string): Comparison {
  if (gold.length > LONGEST_ANSWER || answer.length > LONGEST_ANSWER) {
    return { verdict: gold.trim() === answer.trim() ? 'same' : 'undecided', how: 'text' }
  }
  const [a, b] = [answerIn(gold), answerIn(answer)]
  const [scaledA, scaledB] = [withScale(a), withScale(b)]
  if (scaledA === undefined && scaledB === undefined) return compareTexts(a, b)
  const scaled = (answer: Answer, text: string | undefined) => (text === undefined ? answer : bare(text, answer.units))
  const comparison = compareTexts(scaled(a, scaledA), scaled(b, scaledB))
  if (comparison.verdict !== 'different') return comparison
  // The question may have asked for millions.
  const without = (answer: Answer, text: string | undefined) =>
    text === undefined ? answer : bare(text.replace(/ \\times (?:\d+|\\frac\{1\}\{\d+\})/, ''), answer.units)
  const unscaled = compareTexts(without(a, scaledA), without(b, scaledB))
  return unscaled.verdict === 'different' ? comparison : { ...comparison, verdict: 'undecided' }
}

function answerIn(written: string): Answer {
  return bare(withDigits(tidyAnswer(written)), moneyIn(written))
}

function bare(tidied: string, units: string[]): Answer {
  const { text, units: more, wholeName } = withoutRemarks(tidied)
  return { text, units: [...units, ...more], wholeName }
}

function compareTexts(first: Answer, second: Answer): Comparison {
  let [a, b] = [first, second]
  if (a.text === '' || b.text === '') return { verdict: 'undecided', how: 'text' }
  const [choicesA, choicesB] = [choicesIn(a.text), choicesIn(b.text)]
  if (choicesA && choicesB) return { verdict: choicesA === choicesB ? 'same' : 'different', how: 'choice' }
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
  const comparison = compareFormulas(a, b)
  // AB and BA, cat and act are the same letters in another order: as products the same, as words and vectors others.
  return comparison.verdict !== 'undecided' && haveOtherOrders(a.text, b.text)
    ? { ...comparison, verdict: 'undecided' }
    : comparison
}

/** Answers that can be read in several ways are the same where they are in one of them. */
function compareFormulas(a: Answer, b: Answer): Comparison {
  const [readingsA, readingsB] = [readings(a), readings(b)]
  if (readingsA.length === 0 || readingsB.length === 0) return { verdict: 'undecided', how: 'text' }
  const how = kindOf(readingsA[0]!.expression, readingsB[0]!.expression)
  const comparison = new ExpressionComparison()
  // kπ and (k + 1)π are the same for all whole k together.
  let isDifferent = a.wholeName === undefined || b.wholeName === undefined
  for (const readA of readingsA) {
    for (const readB of readingsB) {
      const given = withGivenDecimals(withName(readB.expression, b.wholeName, a.wholeName))
      const verdict = comparison.compare(...withOneConstant(readA.expression, given))
      const isOpen = areOpen(readA, readB)
      if (verdict === 'same' && !isOpen && !isGuess(readA, readB)) return { verdict, how }
      isDifferent &&= verdict === 'different' && !isOpen && !haveOtherNames(readA.expression, readB.expression)
      isDifferent &&= !mayBeMeasured(readA, readB)
    }
  }
  return { verdict: isDifferent ? 'different' : 'undecided', how }
}

/** Whether units keep two answers from being compared: units are not converted, and $5 are no 5%. */
function areOpen(a: Reading, b: Reading): boolean {
  if (haveOtherUnits(a.units, b.units)) return true
  const isTagged = (tag: string, { expression }: Reading) => some(expression, (part) => isCall(part, tag))
  return (isTemperature(a.units) && isTemperature(b.units) ? ['%'] : ['%', '°']).some(
    (tag) =>
      (a.units.length > 0 && isTagged(tag, b) && !isTagged(tag, a)) ||
      (b.units.length > 0 && isTagged(tag, a) && !isTagged(tag, b)),
  )
}

/** Whether answers that are the same may not be: the m of 5m may be a name, and 1,234 is rather no decimal. */
function isGuess(a: Reading, b: Reading): boolean {
  if (a.isDoubtful || b.isDoubtful) return true
  return Boolean((a.isUnitGuessed && b.units.length === 0) || (b.isUnitGuessed && a.units.length === 0))
}

/** Whether one of two numbers has a unit, and the other may be the same without its own, smaller or larger one: 5 kg and 5000. */
function mayBeMeasured(a: Reading, b: Reading): boolean {
  if ((a.units.length === 0) === (b.units.length === 0)) return false
  const exact = new ExactValues()
  const [valueA, valueB] = [exact.of(a.expression), exact.of(b.expression)]
  return valueA !== undefined && valueB !== undefined && mayBeConverted(toDouble(valueA), toDouble(valueB))
}

/** An expression with one name for another, which is any whole number in both answers. */
function withName(expression: Expression, name: string | undefined, other: string | undefined): Expression {
  const isKept = name === undefined || other === undefined || variablesIn(expression).has(other)
  return isKept ? expression : substituted(expression, name, nameOf(other))
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

/** `x^{2}3` keeps its braces: without them it is another number. Words of three letters and more are the same set as text or not. */
function compact(text: string): string {
  return withoutSpaces(text.replace(/\\text ?\{((?: ?[a-zA-Z]{3,})+ ?)\}/g, ' $1 ')).replace(/([_^])\{(\w)\}(?!\d)/g, '$1$2')
}
