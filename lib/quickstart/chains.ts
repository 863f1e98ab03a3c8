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
 * Arithmetic worked out column by column, and checked column by column by the inverse operation: in turn an addition, a subtraction and
 * a word problem of two steps.
 *
 *     What is 5069 - 255?
 *     Subtract 0255 from 5069. Ones: 9-5=4, so 4. Tens: 6-5=2, so 24. Hundreds: 0-2, borrow, 10-2=8, so 824. …
 *     Check 4824+0255=5069: 4+5=9 (9); 2+5=7 (6), no. Wrong, again.
 *     Subtract 0255 from 5069. Ones: 9-5=4, so 4. Tens: 6-5=1, so 14. Hundreds: 0-2, borrow, 10-2=8, so 814. …
 *     Check 4814+0255=5069: 4+5=9 (9); 1+5=6 (6); 8+2=10 (0); 4+0+1=5 (5). Right.
 *     That is 4814.
 *     The answer is \\boxed{4814}.
 *
 * In some chains a calculation has a slip, which its check finds and mends: so a check is worth doing, and a model that errs where no
 * chain did finds it too. Padded numbers, the running result in every column and the explicit borrow are what lets a model of under a
 * million parameters learn it. No two chains, and none of `exclude`, have the same key.
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
  const solution = solve(calculate(random, { operation: '+', x, y, width: sumWidth }), x + y, sumWidth)
  return { kind: 'addition', key: `${Math.min(x, y)}+${Math.max(x, y)}`, question, solution, result: x + y }
}

function makeSubtraction(random: Random): Problem {
  const first = numberOfDigits(random, random.pick([2, 3, 4]))
  const second = numberOfDigits(random, random.pick([2, 3, 4]))
  const [x, y] = [Math.max(first, second), Math.min(first, second)]
  const question = random.pick([`What is ${x} - ${y}?`, `Compute ${x} - ${y}.`, `Take ${y} away from ${x}.`])
  const solution = solve(calculate(random, { operation: '-', x, y, width: sumWidth }), x - y, sumWidth)
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
    const lines = [
      ...calculate(random, { operation: first, x, y, width }, `${firstEvent}, so `),
      ...calculate(random, { operation: second, x: between, y: z, width }, `${secondEvent}, so `),
    ]
    return {
      kind: 'word problem',
      key: `${Math.min(x, y)},${Math.max(x, y)},${z}${first}${second}`,
      question: `${person} has ${x} ${thing}. ${person} ${firstEvent}, then ${secondEvent}. How many ${thing} are there now?`,
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

/** A digit that is got wrong. */
interface Slip {
  place: number
  /** What is added to the digit where there is no carry or borrow to forget. */
  by: number
  /** The carry or borrow into the column is forgotten. */
  forgets: boolean
}

/** Of a hundred calculations so many have a slip that the check finds. */
const slipPercent = 15

/** The lines of a calculation and its check; of one that slips, both twice. */
function calculate(random: Random, calculation: Calculation, reason = ''): string[] {
  const slip = {
    place: random.below(calculation.width),
    by: random.pick([1, -1]),
    forgets: random.below(2) === 0,
  }
  const isSlipping = random.below(100) < slipPercent
  const right = workOut(calculation)
  const lines: string[] = []
  if (isSlipping) {
    const wrong = workOut(calculation, slip)
    const check = checkResult(calculation, wrong.result)
    if (!check.isRight) lines.push(capitalize(reason + wrong.text), check.text)
  }
  const again = lines.length > 0 ? '' : reason
  return [...lines, capitalize(again + right.text), checkResult(calculation, right.result).text]
}

function solve(lines: string[], result: number, width: number): string {
  return [...lines, `That is ${shorten(pad(result, width)).join(', ')}.`, `The answer is \\boxed{${result}}.`].join('\n')
}

/** A padded number and what it is without its zeros, one after the other: `0089`, `089`, `89`. */
function shorten(padded: string): string[] {
  const steps = [padded]
  for (let text = padded; text.length > 1 && text.startsWith('0'); text = text.slice(1)) steps.push(text.slice(1))
  return steps
}

/** `add 0017 and 0025. Ones: 7+5=12, carry 1, so 2. Tens: …`, and what comes out of it. */
function workOut({ operation, x, y, width }: Calculation, slip?: Slip): { text: string; result: number } {
  const task =
    operation === '+' ? `add ${pad(x, width)} and ${pad(y, width)}.` : `subtract ${pad(y, width)} from ${pad(x, width)}.`
  const columns: string[] = []
  let result = ''
  let carried = 0
  for (let place = 0; place < width; place++) {
    const column = workColumn(operation, digit(x, place), digit(y, place), carried, slip?.place === place ? slip : undefined)
    carried = column.carry
    result = `${column.digit}${result}`
    const carry = operation === '+' && carried === 1 ? ', carry 1' : ''
    columns.push(`${placeNames[place]}: ${column.work}${carry}, so ${result}.`)
  }
  return { text: [task, ...columns].join(' '), result: Number(result) }
}

/** The inverse operation, which has to lead back to x: column by column, each against the digit of x, until one is wrong. */
function checkResult({ operation, x, y, width }: Calculation, result: number): { text: string; isRight: boolean } {
  const inverse = operation === '+' ? '-' : '+'
  const columns: string[] = []
  let carried = 0
  let isRight = true
  for (let place = 0; place < width && isRight; place++) {
    const column = workColumn(inverse, digit(result, place), digit(y, place), carried)
    carried = column.carry
    const expected = digit(x, place)
    isRight = column.digit === expected
    columns.push(`${column.work} (${expected})${isRight ? '' : ', no'}`)
  }
  const task = `Check ${pad(result, width)}${inverse}${pad(y, width)}=${pad(x, width)}:`
  return { text: `${task} ${columns.join('; ')}. ${isRight ? 'Right.' : 'Wrong, again.'}`, isRight }
}

/** The work in one column: what is written, the digit that comes out, and what it hands on as a carry or a borrow. */
function workColumn(
  operation: Operation,
  p: number,
  q: number,
  carried: number,
  slip?: Slip,
): { work: string; digit: number; carry: number } {
  const from = carried === 1 ? `${operation}1` : ''
  const plain = `${p}${operation}${q}${from}`
  if (operation === '+') {
    const sum = slipped(p + q + carried, carried, [0, 19], slip)
    return { work: `${plain}=${sum}`, digit: sum % 10, carry: sum >= 10 ? 1 : 0 }
  }
  const borrows = p - q - carried < 0
  const difference = slipped(p - q - carried + (borrows ? 10 : 0), -carried, [0, 9], slip)
  const work = borrows ? `${plain}, borrow, ${p + 10}-${q}${from}=${difference}` : `${plain}=${difference}`
  return { work, digit: difference, carry: borrows ? 1 : 0 }
}

/** What a slip makes of a column's result, which stays between `least` and `most`. */
function slipped(value: number, carried: number, [least, most]: [number, number], slip: Slip | undefined): number {
  if (slip === undefined) return value
  const wrong = slip.forgets && carried !== 0 ? value - carried : value + slip.by
  if (wrong >= least && wrong <= most) return wrong
  return value > least ? value - 1 : value + 1
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
