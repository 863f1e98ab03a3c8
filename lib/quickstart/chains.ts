import { Random } from '../data/random.js'

export { checkChain } from './check-chain.js'

/** A reasoning chain in LIMO's columns. */
export interface ArithmeticChain {
  question: string
  solution: string
  answer: string
  kind: 'addition' | 'subtraction' | 'word problem'
  /** What makes a problem: chains with the same key are the same calculation. */
  key: string
  [column: string]: unknown
}

type Operation = '+' | '-'

interface Problem {
  kind: ArithmeticChain['kind']
  key: string
  question: string
  solution: string
  result: number
}

/** The training set of the embedded default. */
export const defaultChains = { count: 817, seed: 42 } as const

const placeNames = ['Ones', 'Tens', 'Hundreds', 'Thousands']
const people = ['Mia', 'Tom', 'Ana', 'Leo', 'Eva', 'Sam', 'Zoe', 'Max']
const things = ['pens', 'books', 'coins', 'cards', 'shells', 'stamps', 'apples', 'beads']
const events: Record<Operation, string[]> = { '+': ['buys N more', 'finds N more'], '-': ['gives away N', 'loses N'] }

/** Columns in which the numbers are written, so that digits of the same place always stand at the same place. */
const sumWidth = 4
const wordProblemWidth = 3

/**
 * Arithmetic worked out column by column and checked by the inverse operation: in turn an addition, a subtraction and
 * a word problem of two steps.
 *
 *     What is 5069 - 255?
 *     Subtract 0255 from 5069. Ones: 9-5=4, so 4. Tens: 6-5=1, so 14. Hundreds: 0-2, borrow, 10-2=8, so 814. …
 *     Let me check: 4814+0255. 4+5=9; 1+5=6; 8+2=10; 4+0+1=5. It gives 5069, right.
 *     The answer is \boxed{4814}.
 *
 * Padded numbers, the running result in every column and the explicit borrow are what lets a model of under a million
 * parameters learn it from 817 chains. No two chains, and none of `exclude`, have the same key.
 */
export function generateChains(options: {
  count: number
  seed: number
  exclude?: ReadonlySet<string> | undefined
}): ArithmeticChain[] {
  const random = new Random(options.seed)
  const seen = new Set(options.exclude)
  const chains: ArithmeticChain[] = []
  while (chains.length < options.count) {
    const { kind, key, question, solution, result } = problemMakers[chains.length % problemMakers.length]!(random)
    if (seen.has(key)) continue
    seen.add(key)
    chains.push({ question, solution, answer: String(result), kind, key })
  }
  return chains
}

/** Problems that the default training set does not have, in either order of their numbers. */
export function heldOutProblems(count: number, seed: number): ArithmeticChain[] {
  const exclude = new Set(generateChains(defaultChains).map(({ key }) => key))
  return generateChains({ count, seed, exclude })
}

const problemMakers: ((random: Random) => Problem)[] = [makeAddition, makeSubtraction, makeWordProblem]

function makeAddition(random: Random): Problem {
  let x: number
  let y: number
  do {
    x = numberOfDigits(random, random.pick([2, 3, 4]))
    y = numberOfDigits(random, random.pick([2, 3, 4]))
  } while (x + y >= 10 ** sumWidth)
  const question = random.pick([`What is ${x} + ${y}?`, `Compute ${x} + ${y}.`, `Find the sum of ${x} and ${y}.`])
  const solution = solve([capitalize(workOut('+', x, y, sumWidth)), check('+', x, y, sumWidth)], x + y)
  return { kind: 'addition', key: `${Math.min(x, y)}+${Math.max(x, y)}`, question, solution, result: x + y }
}

function makeSubtraction(random: Random): Problem {
  const first = numberOfDigits(random, random.pick([2, 3, 4]))
  const second = numberOfDigits(random, random.pick([2, 3, 4]))
  const [x, y] = [Math.max(first, second), Math.min(first, second)]
  const question = random.pick([`What is ${x} - ${y}?`, `Compute ${x} - ${y}.`, `Take ${y} away from ${x}.`])
  const solution = solve([capitalize(workOut('-', x, y, sumWidth)), check('-', x, y, sumWidth)], x - y)
  return { kind: 'subtraction', key: `${x}-${y}`, question, solution, result: x - y }
}

/** Two steps, such as 45 + 23 − 31, neither of which goes below zero; something is left after the first. */
function makeWordProblem(random: Random): Problem {
  for (;;) {
    const [x, y, z] = [numberOfDigits(random, 2), numberOfDigits(random, 2), numberOfDigits(random, 2)]
    const [first, second] = [random.pick<Operation>(['+', '-']), random.pick<Operation>(['+', '-'])]
    const between = apply(first, x, y)
    const result = apply(second, between, z)
    if (between <= 0 || result < 0) continue

    const [person, thing] = [random.pick(people), random.pick(things)]
    const firstEvent = random.pick(events[first]).replace('N', String(y))
    const secondEvent = random.pick(events[second]).replace('N', String(z))
    const lines = [
      `${capitalize(firstEvent)}, so ${workOut(first, x, y, wordProblemWidth)}`,
      `${capitalize(secondEvent)}, so ${workOut(second, between, z, wordProblemWidth)}`,
      check(second, between, z, wordProblemWidth),
    ]
    return {
      kind: 'word problem',
      key: `${Math.min(x, y)},${Math.max(x, y)},${z}${first}${second}`,
      question: `${person} has ${x} ${thing}. ${person} ${firstEvent}, then ${secondEvent}. How many ${thing} are there now?`,
      solution: solve(lines, result),
      result,
    }
  }
}

function solve(lines: string[], result: number): string {
  return [...lines, `The answer is \\boxed{${result}}.`].join('\n')
}

/** `add 0017 and 0025. Ones: 7+5=12, carry 1, so 2. Tens: …` */
function workOut(operation: Operation, x: number, y: number, width: number): string {
  const task =
    operation === '+' ? `add ${pad(x, width)} and ${pad(y, width)}.` : `subtract ${pad(y, width)} from ${pad(x, width)}.`
  const columns = calculateColumns(operation, x, y, width).map(({ work, carry }, place) => {
    const soFar = pad(apply(operation, x, y) % 10 ** (place + 1), place + 1)
    return `${placeNames[place]}: ${work}${operation === '+' && carry === 1 ? ', carry 1' : ''}, so ${soFar}.`
  })
  return [task, ...columns].join(' ')
}

/** The inverse operation, which has to lead back to x. */
function check(operation: Operation, x: number, y: number, width: number): string {
  const inverse = operation === '+' ? '-' : '+'
  const result = apply(operation, x, y)
  const columns = calculateColumns(inverse, result, y, width).map(({ work }) => work)
  return `Let me check: ${pad(result, width)}${inverse}${pad(y, width)}. ${columns.join('; ')}. It gives ${pad(x, width)}, right.`
}

/** The work in each column, from the ones up; `carry` is what it hands to the next one, as a carry or a borrow. */
function calculateColumns(operation: Operation, x: number, y: number, width: number): { work: string; carry: number }[] {
  const columns: { work: string; carry: number }[] = []
  let carried = 0
  for (let place = 0; place < width; place++) {
    const [p, q] = [digit(x, place), digit(y, place)]
    const from = carried === 1 ? `${operation}1` : ''
    if (operation === '+') {
      const sum = p + q + carried
      carried = sum >= 10 ? 1 : 0
      columns.push({ work: `${p}+${q}${from}=${sum}`, carry: carried })
    } else {
      const difference = p - q - carried
      carried = difference < 0 ? 1 : 0
      const plain = `${p}-${q}${from}`
      const work = carried === 1 ? `${plain}, borrow, ${p + 10}-${q}${from}=${difference + 10}` : `${plain}=${difference}`
      columns.push({ work, carry: carried })
    }
  }
  return columns
}

function apply(operation: Operation, x: number, y: number): number {
  return operation === '+' ? x + y : x - y
}

function numberOfDigits(random: Random, digits: number): number {
  const smallest = 10 ** (digits - 1)
  return smallest + random.below(9 * smallest)
}

function digit(value: number, place: number): number {
  return Math.floor(value / 10 ** place) % 10
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
