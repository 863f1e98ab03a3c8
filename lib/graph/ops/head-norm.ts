import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const headNormOp: OpDefinition = {
  ...contracts.head_norm,
  gradient(node, context) {
    const { x, rstd, weight } = node.operands
    const d_out = context.outputGradient(node, 'out')
    const d_x = context.wants(x!) ? context.newGradient(x!) : undefined
    context.graph.append(headNormBackwardOp, { d_x, d_weight: context.parameterGradient(weight!), d_out, x, rstd, weight })
    if (d_x) context.flow(x!, d_x)
  },
}

export const headNormBackwardOp: OpDefinition = contracts.head_norm_backward

/** RMS norm of each head of x [T, H·D] with one weight [D] for all heads. */
export function headNorm(graph: Graph, args: { x: Tensor; weight: Tensor; eps: number; name: string }): Tensor {
  const { x, weight, eps, name } = args
  const out = graph.activation(name, [...x.shape])
  const rstd = graph.activation(`${name}.rstd`, [x.shape[0]!, x.shape[1]! / weight.shape[0]!], 'f32')
  graph.append(headNormOp, { out, rstd, x, weight }, { eps })
  return out
}
