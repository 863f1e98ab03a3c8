import type { Example } from './example.js'

/** An example without its tokens. */
export interface ExampleInfo {
  /** Tokens. */
  readonly length: number
  readonly scoredTokens: number
  /** `chains.jsonl:17` */
  readonly place: string
  /** Its record, counting from 0 through all data sets. */
  readonly record: number
  /** How many of its tokens it takes until its last `\boxed{…}` is closed; 0 where it has none, or it is not known. */
  readonly answerEnd: number
}

/**
 * The examples of a data set, wherever they are kept. Lengths and scored tokens, which a run is planned with, are at hand at once; tokens
 * are read when a step needs them, so that a data set may be larger than memory.
 */
export interface Examples {
  readonly count: number
  infoOf(index: number): ExampleInfo
  read(index: number): Example
}

/** Examples that may be a part of more: their records are counted from `firstRecord`. */
export interface ExamplesPart extends Examples {
  infoOf(index: number, firstRecord?: number): ExampleInfo
}

/** Examples in memory. */
export function examplesOf(list: readonly Example[]): ExamplesPart {
  return {
    count: list.length,
    infoOf(index, firstRecord = 0) {
      const { inputIds, scoredTokens, place, answerEnd = 0 } = list[index]!
      return { length: inputIds.length, scoredTokens, place, record: firstRecord + index, answerEnd }
    },
    read: (index) => list[index]!,
  }
}

/** A view of the examples at `indices`, in that order, with repetitions. */
export function selectExamples(examples: Examples, indices: Int32Array): Examples {
  return {
    count: indices.length,
    infoOf: (index) => examples.infoOf(indices[index]!),
    read: (index) => examples.read(indices[index]!),
  }
}

/** One after another. */
export function concatenateExamples(parts: readonly ExamplesPart[]): Examples {
  if (parts.length === 1) return parts[0]!
  const starts = [0]
  for (const { count } of parts) starts.push(starts.at(-1)! + count)
  const partOf = (index: number) => {
    // the last part that starts at or before the index; an empty one starts where the next does
    let low = 0
    let high = parts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= index) low = middle
      else high = middle - 1
    }
    return low
  }
  return {
    count: starts.at(-1)!,
    infoOf(index) {
      const part = partOf(index)
      return parts[part]!.infoOf(index - starts[part]!, starts[part])
    },
    read(index) {
      const part = partOf(index)
      return parts[part]!.read(index - starts[part]!)
    },
  }
}
