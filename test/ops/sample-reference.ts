import { U } from './check-op.js'

/** How the token of one row is chosen, as in sample.h. */
export interface SampleOptions {
  temperature: number
  topK: number
  topP: number
  minP: number
  uniform: number
}

/** A token that may be chosen: its score, its weight as a multiple of 2⁻⁴⁰, and how far float32 may be off in that. */
interface Candidate {
  id: number
  z: number
  weight: number
  bound: number
}

const UNITS = 2 ** 40

const total = (candidates: readonly Candidate[], part: 'weight' | 'bound' = 'weight') =>
  candidates.reduce((sum, candidate) => sum + candidate[part], 0)

function weigh(z: ArrayLike<number>, temperature: number): Candidate[] {
  const max = Array.from(z).reduce((a, b) => Math.max(a, b))
  const candidates: Candidate[] = []
  for (let id = 0; id < z.length; id++) {
    const x = (z[id]! - max) / temperature
    const units = Math.exp(x) * UNITS
    // A difference, a quotient and an exponential (4 units of roundoff) in float32, then what is below a whole unit.
    if (units > 0.5)
      candidates.push({ id, z: z[id]!, weight: Math.floor(units), bound: units * (2 * Math.abs(x) + 4) * U + (x < 0 ? 1 : 0) })
  }
  return candidates
}

/** 1 or −1 for a number above or below another one, 0 where they are too close to tell. */
const compare = (a: number, b: number, bound: number) => (a > b + bound ? 1 : a < b - bound ? -1 : 0)

/**
 * The tokens that are kept after top_k, top_p and min_p, by rising id; undefined where rounding could decide.
 *
 * Sums of weights are below 2⁵³, or off by less than what the weights are.
 */
export function keptTokens(z: ArrayLike<number>, { temperature, topK, topP, minP }: SampleOptions): Candidate[] | undefined {
  let kept = weigh(z, temperature).sort((a, b) => b.z - a.z || a.id - b.id)
  if (topK >= 1) kept = kept.slice(0, topK)
  if (topP < 1) {
    const [limit, bound] = [topP * total(kept), total(kept, 'bound') + 2]
    let [before, count] = [0, 0]
    for (; count < kept.length; before += kept[count++]!.weight) {
      const order = compare(before, limit, bound)
      // Nothing is before the first, which is always kept.
      if (count > 0 && order === 0) return undefined
      if (count > 0 && order > 0) break
    }
    kept = kept.slice(0, count)
  }
  if (minP > 0) {
    const orders = kept.map(({ z, weight, bound }) => (z === kept[0]!.z ? 1 : compare(weight, minP * UNITS, bound)))
    if (orders.includes(0)) return undefined
    kept = kept.filter((_, i) => orders[i]! > 0)
  }
  return kept.sort((a, b) => a.id - b.id)
}

/** The token that is chosen; undefined where rounding could decide. */
export function chosenToken(z: ArrayLike<number>, options: SampleOptions): number | undefined {
  if (options.temperature === 0) return Array.from(z).reduce((best, value, id) => (value > z[best]! ? id : best), 0)
  const kept = keptTokens(z, options)
  if (kept === undefined) return undefined
  const [aim, bound] = [options.uniform * total(kept), total(kept, 'bound') + 2]
  let sum = 0
  for (const { id, weight } of kept) {
    sum += weight
    const order = id === kept.at(-1)!.id ? 1 : compare(sum, aim, bound)
    if (order === 0) return undefined
    if (order > 0) return id
  }
  return undefined
}

/** z after the penalty, to the bit: one operation in float32. */
export function penalized(z: Float32Array, penalty: number, seen: (id: number) => boolean): Float32Array {
  return z.map((value, id) => (!seen(id) ? value : value > 0 ? value / penalty : value * penalty))
}

/** log softmax(z)[token] and how far float32 may be off. */
export function logprobOf(z: ArrayLike<number>, token: number): { value: number; bound: number } {
  const values = Array.from(z)
  const max = values.reduce((a, b) => Math.max(a, b))
  let [sum, error] = [0, 0]
  for (const value of values) {
    const e = Math.exp(value - max)
    sum += e
    // The difference is rounded, and the exponential is off by 4 units; it may be 0 below e^−87.
    error += e * (Math.abs(value - max) + 4) * U + 1e-37
  }
  const value = values[token]! - max - Math.log(sum)
  // At most 96 additions one after the other in float32, then double; the result is rounded.
  return { value, bound: error / sum + 96 * U + Math.abs(value) * U }
}
