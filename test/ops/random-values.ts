import { NormalNumbers } from '../../lib/random/normal-numbers.js'

/** `count` numbers of N(0, scale²), the same for a seed. */
export function normalValues(seed: number, count: number, scale = 1): Float32Array {
  const normal = new NormalNumbers(seed, count)
  return Float32Array.from({ length: count }, () => normal.next() * scale)
}
