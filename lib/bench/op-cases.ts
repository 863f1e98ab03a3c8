import { adamwOp } from '../graph/ops/adamw.js'
import { linearBackwardInputOp, linearBackwardWeightOp, linearOp } from '../graph/ops/linear.js'
import { rmsNormOp } from '../graph/ops/rms-norm.js'
import { swigluOp } from '../graph/ops/swiglu.js'
import { attentionCases } from './attention-cases.js'
import { randomValues } from './measure.js'
import { expectClose, type OpCase } from './op-case.js'

/** The unit roundoff of float32. */
const U = 2 ** -24
/** Elements of a result that are held against double. */
const CHECKED = 100

type Matrices = Record<'x' | 'y' | 'w', Float32Array>

interface LinearShape {
  T: number
  K: number
  N: number
}

/** The projections of Qwen2.5-0.5B, and its vocabulary projection. */
const linearShapes: LinearShape[] = [
  { T: 512, K: 896, N: 896 },
  { T: 2048, K: 896, N: 1152 },
  { T: 2048, K: 896, N: 9728 },
  { T: 2048, K: 4864, N: 896 },
  { T: 512, K: 896, N: 151936 },
]

function* linearCases(): Generator<OpCase> {
  for (const shape of linearShapes) {
    const { T, K, N } = shape
    const values: Matrices = { x: randomValues(T * K, 1), y: randomValues(T * N, 2), w: randomValues(N * K, 3) }
    const x = { shape: [T, K], values: values.x }
    const y = { shape: [T, N], values: values.y }
    const weight = { shape: [N, K], values: values.w }
    const base = { shape: { ...shape }, flops: 2 * T * K * N }
    yield {
      ...{ ...base, op: linearOp, direction: 'forward' },
      operands: { y: { shape: [T, N] }, x, weight },
      check: checkProduct(
        'y',
        T,
        N,
        K,
        (i, k) => values.x[i * K + k]!,
        (k, j) => values.w[j * K + k]!,
      ),
    }
    yield {
      ...{ ...base, op: linearBackwardInputOp, direction: 'd_x' },
      operands: { d_x: { shape: [T, K] }, d_y: y, weight },
      check: checkProduct(
        'd_x',
        T,
        K,
        N,
        (i, k) => values.y[i * N + k]!,
        (k, j) => values.w[k * K + j]!,
      ),
    }
    yield {
      ...{ ...base, op: linearBackwardWeightOp, direction: 'd_weight' },
      operands: { d_weight: { shape: [N, K], values: new Float32Array(N * K) }, d_y: y, x },
      check: checkProduct(
        'd_weight',
        N,
        K,
        T,
        (i, k) => values.y[k * N + i]!,
        (k, j) => values.x[k * K + j]!,
      ),
    }
  }
}

/** Some elements of a product within k·2⁻²⁴·Σ|a·b|, the bound of a sum of k products in float32. */
function checkProduct(
  name: string,
  rows: number,
  cols: number,
  terms: number,
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
): OpCase['check'] {
  return async (read) => {
    const got = await read(name)
    for (let n = 0; n < CHECKED; n++) {
      const i = (n * 7919) % rows
      const j = (n * 104729) % cols
      let sum = 0
      let magnitude = 0
      for (let k = 0; k < terms; k++) {
        sum += a(i, k) * b(k, j)
        magnitude += Math.abs(a(i, k) * b(k, j))
      }
      expectClose(`${name}[${i}, ${j}]`, got[i * cols + j]!, sum, terms * U * magnitude)
    }
  }
}

function* memoryBoundCases(): Generator<OpCase> {
  const N = 33_333_333
  const [p, m, g] = [randomValues(N, 1), randomValues(N, 2), randomValues(N, 3)]
  const v = randomValues(N, 4).map(Math.abs)
  const settings = { learning_rate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3 }
  yield {
    ...{ op: adamwOp, direction: 'update', shape: { N }, attributes: settings },
    // Reads parameter, moments and gradient, writes all but the gradient.
    bytes: 28 * N,
    operands: {
      parameters: { shape: [N], values: p },
      first_moment: { shape: [N], values: m },
      second_moment: { shape: [N], values: v },
      gradients: { shape: [N], values: g },
      clip_scale: { shape: [1], values: Float32Array.of(0.5) },
    },
    async check(read) {
      const got = await read('parameters')
      for (let n = 0; n < CHECKED; n++) {
        const i = (n * 7919 * 4099) % N
        const gradient = 0.5 * g[i]!
        const first = 0.9 * m[i]! + 0.1 * gradient
        const second = 0.95 * v[i]! + 0.05 * gradient * gradient
        const change = ((1e-3 / (1 - 0.9 ** 3)) * first) / (Math.sqrt(second) / Math.sqrt(1 - 0.95 ** 3) + 1e-8)
        const expected = p[i]! * (1 - 1e-4) - change
        expectClose(`parameters[${i}]`, got[i]!, expected, 16 * U * (Math.abs(p[i]!) + Math.abs(change)))
      }
    },
  }
  const [T, C, F] = [2048, 896, 4864]
  const x = randomValues(T * C, 5)
  const weight = randomValues(C, 6)
  yield {
    ...{ op: rmsNormOp, direction: 'forward', shape: { T, C }, attributes: { eps: 1e-6 }, bytes: 8 * T * C },
    operands: {
      out: { shape: [T, C] },
      rstd: { shape: [T] },
      x: { shape: [T, C], values: x },
      weight: { shape: [C], values: weight },
    },
    async check(read) {
      const got = await read('out')
      for (let t = 0; t < T; t += 97) {
        const squares = x.subarray(t * C, (t + 1) * C).reduce((sum, value) => sum + value * value, 0)
        const expected = (x[t * C + 5]! * weight[5]!) / Math.sqrt(squares / C + 1e-6)
        expectClose(`out[${t}, 5]`, got[t * C + 5]!, expected, C * U * Math.abs(expected))
      }
    },
  }
  const gate = randomValues(T * F, 7)
  const up = randomValues(T * F, 8)
  yield {
    ...{ op: swigluOp, direction: 'forward', shape: { T, F }, bytes: 12 * T * F },
    operands: { out: { shape: [T, F] }, gate: { shape: [T, F], values: gate }, up: { shape: [T, F], values: up } },
    async check(read) {
      const got = await read('out')
      for (let i = 0; i < T * F; i += 99991) {
        const expected = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!
        expectClose(`out[${i}]`, got[i]!, expected, 8 * U * Math.abs(expected) + 1e-12)
      }
    },
  }
}

/** Every case of the operations named, or of all of them. Cases are made one at a time: the large ones take gigabytes. */
export function* opCases(wanted: readonly string[]): Generator<OpCase> {
  const groups: Record<string, () => Generator<OpCase>> = {
    linear: linearCases,
    attention: attentionCases,
    adamw: memoryBoundCases,
    rms_norm: memoryBoundCases,
    swiglu: memoryBoundCases,
  }
  const chosen = new Set(
    Object.entries(groups).flatMap(([name, cases]) => (wanted.length === 0 || wanted.includes(name) ? [cases] : [])),
  )
  for (const cases of chosen) {
    for (const opCase of cases()) {
      if (wanted.length === 0 || wanted.some((name) => opCase.op.name === name || opCase.op.name.startsWith(`${name}_`)))
        yield opCase
    }
  }
}

export const benchmarkedOps = ['linear', 'attention', 'adamw', 'rms_norm', 'swiglu'] as const
