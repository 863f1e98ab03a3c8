import { endLikeGpt2 } from './pre-tokens.js'

/** Most words: more would be a large part of a tiny model's parameters. */
const MAX_WORDS = 4000

/**
 * Counts the words of texts: all pieces of the tokenizer's splitting pattern that are longer than a byte and have no digit, which stay
 * alone.
 */
export class WordCounter {
  private readonly counts = new Map<string, number>()

  add(text: string): void {
    for (let start = 0; start < text.length; ) {
      const end = endLikeGpt2(text, start, text.length)
      const piece = text.slice(start, end)
      start = end
      // Skipped: a piece that is no whole character decodes to the replacement character.
      if (!/\p{N}/u.test(piece) && Buffer.byteLength(piece) > 1 && Buffer.from(piece).toString() === piece)
        this.counts.set(piece, (this.counts.get(piece) ?? 0) + 1)
    }
  }

  /** Different words so far. */
  get size(): number {
    return this.counts.size
  }

  /** The most frequent words, at most 4,000, by how often they occur. */
  words(): string[] {
    return Array.from(this.counts)
      .sort(([a, many], [b, few]) => few - many || (a < b ? -1 : 1))
      .slice(0, MAX_WORDS)
      .map(([word]) => word)
  }
}

export function wordsOf(texts: Iterable<string>): string[] {
  const counter = new WordCounter()
  for (const text of texts) counter.add(text)
  return counter.words()
}
