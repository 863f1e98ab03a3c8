import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const swigluOp: OpDefinition = {
  ...contracts.swiglu,
  gradient(node, context) {
    const { gate, up } = node.operands
    const d_out = context.outputGradient(node, 'out')
    const d_gate = context.newGradient(gate!)
    const d_up = context.newGradient(up!)
    context.graph.append(swigluBackwardOp, { d_gate, d_up, d_out, gate, up })
    context.flow(gate!, d_gate)
    context.flow(up!, d_up)
  },
}

export const swigluBackwardOp: OpDefinition = {
  ...contracts.swiglu_backward,
  inPlace: [
    ['d_gate', 'gate'],
    ['d_up', 'up'],
  ],
}

/** silu(gate) · up, all [T, F]. */
export function swiglu(graph: Graph, args: { gate: Tensor; up: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [...args.gate.shape])
  graph.append(swigluOp, { out, gate: args.gate, up: args.up })
  return out
}
