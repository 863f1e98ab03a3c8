import { defaultScales, defaultWeights, defaultWords, type QualityPart, qualityParts } from './quality-words.js'

export interface QualityOptions {
  /** Weights of the parts, which add up to 1. */
  weights: Record<QualityPart, number>
  /** Saturation: the value of each part at which it counts in full. */
  scales: Record<QualityPart, number>
  words: Record<Exclude<QualityPart, 'length'>, readonly string[]>
}

export const defaultQuality: QualityOptions = { weights: defaultWeights, scales: defaultScales, words: defaultWords }

/** The score of a chain and its parts. */
export interface QualityScore {
  /** From 0 to 1. */
  score: number
  /** Words; characters of scripts that are written without spaces. */
  length: number
  /** Occurrences in a thousand words. */
  verification: number
  exploration: number
  connectives: number
}

/**
 * Scores chains by the rules of the LIMO paper (section 3.1: length, and how often a chain checks itself, explores and connects,
 * by key words, normalised by length), with the paper's weights:
 *
 *     score = Σ_p weight_p · min(1, value_p / scale_p)
 *     value_length = words of the chain        value_p = 1000 · occurrences of the words of p / words of the chain
 *
 * The paper gives neither the word lists nor how values become parts of a score. Here a part grows up to its scale and no further,
 * so that a chain's score depends on the chain alone: adding rows to a pool changes no other score.
 */
export class QualityScorer {
  private readonly patterns: { part: Exclude<QualityPart, 'length'>; pattern: RegExp }[]

  constructor(private readonly options: QualityOptions) {
    this.patterns = Object.entries(options.words).map(([part, words]) => ({
      part: part as Exclude<QualityPart, 'length'>,
      pattern: patternOf(words),
    }))
  }

  score(chain: string): QualityScore {
    const { weights, scales } = this.options
    const length = countWords(chain)
    const values: Record<QualityPart, number> = { length, verification: 0, exploration: 0, connectives: 0 }
    for (const { part, pattern } of this.patterns) {
      values[part] = length === 0 ? 0 : (1000 * countMatches(chain, pattern)) / length
    }
    const score = qualityParts.reduce((sum, part) => sum + weights[part] * Math.min(1, values[part] / scales[part]), 0)
    return {
      score: round(score),
      length,
      verification: round(values.verification),
      exploration: round(values.exploration),
      connectives: round(values.connectives),
    }
  }
}

/** Six places: what is written into files does not depend on the last bits of a sum. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/** Whole words, with any white space between the words of a phrase; words of Chinese, which has no spaces, anywhere. */
function patternOf(words: readonly string[]): RegExp {
  if (words.length === 0) return /(?!)/g
  const longestFirst = words.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1))
  const alternatives = longestFirst.map((word) => {
    const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+')
    return /\p{sc=Han}/u.test(word) ? escaped : `(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`
  })
  return new RegExp(alternatives.join('|'), 'giu')
}

function countMatches(text: string, pattern: RegExp): number {
  let count = 0
  for (const _ of text.matchAll(pattern)) count += 1
  return count
}

function countWords(text: string): number {
  return countMatches(text, /\p{sc=Han}|[\p{L}\p{N}\p{M}_']+/gu)
}
