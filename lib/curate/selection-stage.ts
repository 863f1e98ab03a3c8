import { join } from 'node:path'
import { Random } from '../random/random.js'
import type { CurateRow } from './curate-row.js'
import { groupBy } from './group-by.js'
import { KeyedRows, RowSet } from './partitions.js'
import { Pauses } from './pauses.js'
import { levelCount, type Problems, writeLevels } from './quality-levels.js'
import { RowStore } from './row-store.js'
import { Scores } from './scores.js'
import type { StageContext } from './stage.js'
import { partitionKey, textKey } from './text.js'
import { Topics } from './topics.js'

export interface SelectionOptions {
  /** Number of problems to take; all when absent. */
  count?: number | undefined
  /** Stratification: equal numbers of problems from each topic and difficulty, as far as there are enough. */
  spread: ('topics' | 'difficulty')[]
  topics: number
  /** Number of problems per quality level, for the five files of levels; 0: no files. */
  levels: number
}

/** Sample size for fitting topics. */
const SAMPLE = 20_000

/**
 * Takes the best chain of each problem, and then the best problems. With `spread`, problems are put into groups by topic and
 * difficulty and the best of each group are taken in turns.
 */
export async function runSelection(context: StageContext, options: SelectionOptions, folder: string): Promise<void> {
  const { rows, out, temporary, signal } = context
  const store = new RowStore(join(temporary, 'rows.jsonl'))
  const byProblem = new KeyedRows(join(temporary, 'problems'))
  const scores = new Scores()
  try {
    for await (const row of rows()) {
      signal?.throwIfAborted()
      byProblem.add(partitionKey(textKey(row.question)), store.count)
      scores.add(scoreOf(row))
      store.add(row)
    }
    store.finish()
    const pauses = new Pauses(signal)
    const problems = await bestChains(byProblem, { store, scores, pauses })
    const groups =
      options.spread.length === 0
        ? undefined
        : await groupProblems(store, problems.better, { ...options, seed: context.seed, pauses })
    const chosen = takeBest(store.count, problems.better, { scores, groups: groups?.of, count: options.count })
    let index = -1
    for (const row of store.all<CurateRow>()) {
      index += 1
      if (pauses.isDue) await pauses.pause()
      const score = scores.of(index)
      const better = problems.better.get(index)
      const group = groups === undefined ? {} : { group: groups.names[groups.of[index]!] }
      if (better !== undefined) {
        const { place } = store.read<CurateRow>(better).curation
        const message = `another chain of the same problem is better: ${place} scores ${scores.of(better)}, this one ${score}`
        out.drop(row, { code: 'not the best chain', message, better: place, score })
      } else if (chosen.has(index)) out.keep(row, { score, ...group })
      else {
        const message = `score ${score}: not among the ${options.count} that were taken${groups === undefined ? '' : ` (${group.group})`}`
        out.drop(row, { code: 'not selected', message, score, ...group })
      }
    }
    out.summary.facts = {
      problems: store.count - problems.better.size,
      ...(groups && {
        groups: groups.names.map((name, group) => ({ name, ...countGroup(groups.of, group, problems.better, chosen) })),
      }),
      ...(options.levels > 0 && { levels: writeLevels(store, problems, { scores, folder, count: options.levels }) }),
    }
  } finally {
    store.close()
  }
}

/** Ranking without a quality stage before: the column `score`, or the order of the rows. */
function scoreOf({ curation, score }: CurateRow): number {
  const value = curation.quality?.score ?? score
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

async function bestChains(
  byProblem: KeyedRows,
  { store, scores, pauses }: { store: RowStore; scores: Scores; pauses: Pauses },
): Promise<Problems> {
  const better = new Map<number, number>()
  const rich: number[][] = []
  for (const group of byProblem.groups()) {
    if (pauses.isDue) await pauses.pause()
    const byText = groupBy(group, (row) => textKey(store.read<CurateRow>(row).question))
    for (const rows of byText.values()) {
      // Higher score first; ties by row.
      const worstFirst = rows.toSorted((a, b) => scores.of(a) - scores.of(b) || b - a)
      const best = worstFirst.at(-1)!
      for (const row of rows) if (row !== best) better.set(row, best)
      if (rows.length >= levelCount) rich.push(worstFirst)
    }
  }
  return { better, rich: rich.sort((a, b) => a.at(-1)! - b.at(-1)!) }
}

interface GroupOptions extends Pick<SelectionOptions, 'spread' | 'topics'> {
  seed: number
  pauses: Pauses
}

interface Groups {
  /** The group of each row. */
  of: Uint32Array
  names: string[]
}

async function groupProblems(store: RowStore, better: ReadonlyMap<number, number>, options: GroupOptions): Promise<Groups> {
  const { spread, pauses } = options
  const topicsOf = spread.includes('topics') ? await fitTopics(store, better, options) : undefined
  const of = new Uint32Array(store.count)
  const numbers = new Map<string, number>()
  let index = 0
  for (const row of store.all<CurateRow>()) {
    if (pauses.isDue) await pauses.pause()
    const parts: string[] = []
    if (topicsOf !== undefined) {
      const topic = topicsOf.assign(row.question)
      parts.push(`topic ${topic + 1}: ${topicsOf.labels[topic]!.join(' ')}`)
    }
    if (spread.includes('difficulty')) parts.push(difficultyOf(row))
    const name = parts.join(', ')
    if (!numbers.has(name)) numbers.set(name, numbers.size)
    of[index++] = numbers.get(name)!
  }
  return { of, names: [...numbers.keys()] }
}

function difficultyOf({ curation }: CurateRow): string {
  const solved = curation.difficulty?.solved.at(-1)
  if (solved === undefined) return 'difficulty not known'
  return solved.attempts === 0 ? 'never tried' : `solved ${solved.solved} of ${solved.attempts} times`
}

/** Fits topics to a uniform sample of the problems. */
async function fitTopics(store: RowStore, better: ReadonlyMap<number, number>, options: GroupOptions): Promise<Topics> {
  const random = new Random(options.seed, 18)
  const sample: string[] = []
  let [index, seen] = [-1, 0]
  for (const { question } of store.all<CurateRow>()) {
    index += 1
    if (options.pauses.isDue) await options.pauses.pause()
    if (better.has(index)) continue
    seen += 1
    // Reservoir sampling (Vitter's algorithm R)
    if (sample.length < SAMPLE) sample.push(question)
    else {
      const place = random.below(seen)
      if (place < SAMPLE) sample[place] = question
    }
  }
  return Topics.fit(sample, options)
}

interface Choice {
  scores: Scores
  groups: Uint32Array | undefined
  count: number | undefined
}

/** The best of all, or the best of each group in turns, the group with the best next one first. */
function takeBest(rows: number, better: ReadonlyMap<number, number>, { scores, groups, count }: Choice): RowSet {
  const chosen = new RowSet()
  const candidates: number[] = []
  for (let row = 0; row < rows; row++) {
    if (better.has(row)) continue
    if (count === undefined) chosen.add(row)
    else candidates.push(row)
  }
  if (count === undefined) return chosen
  const order = Uint32Array.from(candidates).sort((a, b) => scores.of(b) - scores.of(a) || a - b)
  const taken = groups === undefined ? order.subarray(0, count) : inTurns(order, groups, count)
  for (const row of taken) chosen.add(row)
  return chosen
}

function inTurns(order: Uint32Array, groups: Uint32Array, count: number): number[] {
  const byGroup = groupBy(order, (row) => groups[row]!)
  const taken: number[] = []
  for (let turn = 0; taken.length < count; turn++) {
    const next = [...byGroup.values()].flatMap((rows) => rows.slice(turn, turn + 1))
    if (next.length === 0) break
    // The groups are in the order of their best problem.
    taken.push(...next.slice(0, count - taken.length))
  }
  return taken
}

function countGroup(of: Uint32Array, group: number, better: ReadonlyMap<number, number>, chosen: RowSet) {
  let [problems, kept] = [0, 0]
  for (const [row, own] of of.entries()) {
    if (own !== group || better.has(row)) continue
    problems += 1
    if (chosen.has(row)) kept += 1
  }
  return { problems, kept }
}
