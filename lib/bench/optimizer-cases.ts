import { adamwOp, gradNormOp } from '../graph/ops/adamw.js'
import { type ComputeType, U } from './compute-type.js'
import { randomValues } from './measure.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** Gradients are float32 in any graph. */
export function* gradNormCases(type: ComputeType, { flat: N }: BenchSizes): Generator<OpCase> {
  if (type.dtype !== 'f32') return
  const gradients = randomValues(N, 3)
  yield {
    ...{ op: gradNormOp, direction: 'forward', shape: { N }, attributes: { max_norm: 1 }, bytes: 4 * N },
    operands: { norm: { shape: [1] }, clip_scale: { shape: [1] }, gradients: { shape: [N], values: gradients } },
    async check({ read, expectClose }) {
      const norm = Math.sqrt(gradients.reduce((sum, value) => sum + value * value, 0))
      expectClose('norm', 0, (await read('norm'))[0]!, norm, 4 * U * norm)
      expectClose('clip_scale', 0, (await read('clip_scale'))[0]!, 1 / (norm + 1e-6), (8 * U) / norm)
    },
  }
}

/** Float32 in any graph; in one that computes in bfloat16 it writes the new weights rounded as well. */
export function* adamwCases(type: ComputeType, { flat: N }: BenchSizes): Generator<OpCase> {
  const [p, m, g] = [randomValues(N, 1), randomValues(N, 2), randomValues(N, 3)]
  const v = randomValues(N, 4).map(Math.abs)
  const isHalf = type.dtype === 'bf16'
  const settings = { learning_rate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3 }
  yield {
    ...{ op: adamwOp, direction: 'update', shape: { N }, attributes: settings },
    // Reads parameter, moments and gradient, writes all but the gradient.
    bytes: (isHalf ? 30 : 28) * N,
    operands: {
      parameters: { shape: [N], values: p },
      first_moment: { shape: [N], values: m },
      second_moment: { shape: [N], values: v },
      gradients: { shape: [N], values: g },
      clip_scale: { shape: [1], values: Float32Array.of(0.5) },
      ...(isHalf && { rounded: { shape: [N] } }),
    },
    async check({ read, expectClose }) {
      const got = await read('parameters')
      const rounded = isHalf ? await read('rounded') : undefined
      for (let n = 0; n < 100; n++) {
        const i = (n * 7919 * 4099) % N
        const gradient = 0.5 * g[i]!
        const first = 0.9 * m[i]! + 0.1 * gradient
        const second = 0.95 * v[i]! + 0.05 * gradient * gradient
        const change = ((1e-3 / (1 - 0.9 ** 3)) * first) / (Math.sqrt(second) / Math.sqrt(1 - 0.95 ** 3) + 1e-8)
        const expected = p[i]! * (1 - 1e-4) - change
        const bound = 16 * U * (Math.abs(p[i]!) + Math.abs(change))
        expectClose('parameters', i, got[i]!, expected, bound)
        if (rounded) expectClose('rounded', i, rounded[i]!, expected, bound)
      }
    },
  }
}
