/**
 * A generator of uniform 32-bit numbers: xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it), whose state is filled
 * from a 32-bit seed by splitmix32. The same seed gives the same numbers on every machine and in every release.
 */
export class UniformBits {
  private readonly state: Uint32Array

  constructor(seed: number) {
    this.state = Uint32Array.from({ length: 4 }, (_, index) => splitmix32(seed + index * goldenRatio))
  }

  /** A whole number from 0 to 2³² − 1. */
  uint32(): number {
    const s = this.state
    const result = Math.imul(rotateLeft(Math.imul(s[1]!, 5), 7), 9) >>> 0
    const shifted = s[1]! << 9
    s[2]! ^= s[0]!
    s[3]! ^= s[1]!
    s[1]! ^= s[2]!
    s[0]! ^= s[3]!
    s[2]! ^= shifted
    s[3] = rotateLeft(s[3]!, 11)
    return result
  }
}

/** Seeded uniform numbers, choices and orders. */
export class Random {
  private readonly bits: UniformBits

  /** Each seed is an integer; `new Random(seed, epoch)` gives every epoch a stream of its own. */
  constructor(...seeds: number[]) {
    let mixed = 0
    for (const seed of seeds) {
      mixed = splitmix32((mixed ^ (seed >>> 0)) >>> 0)
      mixed = splitmix32((mixed ^ (Math.floor(seed / 2 ** 32) >>> 0)) >>> 0)
    }
    this.bits = new UniformBits(mixed + goldenRatio)
  }

  /** A whole number from 0 to 2³² − 1. */
  uint32(): number {
    return this.bits.uint32()
  }

  /** A whole number from 0 to `bound` − 1, every one equally likely: numbers from the incomplete last range are drawn again. */
  below(bound: number): number {
    if (!(bound >= 1)) throw new RangeError(`expected a bound of at least 1 but received ${bound}`)
    const limit = 2 ** 32 - (2 ** 32 % bound)
    for (;;) {
      const drawn = this.uint32()
      if (drawn < limit) return drawn % bound
    }
  }

  /** One of the choices, every one equally likely. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }
}

/** 2³² divided by the golden ratio: splitmix32's step from one number to the next. */
const goldenRatio = 0x9e3779b9

function splitmix32(value: number): number {
  let mixed = (value + goldenRatio) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}
