import type { Example } from './example.js'

/**
 * The examples of a data set, wherever they are kept. Numbers that a run is planned with are at hand at once; tokens are read
 * when a step needs them, so that a data set may be larger than memory.
 */
export interface Examples {
  readonly count: number
  /** Tokens of an example. */
  lengthOf(index: number): number
  scoredTokensOf(index: number): number
  /** `chains.jsonl:17` */
  placeOf(index: number): string
  read(index: number): Example
  /** Which record of the data sets it is, counting from 0 through all of them. */
  recordOf(index: number): number
  /** How many of its tokens it takes until its last `\boxed{…}` is closed; 0 where it has none, or it is not known. */
  answerEndOf(index: number): number
}

/** Examples in memory. */
export function examplesOf(list: readonly Example[]): Examples {
  return {
    count: list.length,
    lengthOf: (index) => list[index]!.inputIds.length,
    scoredTokensOf: (index) => list[index]!.scoredTokens,
    placeOf: (index) => list[index]!.place,
    read: (index) => list[index]!,
    recordOf: (index) => index,
    answerEndOf: (index) => list[index]!.answerEnd ?? 0,
  }
}

/** Those at `indices`, in that order; one may be there several times. */
export function selectExamples(examples: Examples, indices: Int32Array): Examples {
  return {
    count: indices.length,
    lengthOf: (index) => examples.lengthOf(indices[index]!),
    scoredTokensOf: (index) => examples.scoredTokensOf(indices[index]!),
    placeOf: (index) => examples.placeOf(indices[index]!),
    read: (index) => examples.read(indices[index]!),
    recordOf: (index) => examples.recordOf(indices[index]!),
    answerEndOf: (index) => examples.answerEndOf(indices[index]!),
  }
}

/** One after another. */
export function concatenateExamples(parts: readonly Examples[]): Examples {
  if (parts.length === 1) return parts[0]!
  const starts = [0]
  for (const { count } of parts) starts.push(starts.at(-1)! + count)
  const at = <T>(index: number, read: (part: Examples, local: number) => T): T => {
    // the last part that starts at or before the index; an empty one starts where the next does
    let low = 0
    let high = parts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= index) low = middle
      else high = middle - 1
    }
    return read(parts[low]!, index - starts[low]!)
  }
  return {
    count: starts.at(-1)!,
    lengthOf: (index) => at(index, (part, local) => part.lengthOf(local)),
    scoredTokensOf: (index) => at(index, (part, local) => part.scoredTokensOf(local)),
    placeOf: (index) => at(index, (part, local) => part.placeOf(local)),
    read: (index) => at(index, (part, local) => part.read(local)),
    recordOf: (index) => index,
    answerEndOf: (index) => at(index, (part, local) => part.answerEndOf(local)),
  }
}
