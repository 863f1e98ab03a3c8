type Numbers = ArrayLike<number>

/** A matrix as a product reads it: element (i, j) is values[i·rowStride + j·colStride]. */
interface Matrix {
  values: Numbers
  rowStride: number
  colStride: number
}
const rows = (values: Numbers, columns: number): Matrix => ({ values, rowStride: columns, colStride: 1 })
const transposed = (values: Numbers, columns: number): Matrix => ({ values, rowStride: 1, colStride: columns })

/** c[i,j] = Σ_k a(i,k)·b(k,j), and Σ |a·b|, in double. */
function product(m: number, n: number, k: number, a: Matrix, b: Matrix) {
  const values = new Float64Array(m * n)
  const sizes = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let p = 0; p < k; p++) {
      const x = a.values[i * a.rowStride + p * a.colStride]!
      for (let j = 0; j < n; j++) {
        const term = x * b.values[p * b.rowStride + j * b.colStride]!
        values[i * n + j]! += term
        sizes[i * n + j]! += Math.abs(term)
      }
    }
  return { values, sizes }
}

export interface Shape {
  tokens: number
  inner: number
  outer: number
}

/** y = x·weightᵀ, d_x = d_y·weight, d_weight = d_yᵀ·x, d_bias = 1ᵀ·d_y. */
export const forward = ({ tokens, inner, outer }: Shape, x: Numbers, weight: Numbers) =>
  product(tokens, outer, inner, rows(x, inner), transposed(weight, inner))
export const backwardInput = ({ tokens, inner, outer }: Shape, dY: Numbers, weight: Numbers) =>
  product(tokens, inner, outer, rows(dY, outer), rows(weight, inner))
export const backwardWeight = ({ tokens, inner, outer }: Shape, dY: Numbers, x: Numbers) =>
  product(outer, inner, tokens, transposed(dY, outer), rows(x, inner))
export const backwardBias = ({ tokens, outer }: Shape, dY: Numbers) =>
  product(1, outer, tokens, rows(new Float32Array(tokens).fill(1), tokens), rows(dY, outer))
