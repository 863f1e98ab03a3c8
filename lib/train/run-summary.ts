import { countParameters } from '../model/decoder-parameters.js'
import type { ComputeDtype } from '../native/addon-types.js'
import { countNumbers, trainedWeights } from '../plan/parameters.js'
import type { PreparedRun } from './prepare.js'

/** A prepared run in numbers: plain JSON, for messages to another thread, a page or a log. */
export interface RunSummary {
  parameters: number
  trainedParameters: number
  dtype: ComputeDtype
  /** Layers whose activations are computed again in the backward pass. */
  recomputedLayers: number
  /** Bytes of each arena of the plan. */
  bytes: Record<string, number>
  /** Bytes that answers to held out problems take besides. */
  generationBytes: number
  /** All bytes that the run allocates on its device. */
  totalBytes: number
  /** Bytes that it may allocate; absent where there is no limit. */
  memoryLimit?: number
  /** Whether it stays within the limit; absent where there is none. */
  fits?: boolean
  /** The most tokens, and sequences, of a micro-batch. */
  maxTokens: number
  maxSequences: number
  /** Examples that are trained on, once over. */
  examples: number
  tokens: number
  scoredTokens: number
  /** Tokens of the longest example. */
  longest: number
  totalSteps: number
  stepsPerEpoch: number
  /** On average. */
  tokensPerStep: number
}

/** The numbers of a run that was prepared, as `plan --json` prints them. */
export function summarizeRun({ model, batches, plan, generationBytes, planOptions, report, examples }: PreparedRun): RunSummary {
  const { bytes, bounds, recomputedLayers, dtype, totalBytes } = plan
  const { memoryLimit } = planOptions
  return {
    ...{ parameters: countParameters(model), trainedParameters: countNumbers(trainedWeights(plan.layout)) },
    ...{ dtype, recomputedLayers },
    ...{ bytes, generationBytes, totalBytes: totalBytes + generationBytes },
    ...(memoryLimit !== undefined && { memoryLimit: memoryLimit + generationBytes, fits: totalBytes <= memoryLimit }),
    ...bounds,
    ...{ examples: examples.count, tokens: report.tokens, scoredTokens: report.scoredTokens, longest: report.longest },
    ...{ totalSteps: batches.totalSteps, stepsPerEpoch: batches.stepsPerEpoch },
    tokensPerStep: report.tokens / batches.stepsPerEpoch,
  }
}
