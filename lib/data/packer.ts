import { type Example, notScored } from './example.js'

/** `token`: every scored token of a step counts the same. `sample`: every example of a step does. */
export type LossReduction = 'token' | 'sample'

/** One micro-batch without padding: S sequences, one after another, T tokens in all. */
export interface PackedBatch {
  /** [T] */
  inputIds: Int32Array
  /** [T], shifted: what position t must predict, −100 where that is not scored and at the last position of a sequence. */
  labels: Int32Array
  /** [T], the weight of the loss at position t; 0 where it is not scored. They add up to 1 over a step. */
  lossWeights: Float32Array
  /** [T], from 0 in every sequence. */
  positions: Int32Array
  /** [S + 1], where each sequence starts, and T. */
  cuSeqlens: Int32Array
  scoredTokens: number
  /** [S], which of the examples given these sequences are. */
  exampleIndices: number[]
}

export interface PackOptions {
  packing: boolean
  /** The tokens of a micro-batch, when packing. A longer example gets a micro-batch of its own. */
  capacity: number
  /** The sequences of a micro-batch, when not packing. */
  examplesPerMicroBatch: number
  lossReduction: LossReduction
  /**
   * Denominator of the mean loss. Default: the scored tokens of the examples given; an evaluation passes those of its whole
   * set.
   */
  scoredTokens?: number | undefined
}

/**
 * Lays out the examples of one step as micro-batches. Attention never crosses from one sequence to another, so neither
 * packing nor the number of micro-batches changes what a step computes.
 *
 *     examples       p p x y  and  p z        p: prompt, x y z: scored
 *
 *     inputIds       p  p  x  y  │ p  z
 *     labels         ·  x  y  ·  │ z  ·         · is −100
 *     positions      0  1  2  3  │ 0  1
 *     cuSeqlens      0             4      6
 *
 * Packing is best-fit decreasing: from the longest example to the shortest, each goes where the least room is left that
 * is enough. The same examples in the same order always give the same micro-batches.
 */
export function packStep(examples: readonly Example[], options: PackOptions): PackedBatch[] {
  const groups = options.packing
    ? bestFitDecreasing(examples, options.capacity)
    : consecutive(examples, options.examplesPerMicroBatch)
  const stepTokens = options.scoredTokens ?? examples.reduce((sum, { scoredTokens }) => sum + scoredTokens, 0)
  const weightOf = ({ scoredTokens }: Example) =>
    options.lossReduction === 'token' ? 1 / stepTokens : 1 / (examples.length * scoredTokens)
  return groups.map((group) => layOut(examples, group, weightOf))
}

/** Groups of indices; a group's indices ascend, and so do the first indices of the groups. */
function bestFitDecreasing(examples: readonly Example[], capacity: number): number[][] {
  const lengthOf = (index: number) => examples[index]!.inputIds.length
  const longestFirst = Array.from(examples.keys()).sort((a, b) => lengthOf(b) - lengthOf(a) || a - b)
  const bins: { room: number; indices: number[] }[] = []
  for (const index of longestFirst) {
    const length = lengthOf(index)
    let best: { room: number; indices: number[] } | undefined
    for (const bin of bins) if (bin.room >= length && bin.room < (best?.room ?? Infinity)) best = bin
    if (best === undefined) {
      best = { room: capacity, indices: [] }
      bins.push(best)
    }
    best.room -= length
    best.indices.push(index)
  }
  return bins.map(({ indices }) => indices.sort((a, b) => a - b)).sort((a, b) => a[0]! - b[0]!)
}

function consecutive(examples: readonly Example[], size: number): number[][] {
  const groups: number[][] = []
  for (const index of examples.keys()) {
    if (index % size === 0) groups.push([])
    groups.at(-1)!.push(index)
  }
  return groups
}

function layOut(examples: readonly Example[], indices: number[], weightOf: (example: Example) => number): PackedBatch {
  const tokens = indices.reduce((sum, index) => sum + examples[index]!.inputIds.length, 0)
  const batch: PackedBatch = {
    inputIds: new Int32Array(tokens),
    labels: new Int32Array(tokens).fill(notScored),
    lossWeights: new Float32Array(tokens),
    positions: new Int32Array(tokens),
    cuSeqlens: new Int32Array(indices.length + 1),
    scoredTokens: 0,
    exampleIndices: indices,
  }
  let start = 0
  for (const [sequence, index] of indices.entries()) {
    const example = examples[index]!
    const { length } = example.inputIds
    const weight = weightOf(example)
    batch.inputIds.set(example.inputIds, start)
    batch.labels.set(example.labels.subarray(1), start)
    for (let t = 0; t < length; t++) {
      batch.positions[start + t] = t
      if (batch.labels[start + t] !== notScored) batch.lossWeights[start + t] = weight
    }
    batch.scoredTokens += example.scoredTokens
    start += length
    batch.cuSeqlens[sequence + 1] = start
  }
  return batch
}
