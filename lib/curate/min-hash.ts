import { UniformBits } from '../random/random.js'

/**
 * MinHash (Broder, 1997) over shingles of words. Two texts share the minimum of a random hash over their shingles with
 * probability J, their Jaccard similarity. They share a band of three minima with J³, and at least one of twenty bands with 1 −
 * (1 − J³)²⁰: 0.9998 for J = 0.7, 0.93 for J = 0.5.
 */
const BANDS = 20
const ROWS = 3

/** Multipliers (odd) and summands of the hash functions. The same in every run: a seed would only change which pairs are missed. */
const functions = (() => {
  const bits = new UniformBits(0x5eed)
  return Array.from({ length: BANDS * ROWS }, () => ({ multiplier: bits.uint32() | 1, summand: bits.uint32() }))
})()

/** Shingles: the set of hashes of a text's runs of `size` words; one hash of the whole text where it is shorter. */
export function shinglesOf(words: readonly string[], size: number): Set<number> {
  const hashes = words.map(hashWord)
  const shingles = new Set<number>()
  const last = Math.max(0, hashes.length - size)
  for (let start = 0; start <= last; start++) {
    let hash = 0x811c9dc5
    for (let at = start; at < Math.min(start + size, hashes.length); at++) hash = mix(Math.imul(hash, 31) ^ hashes[at]!)
    shingles.add(hash >>> 0)
  }
  return shingles
}

/** One hash for each band of minima; `salt` separates sets that must not be compared. */
export function bandsOf(shingles: ReadonlySet<number>, salt: string): { partition: number; key: number }[] {
  const least = new Uint32Array(functions.length).fill(0xffffffff)
  for (const shingle of shingles) {
    for (let index = 0; index < functions.length; index++) {
      const { multiplier, summand } = functions[index]!
      const value = mix(Math.imul(shingle, multiplier) + summand) >>> 0
      if (value < least[index]!) least[index] = value
    }
  }
  const salted = hashWord(salt)
  return Array.from({ length: BANDS }, (_, band) => {
    let hash = mix(salted ^ (band + 1))
    for (let row = 0; row < ROWS; row++) hash = mix(Math.imul(hash, 31) ^ least[band * ROWS + row]!)
    return { partition: mix(hash ^ 0x9e3779b9) & 63, key: hash >>> 0 }
  })
}

/** |a ∩ b| / |a ∪ b| */
export function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0
  for (const shingle of a) if (b.has(shingle)) shared += 1
  return shared / (a.size + b.size - shared)
}

/** FNV-1a over UTF-16 units, mixed. */
export function hashWord(word: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), 0x01000193)
  return mix(hash)
}

/** The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
function mix(value: number): number {
  let hash = value | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
