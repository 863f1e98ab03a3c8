import { endLikeQwen2 } from './pre-tokens.js'

/** Most merges: more tokens would be a large part of a tiny model's parameters. */
const MAX_MERGES = 4000
/** A pair that occurs once is no part of the language. */
const LEAST_COUNT = 2

/** Two tokens that become one, by their ids: a byte is its own id, and the merge number i makes the token 256 + i. */
export type Merge = readonly [left: number, right: number]

/** A pre-token as the tokens that it consists of so far. */
interface Word {
  tokens: number[]
  count: number
}

/**
 * Learns the merges of byte-pair encoding from texts (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016),
 * within pre-tokens as Qwen2 splits them: again and again the most frequent pair of neighbours becomes a token.
 */
export class MergeTrainer {
  private readonly counts = new Map<string, number>()

  add(text: string): void {
    const normal = text.normalize('NFC')
    for (let start = 0; start < normal.length; ) {
      const end = endLikeQwen2(normal, start, normal.length)
      // A line's end stays a token of its own: it is where a model turns to the next step.
      const piece = normal.slice(start, end).replace(/[\r\n]+$/, '')
      this.counts.set(piece, (this.counts.get(piece) ?? 0) + 1)
      start = end
    }
  }

  /** At most 4,000 merges, in the order in which they apply. */
  merges(): Merge[] {
    const words = Array.from(this.counts, ([piece, count]): Word => ({ tokens: [...Buffer.from(piece)], count }))
    const pairs = new PairCounts()
    for (const word of words) pairs.add(word, 1)
    const merges: Merge[] = []
    while (merges.length < MAX_MERGES) {
      const best = pairs.mostFrequent()
      if (best === undefined) break
      const token = 256 + merges.length
      merges.push(best)
      for (const word of pairs.wordsWith(best)) {
        pairs.add(word, -1)
        word.tokens = mergeIn(word.tokens, best, token)
        pairs.add(word, 1)
      }
    }
    return merges
  }
}

export function mergesOf(texts: Iterable<string>): Merge[] {
  const trainer = new MergeTrainer()
  for (const text of texts) trainer.add(text)
  return trainer.merges()
}

/** How often each pair of neighbours occurs, and in which words. */
class PairCounts {
  private readonly pairs = new Map<number, { merge: Merge; count: number; words: Set<Word> }>()

  add(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.tokens.length; i++) {
      const merge: Merge = [word.tokens[i]!, word.tokens[i + 1]!]
      const key = merge[0] * 65_536 + merge[1]
      let pair = this.pairs.get(key)
      if (pair === undefined) {
        pair = { merge, count: 0, words: new Set() }
        this.pairs.set(key, pair)
      }
      pair.count += sign * word.count
      if (sign > 0) pair.words.add(word)
      else pair.words.delete(word)
    }
  }

  /** Of equal ones the one whose tokens came first. */
  mostFrequent(): Merge | undefined {
    let [bestKey, bestCount] = [-1, LEAST_COUNT - 1]
    for (const [key, { count }] of this.pairs)
      if (count > bestCount || (count === bestCount && bestKey >= 0 && key < bestKey)) [bestKey, bestCount] = [key, count]
    return this.pairs.get(bestKey)?.merge
  }

  wordsWith([left, right]: Merge): Word[] {
    return [...this.pairs.get(left * 65_536 + right)!.words]
  }
}

function mergeIn(tokens: readonly number[], [left, right]: Merge, token: number): number[] {
  const merged: number[] = []
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      merged.push(token)
      i++
    } else merged.push(tokens[i]!)
  }
  return merged
}
