import type { ModelConfig } from '../../lib/config/model-config.js'

type Numbers = ArrayLike<number>

/** theta^(−2i/D), scaled as Llama 3.1 does where the config says so; in double, where models have them in float32. */
export function rotaryFrequencies({ headDim, ropeTheta, ropeScaling }: ModelConfig): Float64Array {
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headDim))
  if (ropeScaling?.type !== 'llama3') return frequencies.map((f) => f / (ropeScaling?.factor ?? 1))
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings } = ropeScaling
  return frequencies.map((f) => {
    const turns = (originalMaxPositionEmbeddings * f) / (2 * Math.PI)
    const share = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return share * f + ((1 - share) * f) / factor
  })
}

/** Angles, cosines and sines [T, P] of positions [T] times inverse frequencies [P]. */
export function rotaryTable(positions: Numbers, inverseFrequency: Numbers) {
  const half = inverseFrequency.length
  const angles = Float64Array.from(
    { length: positions.length * half },
    (_, i) => positions[Math.floor(i / half)]! * inverseFrequency[i % half]!,
  )
  return { angles, cos: angles.map(Math.cos), sin: angles.map(Math.sin) }
}

/** Each head of 2P channels, a = x[p] and b = x[p + P]: out[p] = a·cos − b·sin, out[p + P] = b·cos + a·sin. */
export function rotate(
  x: Numbers,
  cos: Numbers,
  sin: Numbers,
  shape: { tokens: number; heads: number; half: number },
  direction: number,
) {
  const { tokens, heads, half } = shape
  const out = new Float64Array(x.length)
  const sizes = new Float64Array(x.length)
  for (let t = 0; t < tokens; t++)
    for (let h = 0; h < heads; h++)
      for (let p = 0; p < half; p++) {
        const i = (t * heads + h) * 2 * half + p
        const [a, b, c, s] = [x[i]!, x[i + half]!, cos[t * half + p]!, direction * sin[t * half + p]!]
        out[i] = a * c - b * s
        out[i + half] = b * c + a * s
        sizes[i] = Math.abs(a * c) + Math.abs(b * s)
        sizes[i + half] = Math.abs(b * c) + Math.abs(a * s)
      }
  return { out, sizes }
}
