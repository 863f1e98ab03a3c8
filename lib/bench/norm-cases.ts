import type { OpDefinition } from '../graph/op.js'
import { headNormBackwardOp, headNormOp } from '../graph/ops/head-norm.js'
import { rmsNormBackwardOp, rmsNormOp } from '../graph/ops/rms-norm.js'
import { type ComputeType, U } from './compute-type.js'
import type { OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** T tokens of H groups of D channels; each group is normalised by itself. */
interface NormShape {
  T: number
  H: number
  D: number
}

export function rmsNormCases(type: ComputeType, { stream: { T, C } }: BenchSizes): Generator<OpCase> {
  const dSum = type.random(T * C, 4)
  return normCases(type, { forward: rmsNormOp, backward: rmsNormBackwardOp, T, H: 1, D: C, shape: { T, C }, dSum })
}

export function headNormCases(type: ComputeType, { normedHeads: { T, H, D } }: BenchSizes): Generator<OpCase> {
  return normCases(type, { forward: headNormOp, backward: headNormBackwardOp, T, H, D, shape: { T, H, D } })
}

interface NormCase extends NormShape {
  forward: OpDefinition
  backward: OpDefinition
  shape: Record<string, number>
  /** Another gradient that reaches the numbers which are normalised. */
  dSum?: Float32Array
}

function* normCases(type: ComputeType, { forward, backward, T, H, D, shape, dSum }: NormCase): Generator<OpCase> {
  const [x, dOut, weight] = [type.random(T * H * D, 1), type.random(T * H * D, 2), type.random(D, 3)]
  const wide = (values?: Float32Array) => ({ shape: [T, H * D], ...(values && { values }) })
  const operands = {
    x: wide(x),
    rstd: { shape: H === 1 ? [T] : [T, H] },
    weight: { shape: [D], values: weight },
  }
  const matrix = T * H * D * type.bytes
  yield {
    ...{ op: forward, direction: 'forward', shape, attributes: { eps: 1e-6 }, bytes: 2 * matrix },
    operands: { out: wide(), ...operands },
    async check({ read, expectClose }) {
      const [out, rstd] = [await read('out'), await read('rstd')]
      for (const group of sampledGroups(T * H)) {
        const start = group * D
        const squares = x.subarray(start, start + D).reduce((sum, value) => sum + value * value, 0)
        const expected = 1 / Math.sqrt(squares / D + 1e-6)
        expectClose('rstd', group, rstd[group]!, expected, D * U * expected)
        for (let i = 0; i < D; i += 37) {
          const value = x[start + i]! * expected * weight[i]!
          expectClose('out', start + i, out[start + i]!, value, (D + 4) * U * Math.abs(value))
        }
      }
    },
  }
  yield {
    ...{ op: backward, before: forward, direction: 'backward', shape, attributes: { eps: 1e-6 } },
    bytes: (dSum ? 4 : 3) * matrix,
    operands: {
      d_x: wide(),
      out: wide(),
      d_weight: { shape: [D], values: new Float32Array(D) },
      d_out: wide(dOut),
      ...(dSum && { d_sum: wide(dSum) }),
      ...operands,
    },
    async check({ read, expectClose }) {
      const [dX, dWeight, rstd] = [await read('d_x'), await read('d_weight'), await read('rstd')]
      for (const group of sampledGroups(T * H)) {
        const expected = inputGradient(group * D, { x, dOut, weight, rstd: rstd[group]!, dSum })
        for (let i = 0; i < D; i += 37) {
          const at = group * D + i
          expectClose('d_x', at, dX[at]!, expected.values[i]!, (D + 16) * U * expected.sizes[i]!)
        }
      }
      for (const i of [0, 5, D - 1]) {
        let sum = 0
        let size = 0
        for (let group = 0; group < T * H; group++) {
          const term = dOut[group * D + i]! * x[group * D + i]! * rstd[group]!
          sum += term
          size += Math.abs(term)
        }
        expectClose('d_weight', i, dWeight[i]!, sum, (T * H + 4) * U * size)
      }
    },
  }
}

function sampledGroups(count: number): number[] {
  return Array.from({ length: 50 }, (_, n) => (n * 7919) % count)
}

interface Group {
  x: Float32Array
  dOut: Float32Array
  weight: Float32Array
  rstd: number
  dSum: Float32Array | undefined
}

/** d_x of the group that starts at `start`, and the size of its terms: g = d_out·weight, n = x·rstd, rstd·(g − n·mean(g·n)) + d_sum. */
function inputGradient(start: number, { x, dOut, weight, rstd, dSum }: Group): { values: Float64Array; sizes: Float64Array } {
  const D = weight.length
  const g = Float64Array.from(weight, (w, i) => dOut[start + i]! * w)
  const n = Float64Array.from(weight, (_, i) => x[start + i]! * rstd)
  const mean = g.reduce((sum, value, i) => sum + value * n[i]!, 0) / D
  const meanSize = g.reduce((sum, value, i) => sum + Math.abs(value * n[i]!), 0) / D
  return {
    values: g.map((value, i) => rstd * (value - n[i]! * mean) + (dSum?.[start + i] ?? 0)),
    sizes: g.map((value, i) => rstd * (Math.abs(value) + Math.abs(n[i]!) * meanSize) + Math.abs(dSum?.[start + i] ?? 0)),
  }
}
