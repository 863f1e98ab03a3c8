import type { ComputeDtype } from '../native/addon-types.js'
import type { RunTimes } from './measure.js'
import type { PeerResult } from './peer.js'

/** One measured thing. */
export interface BenchRow extends RunTimes {
  op?: string
  step?: string
  direction: string
  dtype: ComputeDtype
  threads: number
  shape: Record<string, number>
  /** 10⁹ floating-point operations a second, of what computing bounds. */
  gflops?: number
  /** 10⁹ bytes a second, of what memory bounds. */
  gbps?: number
  tokensPerSecond?: number
  /** The ceiling in the unit of the rate: the better of what was measured just before and just after. */
  ceiling: number
  /** Share of the ceiling, 0 to 1. */
  share: number
  /** Memory of this case: its operands and the working memory of the threads; of a step, what its plan allocates. */
  peakBytes: number
  against?: PeerResult
  /** Why there is no comparison. */
  againstError?: string
  /** How many matrix products the library of a CUDA device refused, which a slow kernel did. */
  refusedProducts?: number
  /** The same in an earlier run. */
  baseline?: BaselineResult
}

export interface BenchCeilings {
  threads: number
  instructionSet: string
  /** Only for a CUDA device: its name, its memory and its library for matrix products. */
  description: string
  gflops: Record<ComputeDtype, number>
  gbps: number
}

/** A row of an earlier run beside one of this run. */
export interface BaselineResult {
  medianMs: number
  /** How many times as fast this run is. */
  ratio: number
}
