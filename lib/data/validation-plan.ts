import type { Examples } from './examples.js'
import { type PackedBatch, type PackOptions, packStep } from './packer.js'

/** The batches of an evaluation: one loss over all of the examples. */
export interface ValidationPlan {
  examples: number
  /** The largest of the batches. */
  maxTokens: number
  maxSequences: number
  /** Their `exampleIndices` point into the examples that were planned. */
  batches(): Generator<PackedBatch>
}

/** Examples that are packed together: so many are in memory at once. */
const WINDOW = 1024

/** Plans an evaluation on examples, window by window, so that there may be more of them than memory has room for. */
export function planValidation(examples: Examples, options: PackOptions): ValidationPlan {
  let scoredTokens = 0
  for (let index = 0; index < examples.count; index++) scoredTokens += examples.infoOf(index).scoredTokens

  function* batches(): Generator<PackedBatch> {
    for (let start = 0; start < examples.count; start += WINDOW) {
      const count = Math.min(WINDOW, examples.count - start)
      const window = Array.from({ length: count }, (_, index) => examples.read(start + index))
      for (const batch of packStep(window, { ...options, scoredTokens })) {
        yield { ...batch, exampleIndices: batch.exampleIndices.map((index) => start + index) }
      }
    }
  }
  const plan: ValidationPlan = { examples: examples.count, maxTokens: 0, maxSequences: 0, batches }
  for (const { inputIds, cuSeqlens } of batches()) {
    plan.maxTokens = Math.max(plan.maxTokens, inputIds.length)
    plan.maxSequences = Math.max(plan.maxSequences, cuSeqlens.length - 1)
  }
  return plan
}
