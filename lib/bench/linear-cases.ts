import { linearBackwardInputOp, linearBackwardWeightOp, linearOp } from '../graph/ops/linear.js'
import { type ComputeType, U } from './compute-type.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** Elements of a result that are held against double. */
const CHECKED = 100

/** A matrix as a product reads it: element (i, j) is values[i·rowStride + j·columnStride]. */
interface Matrix {
  values: Float32Array
  rowStride: number
  columnStride: number
}
const rows = (values: Float32Array, columns: number): Matrix => ({ values, rowStride: columns, columnStride: 1 })
const transposed = (values: Float32Array, columns: number): Matrix => ({ values, rowStride: 1, columnStride: columns })

/** y = x·weightᵀ, d_x = d_y·weight and d_weight = d_yᵀ·x. */
export function* linearCases(type: ComputeType, sizes: BenchSizes): Generator<OpCase> {
  for (const shape of sizes.linear) {
    const { T, K, N } = shape
    const [x, dY, weight] = [type.random(T * K, 1), type.random(T * N, 2), type.random(N * K, 3)]
    const operands = {
      x: { shape: [T, K], values: x },
      d_y: { shape: [T, N], values: dY },
      weight: { shape: [N, K], values: weight },
    }
    const base = { shape: { ...shape }, flops: 2 * T * K * N }
    yield {
      ...{ ...base, op: linearOp, direction: 'forward' },
      operands: { y: { shape: [T, N] }, x: operands.x, weight: operands.weight },
      check: checkProduct('y', [T, N, K], rows(x, K), transposed(weight, K)),
    }
    yield {
      ...{ ...base, op: linearBackwardInputOp, direction: 'd_x' },
      operands: { d_x: { shape: [T, K] }, d_y: operands.d_y, weight: operands.weight },
      check: checkProduct('d_x', [T, K, N], rows(dY, N), rows(weight, K)),
    }
    yield {
      ...{ ...base, op: linearBackwardWeightOp, direction: 'd_weight' },
      operands: { d_weight: { shape: [N, K], values: new Float32Array(N * K) }, d_y: operands.d_y, x: operands.x },
      check: checkProduct('d_weight', [N, K, T], transposed(dY, N), rows(x, K)),
    }
  }
}

/** Some elements of a·b [m, n] within k·2⁻²⁴·Σ|a·b|, the bound of a sum of k products in float32. */
function checkProduct(name: string, [m, n, k]: [number, number, number], a: Matrix, b: Matrix): OpCase['check'] {
  return async ({ read, expectClose }) => {
    const got = await read(name)
    for (let checked = 0; checked < CHECKED; checked++) {
      const [i, j] = [(checked * 7919) % m, (checked * 104729) % n]
      let sum = 0
      let size = 0
      for (let p = 0; p < k; p++) {
        const term = a.values[i * a.rowStride + p * a.columnStride]! * b.values[p * b.rowStride + j * b.columnStride]!
        sum += term
        size += Math.abs(term)
      }
      expectClose(name, i * n + j, got[i * n + j]!, sum, k * U * size)
    }
  }
}
