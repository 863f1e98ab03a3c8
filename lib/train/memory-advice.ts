import { measureTraining, type TrainPlanOptions } from './train-plan.js'

/** What a run can do within a memory limit. */
export interface MemoryAdvice {
  limit: number
  /** The fewest layers to recompute with which the run fits; undefined where it does not with all of them. */
  recomputedLayers: number | undefined
  /** The most tokens of a micro-batch that fit with every layer recomputed; 0 where not even a few do. */
  largestTokens: number
}

/** Tokens that are tried come in multiples of this. */
const GRAIN = 64
/** No longer ones are tried. */
export const MOST_TOKENS = 1 << 20

/**
 * Says for several memory limits, in bytes, how a run of these options would fit them. `besides`: bytes that it needs besides the plan.
 * The plans are made and measured, not estimated.
 */
export function adviseOnMemory(options: TrainPlanOptions, limits: readonly number[], besides = 0): MemoryAdvice[] {
  const sizes = new RunSizes(options, besides)
  return limits.map((limit) => ({
    limit,
    recomputedLayers: sizes.fewestRecomputed(limit),
    largestTokens: sizes.largestTokens(limit),
  }))
}

/** Sizes of a run that were asked for, each measured once. */
class RunSizes {
  private readonly known = new Map<string, number>()

  constructor(
    private readonly options: TrainPlanOptions,
    private readonly besides: number,
  ) {}

  fewestRecomputed(limit: number): number | undefined {
    const { maxTokens } = this.options
    let [low, high] = [0, this.options.config.numHiddenLayers]
    if (this.bytes(high, maxTokens) > limit) return undefined
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.bytes(middle, maxTokens) <= limit) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Memory grows with the tokens, nearly in proportion: each guess lies on the line through what is known, and is then measured. */
  largestTokens(limit: number): number {
    const layers = this.options.config.numHiddenLayers
    const fits = (tokens: number) => this.bytes(layers, tokens) <= limit
    let [fitting, tooMany] = [0, MOST_TOKENS + GRAIN]
    if (!fits(GRAIN)) return 0
    fitting = GRAIN
    while (tooMany - fitting > GRAIN) {
      const [a, b] = [fitting, tooMany > MOST_TOKENS ? 2 * fitting : tooMany]
      const slope = (this.bytes(layers, b) - this.bytes(layers, a)) / (b - a)
      const guess = Math.floor((a + (limit - this.bytes(layers, a)) / slope) / GRAIN) * GRAIN
      const tokens = Math.min(Math.max(guess, fitting + GRAIN), tooMany - GRAIN)
      if (fits(tokens)) fitting = tokens
      else tooMany = tokens
      // The next to a guess that fits usually does not: that ends the search.
      if (fitting === tokens && tokens + GRAIN < tooMany) {
        if (fits(tokens + GRAIN)) fitting = tokens + GRAIN
        else tooMany = tokens + GRAIN
      }
    }
    return fitting
  }

  private bytes(recomputed: number, maxTokens: number): number {
    const key = `${recomputed} ${maxTokens}`
    const known = this.known.get(key) ?? measureTraining({ ...this.options, maxTokens }, recomputed) + this.besides
    this.known.set(key, known)
    return known
  }
}
