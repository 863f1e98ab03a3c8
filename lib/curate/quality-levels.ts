import { join } from 'node:path'
import type { CurateRow } from './curate-row.js'
import { LineWriter, type RowStore } from './row-store.js'
import type { Scores } from './scores.js'

/** The paper's ablation compares five. */
export const levelCount = 5

/** The chains of a pool, by problem. */
export interface Problems {
  /** For each row that is not the best of its problem: the best one. */
  better: Map<number, number>
  /** Rows of problems with at least five chains, from the worst to the best. */
  rich: number[][]
}

/**
 * Five files of chains, `level-1.jsonl` the worst to `level-5.jsonl` the best, as in the paper's comparison of qualities. Where enough
 * problems have five chains or more, each level has one chain of each of them, at the same rank among the problem's chains; else
 * the best chains of all problems are cut into fifths.
 */
export function writeLevels(
  store: RowStore,
  { better, rich }: Problems,
  { scores, folder, count }: { scores: Scores; folder: string; count: number },
): { by: 'problems' | 'pool'; chains: number; means: number[] } {
  const isByProblem = rich.length >= Math.min(count, 10)
  const levels: number[][] = Array.from({ length: levelCount }, () => [])
  if (isByProblem) {
    for (const chains of rich.slice(0, count)) {
      for (const [level, rows] of levels.entries())
        rows.push(chains[Math.round((level * (chains.length - 1)) / (levelCount - 1))]!)
    }
  } else {
    const best = Array.from({ length: store.count }, (_, row) => row).filter((row) => !better.has(row))
    const worstFirst = best.sort((a, b) => scores.of(a) - scores.of(b) || b - a)
    const size = Math.floor(worstFirst.length / levelCount)
    for (const [level, rows] of levels.entries()) {
      // The middle of each fifth.
      const fifth = worstFirst.slice(level * size, (level + 1) * size)
      const skip = Math.max(0, Math.floor((fifth.length - count) / 2))
      rows.push(...fifth.slice(skip, skip + count).sort((a, b) => a - b))
    }
  }
  const means = levels.map((rows, level) => {
    const writer = new LineWriter(join(folder, `level-${level + 1}.jsonl`))
    for (const row of rows) writer.add(JSON.stringify(store.read<CurateRow>(row)))
    writer.close()
    const mean = rows.reduce((sum, row) => sum + scores.of(row), 0) / Math.max(1, rows.length)
    return Math.round(mean * 1e4) / 1e4
  })
  return { by: isByProblem ? 'problems' : 'pool', chains: levels[0]!.length, means }
}
