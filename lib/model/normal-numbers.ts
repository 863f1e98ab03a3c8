/** Seeded normally distributed numbers; the same everywhere, because V8 computes log, cos and sin itself. */
export class NormalNumbers {
  private readonly state: Uint32Array
  private spare: number | undefined

  /** `stream` gives independent sequences of one seed. */
  constructor(seed: number, stream: number) {
    this.state = new Uint32Array(4)
    let mixed = (Math.imul(seed, 0x9e3779b9) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0
    // splitmix32 spreads the seed over the state.
    for (let i = 0; i < 4; i++) {
      mixed = (mixed + 0x9e3779b9) >>> 0
      let z = mixed
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      this.state[i] = z ^ (z >>> 15)
    }
  }

  /** The next number of N(0, 1): Box–Muller, in pairs. */
  next(): number {
    if (this.spare !== undefined) {
      const value = this.spare
      this.spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log((this.bits() + 1) / 2 ** 32)) // (0, 1]: the logarithm stays finite
    const angle = (2 * Math.PI * this.bits()) / 2 ** 32
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** 32 uniform bits: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators"). */
  private bits(): number {
    const s = this.state as unknown as [number, number, number, number]
    const product = Math.imul(s[1], 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = (s[3] << 11) | (s[3] >>> 21)
    return result
  }
}
