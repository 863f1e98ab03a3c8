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
 * calculation, every carry and borrow, every running result, the check and the answer must follow from them.
 *
 * Throws DATA_INVALID_RECORD with the first thing that is wrong.
 */
export function checkChain(chain: CheckedChain): void {
  const asked = readQuestion(chain.question)
  const lines = chain.solution.split('\n')
  expect(lines.length, asked.length + 2, 'the number of lines', chain)

  let result = BigInt(asked[0]!.x)
  let last: Calculation | undefined
  for (const [index, { operation, y }] of asked.entries()) {
    const done = checkWork(lines[index]!, chain)
    expect(done.operation, operation, `the operation of line ${index + 1}`, chain)
    expectNumber(done.x, result, `the first number of line ${index + 1}`, chain)
    expectNumber(done.y, BigInt(y), `the second number of line ${index + 1}`, chain)
    result = calculate(done)
    last = done
  }
  checkInverse(lines.at(-2)!, last!, chain)
  expect(lines.at(-1), `The answer is \\boxed{${result}}.`, 'the last line', chain)
  expect(chain.answer, String(result), 'the answer', chain)
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

/** `Add 017 and 025. Ones: 7+5=12, carry 1, so 2. Tens: 1+2+1=4, so 42. …`, perhaps after an event and `so`. */
function checkWork(line: string, chain: CheckedChain): Calculation {
  const [head, ...columns] = line.replace(/\.$/, '').split('. ')
  const event = /^([A-Z][\w ]*), so (.*)$/.exec(head!)
  const task = /^(?:add (\d+) and (\d+)|subtract (\d+) from (\d+))$/i.exec(event?.[2] ?? head!)
  if (task === null) throw wrong(`expected "add … and …" or "subtract … from …" but received ${JSON.stringify(head)}`, chain)
  const calculation =
    task[1] === undefined ? { operation: '-', x: task[4]!, y: task[3]! } : { operation: '+', x: task[1], y: task[2]! }
  if (event !== null) {
    const { operation, y } = readEvent(event[1]!.charAt(0).toLowerCase() + event[1]!.slice(1))
    expect(operation, calculation.operation, 'what follows from the event', chain)
    expectNumber(calculation.y, BigInt(y), 'the number of the event', chain)
  }

  const result = calculate(calculation)
  const works = columns.map((column, place) => {
    const parts = /^(\w+): (.+), so (\d+)$/.exec(column)
    if (parts === null) throw wrong(`expected a column but received ${JSON.stringify(column)}`, chain)
    expect(parts[1], places[place], `the name of column ${place + 1}`, chain)
    const size = 10n ** BigInt(place + 1)
    expect(parts[3]!.length, place + 1, `the digits of the running result ${parts[3]}`, chain)
    expectNumber(parts[3]!, result % size, `the running result of ${parts[1]}`, chain)
    return parts[2]!
  })
  checkColumns(works, calculation, { namesCarry: true }, chain)
  return calculation
}

/** `Let me check: 4814+0255. 4+5=9; …. It gives 5069, right.` */
function checkInverse(line: string, done: Calculation, chain: CheckedChain): void {
  const parts = /^Let me check: (\d+)([+-])(\d+)\. (.+)\. It gives (\d+), right\.$/.exec(line)
  if (parts === null) throw wrong(`expected a check but received ${JSON.stringify(line)}`, chain)
  const inverse = { x: parts[1]!, operation: parts[2]!, y: parts[3]! }
  expect(inverse.operation, done.operation === '+' ? '-' : '+', 'the operation of the check', chain)
  expectNumber(inverse.x, calculate(done), 'the number that is checked', chain)
  expectNumber(inverse.y, BigInt(done.y), 'the second number of the check', chain)
  expectNumber(parts[5]!, calculate(inverse), 'the result of the check', chain)
  expectNumber(parts[5]!, BigInt(done.x), 'the number that the check leads back to', chain)
  checkColumns(parts[4]!.split('; '), inverse, { namesCarry: false }, chain)
}

/** The written work of each column against the digits of the two numbers; there is one column for each digit. */
function checkColumns(
  works: string[],
  { operation, x, y }: Calculation,
  style: { namesCarry: boolean },
  chain: CheckedChain,
): void {
  expect(works.length, x.length, `the columns of ${x}${operation}${y}`, chain)
  expect(y.length, x.length, `the digits of ${y}`, chain)
  let carried = false
  for (const [place, work] of works.entries()) {
    const [p, q] = [x.at(-1 - place)!, y.at(-1 - place)!]
    const terms = `${q}${carried ? `${operation}1` : ''}`
    const taken: number = Number(q) + Number(carried)
    if (operation === '+') {
      const sum = Number(p) + taken
      carried = sum > 9
      expect(work, `${p}+${terms}=${sum}${carried && style.namesCarry ? ', carry 1' : ''}`, `column ${place + 1}`, chain)
    } else {
      carried = Number(p) < taken
      const plain = `${p}-${terms}`
      const expected = carried ? `${plain}, borrow, 1${p}-${terms}=${Number(`1${p}`) - taken}` : `${plain}=${Number(p) - taken}`
      expect(work, expected, `column ${place + 1}`, chain)
    }
  }
  expect(carried, false, `a carry out of the last column of ${x}${operation}${y}`, chain)
}

function calculate({ operation, x, y }: Calculation): bigint {
  return operation === '+' ? BigInt(x) + BigInt(y) : BigInt(x) - BigInt(y)
}

function expectNumber(text: string, value: bigint, what: string, chain: CheckedChain): void {
  expect(BigInt(text), value, what, chain)
}

function expect(received: unknown, expected: unknown, what: string, chain: CheckedChain): void {
  if (received !== expected) throw wrong(`expected ${expected} for ${what} but received ${received}`, chain)
}

function wrong(problem: string, chain?: CheckedChain): DataError {
  const where = chain === undefined ? '' : ` in the chain for ${JSON.stringify(chain.question)}`
  return new DataError('DATA_INVALID_RECORD', `${problem}${where}.`, { ...chain })
}
