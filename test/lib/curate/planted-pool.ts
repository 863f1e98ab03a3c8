import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../../lib/random/random.js'

/** What a row of the pool was made to be. */
export type Plant = 'base' | 'duplicate' | 'near-duplicate' | 'contaminated' | 'wrong answer' | 'malformed'

export interface PlantedPool {
  pool: string
  evaluation: string
  /** The row of each line, from 1. */
  plants: Map<number, { plant: Plant; of?: number; evaluation?: number }>
}

const names =
  'Ava Ben Cleo Dan Ella Finn Gina Hugo Iris Jack Kira Leo Mona Nils Olga Paul Rosa Sam Tara Uma Viktor Wanda Yuri Zoe'.split(' ')
const things =
  'apples bricks candles drums eggs flags gloves hats jars kites lamps marbles nails pens ropes shells tickets vases'.split(' ')
const places = 'market harbour station library garden stadium bakery museum airport theatre factory school'.split(' ')

/** Problems of 35 to 60 words; what differs between two of one kind are names, things, places and, always, the numbers. */
const templates: ((
  n: number[],
  w: { name: string; other: string; thing: string; place: string },
) => { question: string; answer: number })[] = [
  (n, w) => ({
    question:
      `Early in the morning ${w.name} carries ${n[0]} ${w.thing} to the ${w.place} and meets ${w.other} there, who has already put ${n[1]} of them on a large table. ` +
      `Until the evening they sell ${n[2]} and give the rest in equal parts to ${n[3]} children of the street. How many ${w.thing} are given away in all?`,
    answer: n[0]! + n[1]! - n[2]!,
  }),
  (n, w) => ({
    question:
      `The owner of the ${w.place} pays ${w.name} a wage of ${n[0]} dollars for each week of work and adds a bonus of ${n[1]} dollars at the end of a month. ` +
      `After ${n[2]} weeks and one bonus, ${w.name} spends ${n[3]} dollars on ${w.thing} for ${w.other}. How many dollars are left over after that purchase?`,
    answer: n[0]! * n[2]! + n[1]! - n[3]!,
  }),
  (n, w) => ({
    question:
      `A train with ${n[0]} passengers leaves the ${w.place}; at the first stop ${n[1]} people get on and nobody gets off, while at the second stop ${n[2]} people get off. ` +
      `${w.name} and ${w.other} count ${n[3]} suitcases full of ${w.thing} in the last carriage. How many passengers does the train carry when it arrives?`,
    answer: n[0]! + n[1]! - n[2]!,
  }),
  (n, w) => ({
    question:
      `For a festival near the ${w.place}, ${w.name} packs ${w.thing} into boxes that hold exactly ${n[0]} each and fills ${n[1]} boxes completely before lunch. ` +
      `In the afternoon ${w.other} fills ${n[2]} more boxes of the same kind, but ${n[3]} pieces break on the way. How many whole ${w.thing} reach the festival?`,
    answer: n[0]! * (n[1]! + n[2]!) - n[3]!,
  }),
]

const evaluationWords = (
  'polynomial circle triangle tangent prime divisor sequence matrix vertex integer parabola hexagon logarithm remainder ' +
  'perimeter diagonal median altitude quadratic symmetric modulo chord radius interior lattice permutation subset recursion'
).split(' ')

/** Writes a pool of `count` rows and a set of evaluation questions, with plants in known places: 1 in 10 rows is one. */
export function writePlantedPool(folder: string, count: number, seed: number): PlantedPool {
  const random = new Random(seed)
  const paths = { pool: join(folder, 'pool.jsonl'), evaluation: join(folder, 'evaluation.jsonl') }
  const questions = Array.from({ length: 300 }, () => Array.from({ length: 24 }, () => random.pick(evaluationWords)).join(' '))
  write(paths.evaluation, (add) => {
    for (const [id, problem] of questions.entries()) add(JSON.stringify({ id, problem: `Let ${problem}.`, answer: id }))
  })
  const plants: PlantedPool['plants'] = new Map()
  const used = new Set<string>()
  /** Some base rows to plant from, with their lines. */
  const recent: { line: number; question: string; solution: string; answer: string }[] = []
  write(paths.pool, (add) => {
    for (let line = 1; line <= count; line++) {
      const base = recent.length === 0 || random.below(10) > 0 ? undefined : random.pick(recent)
      if (base === undefined) {
        const row = newProblem(random, used)
        if (recent.length < 2000) recent.push({ line, ...row })
        else recent[random.below(recent.length)] = { line, ...row }
        plants.set(line, { plant: 'base' })
        add(JSON.stringify(row))
        continue
      }
      const plant = random.pick(['duplicate', 'near-duplicate', 'contaminated', 'wrong answer', 'malformed'] as const)
      if (plant === 'duplicate') {
        plants.set(line, { plant, of: base.line })
        add(
          JSON.stringify({
            question: respelled(base.question, random),
            solution: respelled(base.solution, random),
            answer: base.answer,
          }),
        )
      } else if (plant === 'near-duplicate') {
        plants.set(line, { plant, of: base.line })
        add(
          JSON.stringify({
            ...base,
            line: undefined,
            question: reworded(base.question, random),
            solution: `${base.solution} Done ${line}.`,
          }),
        )
      } else if (plant === 'contaminated') {
        const evaluation = random.below(questions.length)
        const words = questions[evaluation]!.split(' ')
        const start = random.below(words.length - 15)
        const row = newProblem(random, used)
        plants.set(line, { plant, evaluation: evaluation + 1 })
        add(
          JSON.stringify({
            ...row,
            question: `${row.question} Here ${words
              .slice(start, start + 15)
              .join('  ')
              .toUpperCase()} holds.`,
          }),
        )
      } else if (plant === 'wrong answer') {
        const row = newProblem(random, used)
        plants.set(line, { plant })
        add(JSON.stringify({ ...row, answer: String(Number(row.answer) + 1 + random.below(9)) }))
      } else {
        plants.set(line, { plant })
        add(random.pick(['{"question": "cut', '[1, 2]', '{"title": "no question"}', '{"question": " "}']))
      }
    }
  })
  return { ...paths, plants }
}

function write(path: string, fill: (add: (line: string) => void) => void): void {
  const file = openSync(path, 'w')
  let lines: string[] = []
  const flush = () => {
    writeSync(file, lines.join(''))
    lines = []
  }
  fill((line) => {
    lines.push(`${line}\n`)
    if (lines.length === 2000) flush()
  })
  flush()
  closeSync(file)
}

function newProblem(random: Random, used: Set<string>): { question: string; solution: string; answer: string } {
  for (;;) {
    const numbers = [20 + random.below(900), 20 + random.below(900), 2 + random.below(18), 2 + random.below(40)]
    const key = numbers.toSorted((a, b) => a - b).join()
    if (used.has(key)) continue
    used.add(key)
    const words = { name: random.pick(names), other: random.pick(names), thing: random.pick(things), place: random.pick(places) }
    const { question, answer } = random.pick(templates)(numbers, words)
    const doubts = Array.from(
      { length: random.below(4) },
      () => 'Wait, let me check that again, perhaps a number was read wrongly.',
    )
    const solution = `We are given ${numbers.join(', ')}. ${doubts.join(' ')} Therefore the result follows, since nothing else changes. The answer is \\boxed{${answer}}.`
    return { question, solution, answer: String(answer) }
  }
}

/** The same text in another spelling. */
function respelled(text: string, random: Random): string {
  const ways: ((text: string) => string)[] = [
    (plain) => plain.toUpperCase(),
    (plain) => `  ${plain.replaceAll(' ', '  ')}\n`,
    (plain) => plain.replaceAll(/(\d+)/g, '$$$1$$'),
    (plain) => plain.replaceAll(',', ' ,').replaceAll('.', ' . '),
    (plain) => plain.replaceAll(/(\d+)/g, '\\text{$1}\\,'),
  ]
  return random.pick(ways)(text)
}

/** One or two words added, changed or left out; no number. Of 35 words or more, at least 0.7 of the shingles of three stay. */
function reworded(text: string, random: Random): string {
  const words = text.split(' ')
  if (random.below(2) === 0) {
    const at = 3 + random.below(words.length - 6)
    const way = random.below(3)
    if (way === 0 || /\d/.test(words[at]!)) words.splice(at, 0, 'quietly')
    else if (way === 1) words[at] = 'really'
    else words.splice(at, 1)
  }
  words.splice(2, 0, 'indeed')
  return words.join(' ')
}
