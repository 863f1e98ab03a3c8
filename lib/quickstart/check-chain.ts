import { DataError } from '../errors.js'

/** A record to check: any with these texts. */
interface CheckedChain {
  question: string
  solution: string
  answer: string
}

/** One calculation that a question asks for or a solution does. */
interface Calculation {
  operation: string
  x: string
  y: string
}

const places = ['Ones', 'Tens', 'Hundreds', 'Thousands']

/**
 * Reads a chain as a strict teacher would, from its text alone: the question gives the numbers, and every column of every calculation,
 * every check, carry and borrow, every running result and the answer must follow from them. A column may be wrong once if its check
 * says so and it is done again.
 *
 * Throws DATA_INVALID_RECORD with the first thing that is wrong.
 */
export function checkChain(chain: CheckedChain): { slips: number } {
  const asked = readQuestion(chain.question)
  const lines = new Lines(chain)
  let result = BigInt(asked[0]!.x)
  let width = 0
  let slips = 0
  const [, story, person] = /^((\w+) has .*\.) How many/.exec(chain.question) ?? []
  if (story !== undefined) expect(lines.next(), story, 'the problem said again', chain)
  for (const [index, { operation, y }] of asked.entries()) {
    const place = `calculation ${index + 1}`
    const work = readWork(lines.next(), person, chain)
    expect(work.operation, operation, `the operation of ${place}`, chain)
    expect(BigInt(work.x), result, `the first number of ${place}`, chain)
    expect(BigInt(work.y), BigInt(y), `the second number of ${place}`, chain)
    width = work.x.length
    slips += work.slips
    result = apply(operation, result, BigInt(y))
  }
  const steps = [String(result).padStart(width, '0')]
  for (let text = steps[0]!; text.length > 1 && text.startsWith('0'); text = text.slice(1)) steps.push(text.slice(1))
  expect(lines.next(), `That is ${steps.join(', ')}.`, 'the line before the last', chain)
  expect(lines.next(), `The answer is \\boxed{${result}}.`, 'the last line', chain)
  expect(lines.left, 0, 'the number of lines after the answer', chain)
  expect(chain.answer, String(result), 'the answer', chain)
  return { slips }
}

class Lines {
  readonly #lines: string[]
  #at = 0

  constructor(private readonly chain: CheckedChain) {
    this.#lines = chain.solution.split('\n')
  }

  get left(): number {
    return this.#lines.length - this.#at
  }

  next(): string {
    const line = this.#lines[this.#at++]
    if (line === undefined) throw wrong('expected another line but the solution ends', this.chain)
    return line
  }
}

/** The calculations that a question asks for, each but the first starting from the result of the one before. */
function readQuestion(question: string): Calculation[] {
  const direct = /^(?:What is (\d+) ([+-]) (\d+)\?|Compute (\d+) ([+-]) (\d+)\.)$/.exec(question)
  if (direct !== null) {
    const [x, operation, y] = direct.slice(1).filter((part) => part !== undefined)
    return [{ operation: operation!, x: x!, y: y! }]
  }
  const sum = /^Find the sum of (\d+) and (\d+)\.$/.exec(question)
  if (sum !== null) return [{ operation: '+', x: sum[1]!, y: sum[2]! }]
  const difference = /^Take (\d+) away from (\d+)\.$/.exec(question)
  if (difference !== null) return [{ operation: '-', x: difference[2]!, y: difference[1]! }]

  const story = /^(\w+) has (\d+) (\w+)\. \1 ([\w ]+), then ([\w ]+)\. How many \3 are there now\?$/.exec(question)
  if (story === null) throw wrong(`expected a question that is known but received ${JSON.stringify(question)}`)
  const [first, second] = [readEvent(story[4]!), readEvent(story[5]!)]
  return [
    { ...first, x: story[2]! },
    { ...second, x: '' },
  ]
}

function readEvent(text: string): { operation: string; y: string } {
  const gain = /^(?:buys|finds) (\d+) more$/.exec(text)
  if (gain !== null) return { operation: '+', y: gain[1]! }
  const loss = /^(?:gives away|loses) (\d+)$/.exec(text)
  if (loss !== null) return { operation: '-', y: loss[1]! }
  throw wrong(`expected an event that is known but received ${JSON.stringify(text)}`)
}

/** A calculation as it was written, and how many of its columns were wrong at first. */
interface Work extends Calculation {
  slips: number
}

/** `Add 017 and 025. Ones: 7+5=12 (12-5=7), carry 1, so 2. Tens: …`, in a story after an event and `so`. */
function readWork(line: string, person: string | undefined, chain: CheckedChain): Work {
  const [head, ...columns] = line.replace(/\.$/, '').split('. ')
  const event = /^(\w+) ([\w ]+), so (.*)$/.exec(head!)
  expect(event?.[1], person, 'the person of the story', chain)
  const task = /^(?:add (\d+) and (\d+)|subtract (\d+) from (\d+))$/i.exec(event?.[3] ?? head!)
  if (task === null || !line.endsWith('.'))
    throw wrong(`expected "add … and …" or "subtract … from …" but received ${JSON.stringify(line)}`, chain)
  const first = (event?.[3] ?? head)!.charAt(0)
  expect(first === first.toUpperCase(), event === null, 'the capital letter that a line begins with', chain)
  const [operation, x, y] = task[1] === undefined ? ['-', task[4]!, task[3]!] : ['+', task[1], task[2]!]
  if (event !== null) {
    const read = readEvent(event[2]!)
    expect(read.operation, operation, 'what follows from the event', chain)
    expect(BigInt(read.y), BigInt(y), 'the number of the event', chain)
  }
  expect(y.length, x.length, `the digits of ${y}`, chain)
  expect(columns.length, x.length, `the columns of ${x}${operation}${y}`, chain)

  let result = ''
  let carried = 0
  let slips = 0
  for (const [place, column] of columns.entries()) {
    const parts = /^(\w+): (.+), so (\d+)$/.exec(column)
    if (parts === null) throw wrong(`expected a column but received ${JSON.stringify(column)}`, chain)
    expect(parts[1], places[place], `the name of column ${place + 1}`, chain)
    const done = readColumn(parts[2]!, { operation, p: Number(x.at(-1 - place)), q: Number(y.at(-1 - place)), carried }, chain)
    slips += done.slips
    carried = done.carry
    result = `${done.digit}${result}`
    expect(parts[3], result, `the running result of ${parts[1]}`, chain)
  }
  expect(carried, 0, `a carry out of the last column of ${x}${operation}${y}`, chain)
  return { operation, x, y, slips }
}

interface Column {
  operation: string
  p: number
  q: number
  carried: number
}

/** `0-2, borrow, 10-2=8 (8+2=10)`, `7+5=12 (12-5=7), carry 1`; before that perhaps a fact that its check refuses: `7+5=13 (13-5=8, no)`. */
function readColumn(work: string, { operation, p, q, carried }: Column, chain: CheckedChain) {
  const sign = operation === '+' ? 1 : -1
  const taken = carried ? `${operation}1` : ''
  const borrows = sign < 0 && p - q - carried < 0
  const top = borrows ? p + 10 : p
  const right = top + sign * (q + carried)
  let rest = work
  const take = (expected: string, what: string) => {
    expect(rest.slice(0, expected.length), expected, what, chain)
    rest = rest.slice(expected.length)
  }
  if (borrows) take(`${p}-${q}${taken}, borrow, `, `the borrow of ${p}-${q}`)
  let slips = 0
  for (;;) {
    take(`${top}${operation}${q}${taken}=`, `the work on ${p} and ${q}`)
    const said = /^\d+/.exec(rest)?.[0] ?? ''
    const value = Number(said)
    take(`${value} (`, `what ${top}${operation}${q}${taken} gives`)
    const inverse = operation === '+' ? '-' : '+'
    take(`${value}${inverse}${q}${carried ? `${inverse}1` : ''}=${value - sign * (q + carried)}`, `the check of ${value}`)
    if (value === right) break
    take(', no), ', `that the check refuses ${value}`)
    expect(value >= 0 && value <= (sign > 0 ? 19 : 9), true, `that a column can give ${value}`, chain)
    slips += 1
    expect(slips, 1, `the slips of ${top}${operation}${q}`, chain)
  }
  take(')', `the end of the check of ${right}`)
  const carry = sign > 0 ? Number(right > 9) : Number(borrows)
  expect(rest, sign > 0 && carry ? ', carry 1' : '', `what follows ${top}${operation}${q}${taken}=${right}`, chain)
  return { digit: right % 10, carry, slips }
}

function apply(operation: string, x: bigint, y: bigint): bigint {
  return operation === '+' ? x + y : x - y
}

function expect(received: unknown, expected: unknown, what: string, chain: CheckedChain): void {
  if (received !== expected) throw wrong(`expected ${expected} for ${what} but received ${received}`, chain)
}

function wrong(problem: string, chain?: CheckedChain): DataError {
  const where = chain === undefined ? '' : ` in the chain for ${JSON.stringify(chain.question)}`
  return new DataError('DATA_INVALID_RECORD', `${problem}${where}.`, { ...chain })
}
