import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const linearOp: OpDefinition = {
  ...contracts.linear,
  gradient(node, context) {
    const { x, weight, bias } = node.operands
    const d_y = context.outputGradient(node, 'y')
    const d_weight = context.parameterGradient(weight!)
    const d_bias = bias && context.parameterGradient(bias)
    if (d_weight || d_bias) context.graph.append(linearBackwardWeightOp, { d_weight, d_bias, d_y, x })
    if (!context.wants(x!)) return
    const d_x = context.newGradient(x!)
    context.graph.append(linearBackwardInputOp, { d_x, d_y, weight })
    context.flow(x!, d_x)
  },
}

export const linearBackwardInputOp: OpDefinition = contracts.linear_backward_input

export const linearBackwardWeightOp: OpDefinition = contracts.linear_backward_weight

/** y = x·weightᵀ + bias: [T, N] from x [T, K], weight [N, K], bias [N]. */
export function linear(graph: Graph, args: { x: Tensor; weight: Tensor; bias?: Tensor | undefined; name: string }): Tensor {
  const { x, weight, bias, name } = args
  const y = graph.activation(name, [x.shape[0]!, weight.shape[0]!])
  graph.append(linearOp, { y, x, weight, bias })
  return y
}
