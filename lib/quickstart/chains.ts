import { Random } from '../random/random.js'

export { checkChain } from './check-chain.js'

/** A reasoning chain in LIMO's columns. */
export interface ArithmeticChain {
  question: string
  solution: string
  answer: string
  kind: 'addition' | 'subtraction' | 'word problem'
  /** Identity of a problem: chains with the same key are the same calculation. */
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
export const defaultChains = { count: 12_000, seed: 42 } as const

const placeNames = ['Ones', 'Tens', 'Hundreds', 'Thousands']
const people = ['Mia', 'Tom', 'Ana', 'Leo', 'Eva', 'Sam', 'Zoe', 'Max']
const things = ['pens', 'books', 'coins', 'cards', 'shells', 'stamps', 'apples', 'beads']
const events: Record<Operation, string[]> = { '+': ['buys N more', 'finds N more'], '-': ['gives away N', 'loses N'] }

/** Columns in which the numbers are written, so that digits of the same place always stand at the same place. */
const sumWidth = 4
const wordProblemWidth = 3

/**
 * Arithmetic worked out column by column, and every column checked by the inverse operation: in turn an addition, a subtraction and a
 * word problem of two steps.
 *
 *     What is 5069 - 255?
 *     Subtract 0255 from 5069. Ones: 9-5=4 (4+5=9), so 4. Tens: 6-5=2 (2+5=7, no), 6-5=1 (1+5=6), so 14.
 *     Hundreds: 0-2, borrow, 10-2=8 (8+2=10), so 814. Thousands: 5-0-1=4 (4+0+1=5), so 4814.
 *     That is 4814.
 *     The answer is \\boxed{4814}.
 *
 * Some columns have a slip, which the check finds and mends: so a check is worth doing, and a model that errs where no chain did finds
 * it too. They are frequent enough that the check has to be calculated: were it nearly always right, it would be copied from the
 * question. Padded numbers, the running result in every column and the explicit borrow are what lets a model of under a million
 * parameters learn it, and word problems that are said again first, which teaches to copy: without it some runs never learnt to find the
 * second number once the first step is done. No two chains, and none of `exclude`, have the same key.
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
  const solution = solve([capitalize(workOut(random, { operation: '+', x, y, width: sumWidth }))], x + y, sumWidth)
  return { kind: 'addition', key: `${Math.min(x, y)}+${Math.max(x, y)}`, question, solution, result: x + y }
}

function makeSubtraction(random: Random): Problem {
  const first = numberOfDigits(random, random.pick([2, 3, 4]))
  const second = numberOfDigits(random, random.pick([2, 3, 4]))
  const [x, y] = [Math.max(first, second), Math.min(first, second)]
  const question = random.pick([`What is ${x} - ${y}?`, `Compute ${x} - ${y}.`, `Take ${y} away from ${x}.`])
  const solution = solve([capitalize(workOut(random, { operation: '-', x, y, width: sumWidth }))], x - y, sumWidth)
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
    const width = wordProblemWidth
    const story = `${person} has ${x} ${thing}. ${person} ${firstEvent}, then ${secondEvent}.`
    const lines = [
      story,
      `${person} ${firstEvent}, so ${workOut(random, { operation: first, x, y, width })}`,
      `${person} ${secondEvent}, so ${workOut(random, { operation: second, x: between, y: z, width })}`,
    ]
    return {
      kind: 'word problem',
      key: `${Math.min(x, y)},${Math.max(x, y)},${z}${first}${second}`,
      question: `${story} How many ${thing} are there now?`,
      solution: solve(lines, result, width),
      result,
    }
  }
}

interface Calculation {
  operation: Operation
  x: number
  y: number
  /** Columns. */
  width: number
}

/** Percentage of columns that have a slip. */
const slipPercent = 12

function solve(lines: string[], result: number, width: number): string {
  return [...lines, `That is ${shorten(pad(result, width)).join(', ')}.`, `The answer is \\boxed{${result}}.`].join('\n')
}

/** A padded number and what it is without its zeros, one after the other: `0089`, `089`, `89`. */
function shorten(padded: string): string[] {
  const steps = [padded]
  for (let text = padded; text.length > 1 && text.startsWith('0'); text = text.slice(1)) steps.push(text.slice(1))
  return steps
}

/** `add 0017 and 0025. Ones: 7+5=12 (12-5=7), carry 1, so 2. Tens: …` */
function workOut(random: Random, { operation, x, y, width }: Calculation): string {
  const task =
    operation === '+' ? `add ${pad(x, width)} and ${pad(y, width)}.` : `subtract ${pad(y, width)} from ${pad(x, width)}.`
  const columns: string[] = []
  let carried = 0
  for (let place = 0; place < width; place++) {
    const column = workColumn(random, operation, digit(x, place), digit(y, place), carried)
    carried = column.carry
    const soFar = pad(apply(operation, x, y) % 10 ** (place + 1), place + 1)
    columns.push(`${placeNames[place]}: ${column.work}, so ${soFar}.`)
  }
  return [task, ...columns].join(' ')
}

/** The work in one column, with what it hands on as a carry or a borrow. */
function workColumn(
  random: Random,
  operation: Operation,
  p: number,
  q: number,
  carried: number,
): { work: string; carry: number } {
  const taken = carried === 1 ? `${operation}1` : ''
  const borrows = operation === '-' && p - q - carried < 0
  const top = borrows ? p + 10 : p
  const result = apply(operation, top, q) + (operation === '+' ? carried : -carried)
  const fact = `${top}${operation}${q}${taken}`
  const attempts: string[] = []
  if (random.below(100) < slipPercent) {
    const wrong = slipOf(random, result, operation === '+' ? 19 : 9, carried)
    attempts.push(`${fact}=${wrong} (${inverseFact(operation, wrong, q, carried)}, no)`)
  }
  attempts.push(`${fact}=${result} (${inverseFact(operation, result, q, carried)})`)
  const carry = operation === '+' ? Number(result > 9) : Number(borrows)
  const before = borrows ? `${p}-${q}${taken}, borrow, ` : ''
  return { work: `${before}${attempts.join(', ')}${operation === '+' && carry ? ', carry 1' : ''}`, carry }
}

/** `12-5-1=6`: what leads back to the first digit. */
function inverseFact(operation: Operation, result: number, q: number, carried: number): string {
  const inverse = operation === '+' ? '-' : '+'
  const taken = carried === 1 ? `${inverse}1` : ''
  return `${result}${inverse}${q}${taken}=${operation === '+' ? result - q - carried : result + q + carried}`
}

/** A result that is off by one, or by the carry that was forgotten, from 0 to `most`. */
function slipOf(random: Random, result: number, most: number, carried: number): number {
  const by = random.pick([1, -1])
  const wrong = random.below(2) === 0 && carried === 1 ? result + (most === 19 ? -1 : 1) : result + by
  return wrong < 0 || wrong > most ? 2 * result - wrong : wrong
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
