import { UniformBits } from './random.js'

/** Seeded normally distributed numbers; the same everywhere, because V8 computes log, cos and sin itself. */
export class NormalNumbers {
  private readonly uniform: UniformBits
  private spare: number | undefined

  /** `stream` gives independent sequences of one seed. */
  constructor(seed: number, stream: number) {
    this.uniform = new UniformBits((Math.imul(seed, 0x9e3779b9) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0)
  }

  /** The next number of N(0, 1): Box–Muller, in pairs. */
  next(): number {
    if (this.spare !== undefined) {
      const value = this.spare
      this.spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log((this.uniform.uint32() + 1) / 2 ** 32)) // (0, 1]: the logarithm stays finite
    const angle = (2 * Math.PI * this.uniform.uint32()) / 2 ** 32
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}
