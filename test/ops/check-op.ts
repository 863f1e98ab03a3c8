import type { Test } from 'tap'
import type { ErrorCode } from '../../lib/errors.js'
import { relativeL2 } from '../tensor-files.js'
import {
  cpuTargets,
  cudaTargets,
  float32OpTargets,
  notAligned,
  type OpCall,
  opTargets,
  refusalOf,
  runOp,
  type Target,
} from './run-op.js'

/** Unit roundoff of float32: the relative error of one rounded operation. */
export const U = 2 ** -24

type Numbers = ArrayLike<number>

/** What an operand has to be: values in double, and how far each may be off. No bound: equal, bit for bit. */
export interface Expected {
  values: Numbers
  bounds?: Numbers
}

/** Asserts that every element of `got` is within its bound of `want`. */
export function within(t: Test, got: Numbers, want: Numbers, bounds: Numbers, what: string): void {
  let worst = 0
  let at = 0
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!)
    // NaN is off by any measure.
    const ratio = error === 0 ? 0 : error <= bounds[i]! ? error / bounds[i]! : Number.isNaN(error) ? Infinity : error / bounds[i]!
    if (ratio > worst) [worst, at] = [ratio, i]
  }
  t.ok(
    worst <= 1 && got.length === want.length,
    `${what}: at most ${worst.toPrecision(2)} of its bound, at ${at}: ${got[at]} for ${want[at]} ± ${bounds[at]}`,
  )
}

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))
}

/**
 * Asserts that numbers which are sums of `terms` products are the same whatever rows are computed beside theirs: to the bit, or, where the
 * number of rows chooses the order of sums, up to that order and one rounding of what is bfloat16.
 */
export function sameSums(
  t: Test,
  { choosesBySize = false }: Target,
  [got, want]: [Float32Array, Float32Array],
  { terms, dtype }: { terms: number; dtype: 'f32' | 'bf16' },
  what: string,
): void {
  if (!choosesBySize) {
    t.same(got, want, what)
    return
  }
  const bound = terms * U + (dtype === 'bf16' ? 2 ** -8 : 0)
  const error = relativeL2(got, want)
  t.ok(error <= bound, `${what}: relative L2 difference ${error} ≤ ${bound}`)
}

/**
 * Where a call runs: on every instruction set that makes a difference, with one thread, and on CUDA devices. There kernels take several
 * numbers at once from aligned operands, and one at a time from others; attention in bfloat16 alone has kernels of its own for each
 * generation, and one that is not aligned goes to the older ones.
 */
export function targetsOf({ op, operands }: OpCall): Target[] {
  if (!Object.values(operands).some(({ dtype }) => dtype === 'bf16')) return float32OpTargets
  if (op !== 'attention' && op !== 'attention_backward') return opTargets
  return [...cpuTargets, ...cudaTargets, ...cudaTargets.slice(-1).map(notAligned)]
}

/**
 * Runs a call on every instruction set, twice with one thread, then with two and three, and twice on a CUDA device, all of
 * which must give the same bits; and holds what it wrote against what is expected of it.
 */
export async function checkOp(t: Test, name: string, call: OpCall, expected: Record<string, Expected>): Promise<void> {
  for (const target of targetsOf(call)) {
    const { instructionSet } = target
    const outputs = await runOp(call, target)
    for (const threads of target.device === undefined ? [1, 2, 3] : [1]) {
      const again = await runOp(call, { ...target, threads })
      const different = Object.keys(outputs).filter((operand) => !sameBits(outputs[operand]!, again[operand]!))
      if (different.length > 0) t.fail(`${name}, ${instructionSet}: other bits of ${different} with ${threads} threads`)
    }
    for (const [operand, { values, bounds }] of Object.entries(expected)) {
      const what = `${name}, ${instructionSet}: ${operand}`
      if (bounds) within(t, outputs[operand]!, values, bounds, what)
      else t.ok(sameBits(outputs[operand]!, Float32Array.from(values)), `${what} to the bit`)
    }
  }
}

/** Everywhere a call is refused with an error that says why, and nothing is written. */
export async function checkRefused(t: Test, name: string, call: OpCall, code: ErrorCode, message: RegExp): Promise<void> {
  for (const target of targetsOf(call))
    t.match(await refusalOf(call, target), { code, message }, `${name}, ${target.instructionSet}`)
}

/**
 * Holds gradients written down by a formula against central differences of `loss`, element by element, all in double.
 *
 * With h = 1e-5 the differences are off by h²/6 of the third derivative and by 1e-16/h of the loss: below 1e-8 for
 * numbers of the size of one. A wrong term is off by a tenth or more.
 */
export function checkGradients(
  t: Test,
  what: string,
  inputs: Record<string, Float64Array>,
  loss: (inputs: Record<string, Float64Array>) => number,
  gradients: Record<string, Numbers>,
): void {
  const h = 1e-5
  for (const [name, gradient] of Object.entries(gradients)) {
    const values = inputs[name]!
    const differences = values.map((value, i) => {
      const moved = (by: number) => loss({ ...inputs, [name]: values.with(i, value + by) })
      return (moved(h) - moved(-h)) / (2 * h)
    })
    within(
      t,
      gradient,
      differences,
      Array.from(differences, (d) => 1e-6 * (1 + Math.abs(d))),
      `${what}: gradient of ${name}`,
    )
  }
}

/** Σ a·b, in double. */
export function dot(a: Numbers, b: Numbers): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
