type Numbers = ArrayLike<number>

/** The formulas of route and expert_linear in double, and sizes of what is added up, for the bounds. */
export function route(logits: Numbers, tokens: number, count: number, chosen: number) {
  const experts = new Int32Array(tokens * chosen)
  const weights = new Float64Array(tokens * chosen)
  for (let t = 0; t < tokens; t++) {
    const row = Array.from({ length: count }, (_, e) => logits[t * count + e]!)
    const order = row
      .map((_, e) => e)
      .sort((a, b) => (Number.isNaN(row[b]!) ? -1 : Number.isNaN(row[a]!) ? 1 : row[b]! - row[a]!) || a - b)
    const exponentials = order.slice(0, chosen).map((e) => Math.exp(row[e]! - row[order[0]!]!))
    const total = exponentials.reduce((a, b) => a + b)
    for (let k = 0; k < chosen; k++) {
      experts[t * chosen + k] = order[k]!
      weights[t * chosen + k] = exponentials[k]! / total
    }
  }
  return { experts, weights }
}

export interface ExpertShape {
  tokens: number
  columns: number
  outputs: number
  count: number
  chosen: number
}

export function expertLinear(x: Numbers, weight: Numbers, experts: Numbers, weights: Numbers, shape: ExpertShape) {
  const { tokens, columns, outputs, count, chosen } = shape
  const values = new Float64Array(tokens * outputs)
  const sizes = new Float64Array(tokens * outputs)
  for (let t = 0; t < tokens; t++)
    for (let n = 0; n < outputs; n++)
      for (let k = 0; k < chosen; k++) {
        const expert = experts[t * chosen + k]!
        if (expert < 0 || expert >= count) continue
        for (let c = 0; c < columns; c++) {
          const term = weights[t * chosen + k]! * weight[(expert * outputs + n) * columns + c]! * x[t * columns + c]!
          values[t * outputs + n]! += term
          sizes[t * outputs + n]! += Math.abs(term)
        }
      }
  return { values, sizes }
}
