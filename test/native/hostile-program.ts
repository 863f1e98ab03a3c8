import {
  type Dtype,
  type ProgramDescription,
  SEQUENCE_BOUNDS,
  type TensorDescription,
  TOKENS,
} from '../../lib/native/addon-types.js'

export const MAX_TOKENS = 8
export const MAX_SEQUENCES = 2
export const VOCABULARY = 11
export const ARENA_BYTES = 1 << 16

/**
 * A small valid program with an operation of every kind that checks values: embedding, rotary table, norm, rope, attention, loss,
 * AdamW with scalars. `at` gives each tensor its own place in the arena.
 */
export function validProgram(): ProgramDescription {
  let end = 64
  const at = (shape: number[], dtype: Dtype = 'f32'): TensorDescription => {
    const offset = end
    const rows = shape[0] === TOKENS ? MAX_TOKENS : shape[0] === SEQUENCE_BOUNDS ? MAX_SEQUENCES + 1 : shape[0]!
    end += rows * (shape[1] ?? 1) * 4 + 64
    return { arena: 0, offset, dtype, shape }
  }
  const tokens = { ids: at([TOKENS], 'i32'), labels: at([TOKENS], 'i32'), positions: at([TOKENS], 'i32'), weights: at([TOKENS]) }
  const cuSeqlens = at([SEQUENCE_BOUNDS], 'i32')
  const table = at([VOCABULARY, 8])
  const [x, normed, q, out] = [at([TOKENS, 8]), at([TOKENS, 8]), at([TOKENS, 8]), at([TOKENS, 8])]
  const [cos, sin] = [at([TOKENS, 2]), at([TOKENS, 2])]
  const loss = at([1])
  const [parameters, m, v, gradients, clip] = [at([5]), at([5]), at([5]), at([5]), at([1])]
  return {
    maxTokens: MAX_TOKENS,
    maxSequences: MAX_SEQUENCES,
    ops: [
      { op: 'embedding', operands: { out: x, table, ids: tokens.ids }, attributes: {} },
      { op: 'rms_norm', operands: { out: normed, rstd: at([TOKENS]), x, weight: at([8]) }, attributes: { eps: 1e-6 } },
      { op: 'rotary_table', operands: { cos, sin, positions: tokens.positions, inverse_frequency: at([2]) }, attributes: {} },
      { op: 'rope', operands: { out: q, x: normed, cos, sin }, attributes: { direction: 1 } },
      {
        op: 'attention',
        operands: { out, lse: at([TOKENS, 2]), q, k: q, v: normed, cu_seqlens: cuSeqlens },
        attributes: { head_dim: 4, scale: 0.5 },
      },
      {
        op: 'linear_cross_entropy',
        operands: {
          ...{ loss, token_loss: at([TOKENS]), logits: at([4, VOCABULARY]), hidden_rows: at([4, 8]) },
          ...{ hidden: out, weight: table, labels: tokens.labels, loss_weights: tokens.weights },
        },
        attributes: {},
      },
      {
        op: 'adamw',
        operands: { parameters, first_moment: m, second_moment: v, gradients, clip_scale: clip },
        attributes: {
          learning_rate: { scalar: 'rate' },
          beta1: 0.9,
          beta2: 0.99,
          eps: 1e-8,
          weight_decay: 0,
          step: { scalar: 'step' },
        },
      },
    ],
    inputs: { ...tokens, cu_seqlens: cuSeqlens },
    outputs: { loss },
  }
}

/** Inputs and scalars that the valid program takes: 5 tokens in two sequences. */
export function validRun() {
  return {
    inputs: {
      ids: Int32Array.of(0, 1, 10, 3, 4),
      labels: Int32Array.of(1, -100, 0, 10, -100),
      positions: Int32Array.of(0, 1, 2, 0, 1),
      weights: Float32Array.of(0.5, 0, 0.25, 0.25, 0),
      cu_seqlens: Int32Array.of(0, 3, 5),
    } as Record<string, Int32Array | Float32Array>,
    scalars: { rate: 1e-3, step: 1 } as Record<string, number>,
  }
}
