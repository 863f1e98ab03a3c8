import { U } from './check-op.js'

type Numbers = ArrayLike<number>
/** The label of a row that is not scored. */
export const NOT_SCORED = -100

export interface Case {
  tokens: number
  columns: number
  vocabulary: number
  hidden: Numbers
  weight: Numbers
  labels: Numbers
  lossWeights: Numbers
}

/**
 * The formulas of linear_cross_entropy.h in double, a row at a time, each with a bound for float32. `roundoff` is that of
 * the gradients of logits, which are rounded to the type of the operands; that of what is stored is not in the bounds.
 */
export function project(c: Case, roundoff = 0) {
  const { tokens, columns, vocabulary, hidden, weight, labels, lossWeights } = c
  const zeros = (n: number) => ({ values: new Float64Array(n), bounds: new Float64Array(n) })
  const [loss, tokenLoss, dHidden, dWeight] = [zeros(1), zeros(tokens), zeros(tokens * columns), zeros(vocabulary * columns)]
  const scored = Array.from(labels).filter((label) => label !== NOT_SCORED).length
  for (let t = 0; t < tokens; t++) {
    const label = labels[t]!
    if (label === NOT_SCORED) continue
    const z = new Float64Array(vocabulary)
    // A logit is a sum of `columns` products: off by γ·Σ|h·w|.
    let zBound = 0
    for (let v = 0; v < vocabulary; v++) {
      let size = 0
      for (let c = 0; c < columns; c++) {
        const term = hidden[t * columns + c]! * weight[v * columns + c]!
        z[v]! += term
        size += Math.abs(term)
      }
      zBound = Math.max(zBound, (columns + 1) * U * size)
    }
    const max = Math.max(...z)
    let total = 0
    for (let v = 0; v < vocabulary; v++) total += Math.exp(z[v]! - max)
    const lse = max + Math.log(total)
    const weightOfLoss = lossWeights[t]!
    tokenLoss.values[t] = lse - z[label]!
    loss.values[0]! += weightOfLoss * tokenLoss.values[t]!
    // exp and sums: a block of 1,024 columns is added up in at least four lanes, so 256 + 2 roundings; the rounded
    // difference to the maximum and the exponential itself (3.4) are at most ten more for what is not negligible.
    const sumRoundings = (Math.min(1024, vocabulary) / 4 + 14) * U
    tokenLoss.bounds[t] = 2 * zBound + sumRoundings + U * Math.abs(tokenLoss.values[t]!)
    loss.bounds[0]! += Math.abs(weightOfLoss) * (tokenLoss.bounds[t]! + 2 * U * Math.abs(tokenLoss.values[t]!))
    for (let v = 0; v < vocabulary; v++) {
      const p = Math.exp(z[v]! - lse)
      const dZ = weightOfLoss * (p - (v === label ? 1 : 0))
      // The rounding of z − max shifts the exponent by up to u·|z − max|; what is below e^−87 counts as 0.
      const relative = 2 * zBound + sumRoundings + 2 * U * Math.abs(z[v]! - max)
      const dZBound = Math.abs(weightOfLoss) * (p * relative + (v === label ? 2 * U : 0)) + 1e-37
      // It is off by that, rounded, and goes through so many roundings of a sum of products.
      const summed = (roundings: number) => dZBound + (Math.abs(dZ) + dZBound) * (roundoff + roundings * U * (1 + roundoff))
      const [dHiddenFactor, dWeightFactor] = [summed(vocabulary + 2), summed(scored + 2)]
      for (let c = 0; c < columns; c++) {
        const [w, h] = [weight[v * columns + c]!, hidden[t * columns + c]!]
        dHidden.values[t * columns + c]! += dZ * w
        dHidden.bounds[t * columns + c]! += dHiddenFactor * Math.abs(w)
        dWeight.values[v * columns + c]! += dZ * h
        dWeight.bounds[v * columns + c]! += dWeightFactor * Math.abs(h)
      }
    }
  }
  return { loss, tokenLoss, dHidden, dWeight }
}
