import { roundToBf16, U_BF16 } from './bf16.js'
import type { Expected } from './check-op.js'
import { normalValues } from './random-values.js'
import { given, type Operand, type OperandOptions, written } from './run-op.js'

/** A type that weights and activations may have, with what tests need to speak of it. */
export interface ComputeType {
  dtype: 'f32' | 'bf16'
  /** Relative error of rounding a float32 to this type: nothing for float32 itself. */
  u: number
  /** The nearest numbers of this type. */
  round(values: ArrayLike<number>): Float32Array
  /** `count` numbers of this type, about N(0, scale²). */
  normal(seed: number, count: number, scale?: number): Float32Array
  /** Operands of this type. */
  given(values: Float32Array, shape: Operand['shape'], options?: OperandOptions): Operand
  written(shape: Operand['shape'], options?: OperandOptions & { over?: string }): Operand
  /** What is expected when a float32 result with these bounds is stored in this type. */
  stored(result: Required<Expected>): Required<Expected>
}

function computeType(dtype: ComputeType['dtype'], u: number, round: ComputeType['round']): ComputeType {
  return {
    dtype,
    u,
    round,
    normal: (seed, count, scale) => round(normalValues(seed, count, scale)),
    given: (values, shape, options = {}) => given(values, shape, { ...options, dtype }),
    written: (shape, options = {}) => written(shape, { ...options, dtype }),
    stored: ({ values, bounds }) => {
      // What is rounded is off by its bound already. A subnormal number may become 0.
      const flushed = u > 0 ? 2 ** -126 : 0
      const rounded = (bound: number, i: number) => bound + u * (Math.abs(values[i]!) + bound) + flushed
      return { values, bounds: Float64Array.from(bounds).map(rounded) }
    },
  }
}

export const computeTypes = [
  computeType('f32', 0, (values) => Float32Array.from(values)),
  computeType('bf16', U_BF16, roundToBf16),
]
