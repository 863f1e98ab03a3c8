import { DataError } from '../errors.js'

/** What is checked: any record with these texts. */
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
 * Reads a chain as a strict teacher would, from its text alone: the question gives the numbers, and every column of every
 * calculation, every carry and borrow, every running result, every check and the answer must follow from them. A calculation may
 * have one wrong column if its check stops there, says so, and it is done again without.
 *
 * Throws DATA_INVALID_RECORD with the first thing that is wrong.
 */
export function checkChain(chain: CheckedChain): { slips: number } {
  const asked = readQuestion(chain.question)
  const lines = new Lines(chain)
  let result = BigInt(asked[0]!.x)
  let width = 0
  let slips = 0
  for (const [index, { operation, y }] of asked.entries()) {
    const place = `calculation ${index + 1}`
    for (let attempt = 0; ; attempt++) {
      const work = readWork(lines.next(), attempt === 0, chain)
      expect(work.operation, operation, `the operation of ${place}`, chain)
      expect(BigInt(work.x), result, `the first number of ${place}`, chain)
      expect(BigInt(work.y), BigInt(y), `the second number of ${place}`, chain)
      width = work.x.length
      const isRight = checkInverse(lines.next(), work, chain)
      expect(work.wrong, isRight ? 0 : 1, `the wrong columns of ${place}`, chain)
      if (isRight) break
      expect(attempt, 0, `the slips of ${place} before this one`, chain)
      slips += 1
    }
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

/** A calculation as it was written: what it says the result is, and in how many columns that is wrong. */
interface Work extends Calculation {
  result: string
  wrong: number
}

/** `Add 017 and 025. Ones: 7+5=12, carry 1, so 2. Tens: 1+2+1=4, so 42. …`, at first perhaps after an event and `so`. */
function readWork(line: string, isFirst: boolean, chain: CheckedChain): Work {
  const [head, ...columns] = line.replace(/\.$/, '').split('. ')
  const event = isFirst ? /^([A-Z][\w ]*), so (.*)$/.exec(head!) : null
  const task = /^(?:add (\d+) and (\d+)|subtract (\d+) from (\d+))$/i.exec(event?.[2] ?? head!)
  if (task === null || !line.endsWith('.'))
    throw wrong(`expected "add … and …" or "subtract … from …" but received ${JSON.stringify(line)}`, chain)
  const first = (event?.[2] ?? head)!.charAt(0)
  expect(first === first.toUpperCase(), event === null, 'the capital letter that a line begins with', chain)
  const [operation, x, y] = task[1] === undefined ? ['-', task[4]!, task[3]!] : ['+', task[1], task[2]!]
  if (event !== null) {
    const read = readEvent(event[1]!.charAt(0).toLowerCase() + event[1]!.slice(1))
    expect(read.operation, operation, 'what follows from the event', chain)
    expect(BigInt(read.y), BigInt(y), 'the number of the event', chain)
  }
  expect(y.length, x.length, `the digits of ${y}`, chain)
  expect(columns.length, x.length, `the columns of ${x}${operation}${y}`, chain)

  let result = ''
  let carried = 0
  let wrongColumns = 0
  for (const [place, column] of columns.entries()) {
    const parts = /^(\w+): (.+), so (\d+)$/.exec(column)
    if (parts === null) throw wrong(`expected a column but received ${JSON.stringify(column)}`, chain)
    expect(parts[1], places[place], `the name of column ${place + 1}`, chain)
    const done = readColumn(
      parts[2]!,
      { operation, p: x.at(-1 - place)!, q: y.at(-1 - place)!, carried, namesCarry: true },
      chain,
    )
    if (!done.isRight) wrongColumns += 1
    carried = done.carry
    result = `${done.digit}${result}`
    expect(parts[3], result, `the running result of ${parts[1]}`, chain)
  }
  if (wrongColumns === 0) expect(carried, 0, `a carry out of the last column of ${x}${operation}${y}`, chain)
  return { operation, x, y, result, wrong: wrongColumns }
}

/** `Check 4814+0255=5069: 4+5=9 (9); …. Right.`, or up to the first column that differs: `2+5=7 (6), no. Wrong, again.` */
function checkInverse(line: string, work: Work, chain: CheckedChain): boolean {
  const parts = /^Check (\d+)([+-])(\d+)=(\d+): (.+)\. (Right|Wrong, again)\.$/.exec(line)
  if (parts === null) throw wrong(`expected a check but received ${JSON.stringify(line)}`, chain)
  const [, result, operation, y, x, text, verdict] = parts as unknown as string[]
  expect(operation, work.operation === '+' ? '-' : '+', 'the operation of the check', chain)
  expect(result, work.result, 'the number that is checked', chain)
  expect(y, work.y, 'the second number of the check', chain)
  expect(x, work.x, 'the number that the check leads back to', chain)
  const columns = text!.split('; ')
  let carried = 0
  for (const [place, column] of columns.entries()) {
    const match = /^(.+) \((\d)\)(, no)?$/.exec(column)
    if (match === null)
      throw wrong(`expected a column and the digit it should give but received ${JSON.stringify(column)}`, chain)
    const [p, q] = [result!.at(-1 - place)!, y!.at(-1 - place)!]
    const done = readColumn(match[1]!, { operation: operation!, p, q, carried, namesCarry: false }, chain)
    expect(done.isRight, true, `that ${match[1]} is right`, chain)
    expect(match[2], x!.at(-1 - place), `the digit of ${x} in column ${place + 1}`, chain)
    const fits = done.digit === Number(match[2])
    expect(match[3] === undefined, fits, `that the check sees whether ${match[1]} gives ${match[2]}`, chain)
    carried = done.carry
    if (fits) continue
    expect(place, columns.length - 1, 'the last column of a check that fails', chain)
    expect(verdict, 'Wrong, again', 'the end of the check', chain)
    return false
  }
  expect(columns.length, x!.length, `the columns of the check of ${result}`, chain)
  expect(verdict, 'Right', 'the end of the check', chain)
  return true
}

interface Column {
  operation: string
  p: string
  q: string
  carried: number
  /** Whether a carry is said. */
  namesCarry: boolean
}

/** The written work of one column against its digits; only the number that comes out may be wrong. */
function readColumn(work: string, column: Column, chain: CheckedChain): { digit: number; carry: number; isRight: boolean } {
  const { operation, p, q, carried, namesCarry } = column
  const terms = `${q}${carried ? `${operation}1` : ''}`
  const taken = Number(q) + carried
  const borrows = operation === '-' && Number(p) < taken
  const [, written = '', said = ''] = /^(.*=)(\d+(?:, carry 1)?)$/.exec(work) ?? []
  expect(
    written,
    borrows ? `${p}-${terms}, borrow, 1${p}-${terms}=` : `${p}${operation}${terms}=`,
    `the work on ${p} and ${q}`,
    chain,
  )
  const value = Number.parseInt(said, 10)
  if (operation === '-') {
    expect(said, String(value), `what comes out of ${written}`, chain)
    expect(value <= 9, true, `that ${value} is a digit`, chain)
    return { digit: value, carry: borrows ? 1 : 0, isRight: value === Number(p) - taken + (borrows ? 10 : 0) }
  }
  expect(said, `${value}${value > 9 && namesCarry ? ', carry 1' : ''}`, `what comes out of ${written}`, chain)
  expect(value <= 19, true, `that ${value} is a digit and a carry`, chain)
  return { digit: value % 10, carry: value > 9 ? 1 : 0, isRight: value === Number(p) + taken }
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
