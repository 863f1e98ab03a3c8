import type { CurateRow } from './curate-row.js'
import { hashWord } from './min-hash.js'
import type { StageContext } from './stage.js'
import { type Word, wordsWithPlaces } from './text.js'

export interface DecontaminationOptions {
  /** Words of an n-gram. */
  ngram: number
  /** Number of shared n-grams from which a row counts as contaminated. */
  threshold: number
  /** Texts of a row that are searched. */
  fields: ('question' | 'solution')[]
}

/** An index of evaluation questions by their n-grams. */
export class EvaluationIndex {
  /** Hash of an n-gram → the places where it is: texts and word numbers, two numbers each. */
  private readonly places = new Map<number, number[]>()
  private readonly texts: { words: string[]; source: string }[] = []
  /** Questions shorter than an n-gram, as a whole. */
  private readonly short = new Map<string, string>()

  constructor(private readonly ngram: number) {}

  get size(): number {
    return this.texts.length + this.short.size
  }

  add(question: string, source: string): void {
    const words = wordsWithPlaces(question).map(({ text }) => text)
    if (words.length === 0) return
    if (words.length < this.ngram) {
      const whole = words.join(' ')
      if (!this.short.has(whole)) this.short.set(whole, source)
      return
    }
    const text = this.texts.push({ words, source }) - 1
    for (const [start, hash] of this.hashes(words).entries()) {
      const places = this.places.get(hash)
      if (places === undefined) this.places.set(hash, [text, start])
      // Cap on the places of one n-gram: a passage in many questions is found by its first places.
      else if (places.length < 64) places.push(text, start)
    }
  }

  private hashes(words: readonly string[]): number[] {
    const hashed = words.map(hashWord)
    const hashes: number[] = []
    for (let start = 0; start + this.ngram <= hashed.length; start++) {
      let [high, low] = [0, 0]
      for (let at = start; at < start + this.ngram; at++) {
        high = (Math.imul(high, 0x01000193) ^ hashed[at]!) >>> 0
        low = (Math.imul(low, 0x85ebca6b) + hashed[at]!) >>> 0
      }
      hashes.push((high & 0x1fffff) * 2 ** 32 + low)
    }
    return hashes
  }

  /**
   * The question that a text shares most n-grams with: how many it shares, how many the question has, and the longest passage
   * of them.
   */
  find(words: readonly Word[]): { source: string; shared: number; ngrams: number; start: number; end: number } | undefined {
    const texts = words.map(({ text }) => text)
    if (texts.length < this.ngram) {
      const source = this.short.get(texts.join(' '))
      return source === undefined ? undefined : { source, shared: 1, ngrams: 1, start: 0, end: texts.length }
    }
    const found = new Map<number, number[]>()
    for (const [start, hash] of this.hashes(texts).entries()) {
      const places = this.places.get(hash)
      if (places === undefined) continue
      const matched = new Set<number>()
      for (let at = 0; at < places.length; at += 2) {
        const text = places[at]!
        if (matched.has(text) || !this.isSame(texts, start, text, places[at + 1]!)) continue
        matched.add(text)
        const starts = found.get(text)
        if (starts === undefined) found.set(text, [start])
        else starts.push(start)
      }
    }
    let best: { text: number; starts: number[] } | undefined
    for (const [text, starts] of found) {
      const isBetter =
        best === undefined || starts.length > best.starts.length || (starts.length === best.starts.length && text < best.text)
      if (isBetter) best = { text, starts }
    }
    if (best === undefined) return undefined
    const { source, words: question } = this.texts[best.text]!
    const ngrams = question.length - this.ngram + 1
    return { source, shared: best.starts.length, ngrams, ...this.longestRun(best.starts) }
  }

  /** Hashes may collide; words do not. */
  private isSame(words: readonly string[], start: number, text: number, at: number): boolean {
    const { words: other } = this.texts[text]!
    for (let offset = 0; offset < this.ngram; offset++) if (words[start + offset] !== other[at + offset]) return false
    return true
  }

  private longestRun(starts: readonly number[]): { start: number; end: number } {
    let best = { start: starts[0]!, end: starts[0]! + this.ngram }
    let from = starts[0]!
    for (const [index, start] of starts.entries()) {
      if (index > 0 && start !== starts[index - 1]! + 1) from = start
      if (start + this.ngram - from > best.end - best.start) best = { start: from, end: start + this.ngram }
    }
    return best
  }
}

/**
 * Drops rows that share n-grams with the questions of evaluation sets. Only the evaluation questions' n-grams are in memory.
 */
export async function runDecontamination(
  { rows, out, signal }: StageContext,
  { threshold, fields }: DecontaminationOptions,
  index: EvaluationIndex,
): Promise<void> {
  const bySource: Record<string, number> = {}
  for await (const row of rows()) {
    signal?.throwIfAborted()
    const found = findIn(row, fields, index)
    if (found === undefined || found.shared < Math.min(threshold, found.ngrams)) {
      out.keep(row, { shared: found?.shared ?? 0 })
      continue
    }
    const { source, shared, passage, field } = found
    const file = source.replace(/(:| record )\d+$/, '')
    bySource[file] = (bySource[file] ?? 0) + 1
    const message = `its ${field} shares ${shared} passages of words with ${source}, the longest: ${JSON.stringify(shorten(passage))}`
    out.drop(row, { code: 'contaminated', message, with: source, shared, field, passage })
  }
  out.summary.facts = { questions: index.size, bySource }
}

function findIn(row: CurateRow, fields: DecontaminationOptions['fields'], index: EvaluationIndex) {
  let best: { source: string; shared: number; ngrams: number; passage: string; field: string } | undefined
  for (const field of fields) {
    const text = row[field]
    if (text === undefined) continue
    const words = wordsWithPlaces(text)
    const found = index.find(words)
    if (found === undefined || found.shared <= (best?.shared ?? 0)) continue
    const passage = text.slice(words[found.start]!.start, words[found.end - 1]!.end)
    best = { source: found.source, shared: found.shared, ngrams: found.ngrams, passage, field }
  }
  return best
}

function shorten(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 150)} … (${text.length} characters)`
}
