type Numbers = ArrayLike<number>

export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** silu(gate) · up, in double. */
export function swiglu(gate: Numbers, up: Numbers): Float64Array {
  return Float64Array.from(gate, (g, i) => g * sigmoid(g) * up[i]!)
}

/** d_up = d_out · silu(gate), d_gate = d_out · up · silu′(gate). */
export function swigluBackward(dOut: Numbers, gate: Numbers, up: Numbers) {
  const dUp = Float64Array.from(gate, (g, i) => dOut[i]! * g * sigmoid(g))
  const dGate = Float64Array.from(gate, (g, i) => dOut[i]! * up[i]! * sigmoid(g) * (1 + g * (1 - sigmoid(g))))
  return { dUp, dGate }
}
