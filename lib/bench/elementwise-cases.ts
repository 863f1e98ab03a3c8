import { addOp, castOp, copyOp, zeroOp } from '../graph/ops/elementwise.js'
import { ropeOp, rotaryTableOp } from '../graph/ops/rope.js'
import { swigluBackwardOp, swigluOp } from '../graph/ops/swiglu.js'
import { type ComputeType, U } from './compute-type.js'
import { randomValues } from './measure.js'
import type { CheckedResult, OpCase } from './op-case.js'
import type { BenchSizes } from './sizes.js'

/** Holds about a thousand elements of an operand against what they should be: a value and the size of its terms. */
async function checkSome(
  { read, expectClose }: CheckedResult,
  name: string,
  expected: (i: number) => { value: number; bound: number },
): Promise<void> {
  const got = await read(name)
  const step = Math.max(1, Math.floor(got.length / 1000)) | 1
  for (let i = 0; i < got.length; i += step) {
    const { value, bound } = expected(i)
    expectClose(name, i, got[i]!, value, bound)
  }
}

export function* addCases(type: ComputeType, { stream: { T, C } }: BenchSizes): Generator<OpCase> {
  const [a, b] = [type.random(T * C, 1), type.random(T * C, 2)]
  const shape = [T, C]
  yield {
    ...{ op: addOp, direction: 'forward', shape: { T, C }, bytes: 3 * T * C * type.bytes },
    operands: { out: { shape }, a: { shape, values: a }, b: { shape, values: b } },
    check: (result) =>
      checkSome(result, 'out', (i) => ({ value: a[i]! + b[i]!, bound: U * (Math.abs(a[i]!) + Math.abs(b[i]!)) })),
  }
}

export function* copyCases(type: ComputeType, { stream: { T, C } }: BenchSizes): Generator<OpCase> {
  const x = type.random(T * C, 1)
  yield {
    ...{ op: copyOp, direction: 'forward', shape: { T, C }, bytes: 2 * T * C * type.bytes },
    operands: { out: { shape: [T, C] }, x: { shape: [T, C], values: x } },
    check: (result) => checkSome(result, 'out', (i) => ({ value: x[i]!, bound: 0 })),
  }
}

/** Rounds float32 to bfloat16: there is nothing to do for it in float32. */
export function* castCases(type: ComputeType, { flat: N }: BenchSizes): Generator<OpCase> {
  if (type.dtype !== 'bf16') return
  const x = randomValues(N, 1)
  yield {
    ...{ op: castOp, direction: 'forward', shape: { N }, bytes: 6 * N },
    operands: { out: { shape: [N] }, x: { shape: [N], values: x } },
    check: (result) => checkSome(result, 'out', (i) => ({ value: x[i]!, bound: 0 })),
  }
}

/** It clears gradients, which are float32 in any graph. */
export function* zeroCases(type: ComputeType, { flat: N }: BenchSizes): Generator<OpCase> {
  if (type.dtype !== 'f32') return
  yield {
    ...{ op: zeroOp, direction: 'update', shape: { N }, bytes: 4 * N },
    operands: { out: { shape: [N], values: randomValues(N, 1) } },
    check: (result) => checkSome(result, 'out', () => ({ value: 0, bound: 0 })),
  }
}

export function* swigluCases(type: ComputeType, { feedForward: { T, F } }: BenchSizes): Generator<OpCase> {
  const [gate, up, dOut] = [type.random(T * F, 1), type.random(T * F, 2), type.random(T * F, 3)]
  const shape = [T, F]
  const base = { shape: { T, F } }
  const operands = { gate: { shape, values: gate }, up: { shape, values: up } }
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const near = (value: number, roundings: number) => ({ value, bound: roundings * U * Math.abs(value) + 1e-12 })
  yield {
    ...{ ...base, op: swigluOp, direction: 'forward', bytes: 3 * T * F * type.bytes },
    operands: { out: { shape }, ...operands },
    check: (result) => checkSome(result, 'out', (i) => near(gate[i]! * sigmoid(gate[i]!) * up[i]!, 8)),
  }
  yield {
    ...{ ...base, op: swigluBackwardOp, direction: 'backward', bytes: 5 * T * F * type.bytes },
    operands: { d_gate: { shape }, d_up: { shape }, d_out: { shape, values: dOut }, ...operands },
    async check(result) {
      await checkSome(result, 'd_up', (i) => near(dOut[i]! * gate[i]! * sigmoid(gate[i]!), 8))
      await checkSome(result, 'd_gate', (i) => {
        const s = sigmoid(gate[i]!)
        return near(dOut[i]! * up[i]! * s * (1 + gate[i]! * (1 - s)), 24)
      })
    },
  }
}

export function* ropeCases(type: ComputeType, { queries: { T, H, D } }: BenchSizes): Generator<OpCase> {
  const P = D / 2
  const Q = H * 2 * P
  const x = type.random(T * Q, 1)
  const [cos, sin] = [randomValues(T * P, 2), randomValues(T * P, 3)]
  yield {
    ...{ op: ropeOp, direction: 'forward', shape: { T, H, D: 2 * P }, attributes: { direction: 1 } },
    bytes: 2 * T * Q * type.bytes + 8 * T * P,
    operands: {
      out: { shape: [T, Q] },
      x: { shape: [T, Q], values: x },
      cos: { shape: [T, P], values: cos },
      sin: { shape: [T, P], values: sin },
    },
    check: (result) =>
      checkSome(result, 'out', (i) => {
        const channel = i % (2 * P)
        const angle = Math.floor(i / Q) * P + (channel % P)
        const [other, sign] = channel < P ? [x[i + P]!, -1] : [x[i - P]!, 1]
        const terms = [x[i]! * cos[angle]!, sign * other * sin[angle]!] as const
        return { value: terms[0] + terms[1], bound: 3 * U * (Math.abs(terms[0]) + Math.abs(terms[1])) }
      }),
  }
}

/** Angles and their table are float32 in any graph. */
export function* rotaryTableCases(type: ComputeType, { queries: { T, D } }: BenchSizes): Generator<OpCase> {
  if (type.dtype !== 'f32') return
  const P = D / 2
  const positions = Int32Array.from({ length: T }, (_, t) => t)
  const inverseFrequency = Float32Array.from({ length: P }, (_, p) => 1e6 ** (-p / P))
  const angle = (i: number) => positions[Math.floor(i / P)]! * inverseFrequency[i % P]!
  yield {
    ...{ op: rotaryTableOp, direction: 'forward', shape: { T, P }, bytes: 8 * T * P },
    operands: {
      cos: { shape: [T, P] },
      sin: { shape: [T, P] },
      positions: { shape: [T], values: positions },
      inverse_frequency: { shape: [P], values: inverseFrequency },
    },
    async check(result) {
      await checkSome(result, 'cos', (i) => ({ value: Math.cos(angle(i)), bound: U + angle(i) * 2 ** -52 }))
      await checkSome(result, 'sin', (i) => ({ value: Math.sin(angle(i)), bound: U + angle(i) * 2 ** -52 }))
    },
  }
}
