import { join } from 'node:path'
import type { CurateRow } from './curate-row.js'
import { bandsOf, jaccard, shinglesOf } from './min-hash.js'
import { KeyedRows } from './partitions.js'
import { Pauses } from './pauses.js'
import { RowStore } from './row-store.js'
import type { StageContext } from './stage.js'
import { partitionKey, signatureOf, textKey, wordsOf } from './text.js'

export interface PoolOptions {
  /** Whether near-duplicate problems are dropped too. */
  nearDuplicates: boolean
  /** Threshold of the Jaccard similarity for near-duplicates. */
  similarity: number
  /** Words of a shingle. */
  shingleWords: number
}

/** Most rows of a group that others are compared with: a larger group is one text over and over. */
const MOST_COMPARED = 32
/** Most earlier rows that are remembered as candidates for one row. */
const MOST_KEPT = 8

/**
 * Deduplicates. Among rows with the same normalised question and chain the first is kept. Among near-duplicate questions
 * (MinHash, then the exact Jaccard similarity of their shingles, and the same numbers and symbols) the first is kept. Rows with
 * another chain for the very same question stay: the selection takes the best of them.
 *
 * Rows and keys are on disk. Memory: a few bits per row, and a few dozen bytes per pair of duplicates.
 */
export async function runPool(context: StageContext, options: PoolOptions): Promise<void> {
  const { rows, out, temporary } = context
  const store = new RowStore(join(temporary, 'rows.jsonl'))
  const byChain = new KeyedRows(join(temporary, 'chains'))
  const byQuestion = new KeyedRows(join(temporary, 'questions'))
  try {
    for await (const row of rows()) {
      context.signal?.throwIfAborted()
      byQuestion.add(partitionKey(textKey(row.question)), store.count)
      byChain.add(partitionKey(chainKey(row)), store.count)
      store.add(row)
    }
    store.finish()
    const read = (row: number) => store.read<CurateRow>(row)
    const pauses = new Pauses(context.signal)
    const duplicates = await sameText(byChain, pauses, (row) => chainKey(read(row)))
    const repeated = await sameText(byQuestion, pauses, (row) => textKey(read(row).question))
    const near = options.nearDuplicates ? await findNear(context, store, repeated, options) : new Map<number, NearDuplicate>()
    let problems = 0
    let index = -1
    for (const row of store.all<CurateRow>()) {
      index += 1
      if (pauses.isDue) await pauses.pause()
      const first = duplicates.get(index)
      const firstQuestion = repeated.get(index) ?? index
      const similar = near.get(firstQuestion)
      if (first !== undefined) {
        const { place } = read(first).curation
        const message = `the same question${row.solution === undefined ? '' : ' and chain'} as ${place}`
        out.drop(row, { code: 'duplicate', message, of: place })
      } else if (similar !== undefined) {
        const { place } = read(similar.first).curation
        const message = `nearly the question of ${place}: Jaccard similarity ${similar.similarity}, with the same numbers and symbols`
        out.drop(row, { code: 'near-duplicate', message, of: place, similarity: similar.similarity })
      } else {
        if (firstQuestion === index) {
          problems += 1
          out.keep(row, { reason: 'no earlier row has this question' })
        } else out.keep(row, { reason: 'another chain for an earlier question', of: read(firstQuestion).curation.place })
      }
    }
    out.summary.facts = { problems }
  } finally {
    store.close()
  }
}

/** Identity of a row: its question and its chain or, where it has none, its attempts. */
function chainKey({ question, solution, attempts }: CurateRow): string {
  return `${textKey(question)}\n${solution === undefined ? JSON.stringify(attempts ?? '') : textKey(solution)}`
}

/** Rows whose text is that of an earlier row, and which that is. */
async function sameText(keyed: KeyedRows, pauses: Pauses, textOf: (row: number) => string): Promise<Map<number, number>> {
  const firsts = new Map<number, number>()
  for (const group of keyed.groups()) {
    if (pauses.isDue) await pauses.pause()
    const seen = new Map<string, number>()
    for (const row of group) {
      const text = textOf(row)
      const first = seen.get(text)
      if (first === undefined) seen.set(text, row)
      else firsts.set(row, first)
    }
  }
  return firsts
}

interface NearDuplicate {
  first: number
  similarity: number
}

async function findNear(
  { temporary, signal }: StageContext,
  store: RowStore,
  repeated: ReadonlyMap<number, number>,
  { similarity: least, shingleWords }: PoolOptions,
): Promise<Map<number, NearDuplicate>> {
  const bands = new KeyedRows(join(temporary, 'bands'))
  const pauses = new Pauses(signal)
  let index = 0
  for (const { question } of store.all<CurateRow>()) {
    if (pauses.isDue) await pauses.pause()
    // The first of the rows with the same question represents them all.
    if (!repeated.has(index)) {
      const words = wordsOf(question)
      for (const band of bandsOf(shinglesOf(words, shingleWords), signatureOf(question))) bands.add(band, index)
    }
    index += 1
  }
  /** For each row, its near-duplicates among earlier rows. */
  const likeEarlier = new Map<number, NearDuplicate[]>()
  for (const group of bands.groups()) {
    if (pauses.isDue) await pauses.pause()
    const compared: { row: number; signature: string; shingles: Set<number> }[] = []
    for (const row of group) {
      const { question } = store.read<CurateRow>(row)
      const shingles = shinglesOf(wordsOf(question), shingleWords)
      const signature = signatureOf(question)
      for (const earlier of compared) {
        const known = likeEarlier.get(row) ?? []
        if (earlier.signature !== signature || known.length >= MOST_KEPT || known.some(({ first }) => first === earlier.row))
          continue
        const similarity = Math.round(jaccard(earlier.shingles, shingles) * 1e4) / 1e4
        if (similarity >= least) likeEarlier.set(row, [...known, { first: earlier.row, similarity }])
      }
      if (compared.length < MOST_COMPARED) compared.push({ row, signature, shingles })
    }
  }
  // In the order of the later row, so that a row is only dropped for one that stays.
  const near = new Map<number, NearDuplicate>()
  for (const [second, earlier] of [...likeEarlier].sort(([a], [b]) => a - b)) {
    const kept = earlier.filter(({ first }) => !near.has(first)).sort((a, b) => a.first - b.first)
    if (kept[0] !== undefined) near.set(second, kept[0])
  }
  return near
}
