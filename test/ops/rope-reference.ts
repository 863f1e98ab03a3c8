type Numbers = ArrayLike<number>

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
