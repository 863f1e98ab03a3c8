import { type Expected, U } from './check-op.js'

export interface Settings {
  learning_rate: number
  beta1: number
  beta2: number
  eps: number
  weight_decay: number
}

export interface State {
  parameters: ArrayLike<number>
  first_moment: ArrayLike<number>
  second_moment: ArrayLike<number>
}

/** One step of PyTorch's AdamW in double, with bounds for one step in float32 from the same start. */
export function adamw(
  state: State,
  gradients: ArrayLike<number>,
  clip: number,
  step: number,
  settings: Settings,
): Record<keyof State, Required<Expected>> {
  const { learning_rate: lr, beta1, beta2, eps, weight_decay } = settings
  const n = gradients.length
  const empty = () => ({ values: new Float64Array(n), bounds: new Float64Array(n) })
  const [p, m, v] = [empty(), empty(), empty()]
  for (let i = 0; i < n; i++) {
    const g = clip * gradients[i]!
    const [p0, m0, v0] = [state.parameters[i]!, state.first_moment[i]!, state.second_moment[i]!]
    m.values[i] = beta1 * m0 + (1 - beta1) * g
    v.values[i] = beta2 * v0 + (1 - beta2) * g * g
    const denominator = Math.sqrt(v.values[i]!) / Math.sqrt(1 - beta2 ** step) + eps
    const change = (lr / (1 - beta1 ** step)) * (m.values[i]! / denominator)
    p.values[i] = p0 * (1 - lr * weight_decay) - change
    // The clipped gradient, its square, the rounded constants, a product and a sum: at most six roundings of each term.
    m.bounds[i] = 6 * U * (Math.abs(beta1 * m0) + Math.abs((1 - beta1) * g))
    v.bounds[i] = 6 * U * v.values[i]!
    // The change inherits the errors of m and of √v and has six roundings of its own; the weight has three.
    const changeOfM = (lr / (1 - beta1 ** step)) * (m.bounds[i]! / denominator)
    p.bounds[i] = 3 * U * (Math.abs(p0) + Math.abs(change)) + changeOfM + 10 * U * Math.abs(change)
  }
  return { parameters: p, first_moment: m, second_moment: v }
}

/** The factor that clips gradients of that norm, as PyTorch's clip_grad_norm_; `maxNorm` 0: no clipping. */
export function clipScale(norm: number, maxNorm: number): number {
  return maxNorm === 0 ? 1 : Math.min(1, maxNorm / (norm + 1e-6))
}
