import { outputGradient } from '../backward.js'
import type { Graph } from '../graph.js'
import { accumulate, type OpDefinition, optional, read, write } from '../op.js'
import type { Tensor } from '../tensor.js'

export const linearOp: OpDefinition = {
  name: 'linear',
  operands: { y: write('T N'), x: read('T K'), weight: read('N K'), bias: optional(read('N')) },
  gradient(node, context) {
    const { x, weight, bias } = node.operands
    const d_y = outputGradient(node, context, 'y')
    const d_weight = context.parameterGradient(weight!)
    const d_bias = bias && context.parameterGradient(bias)
    context.graph.append(linearBackwardWeightOp, { d_weight, d_bias, d_y, x })
    const d_x = context.newGradient(x!)
    context.graph.append(linearBackwardInputOp, { d_x, d_y, weight })
    context.flow(x!, d_x)
  },
}

export const linearBackwardInputOp: OpDefinition = {
  name: 'linear_backward_input',
  operands: { d_x: write('T K'), d_y: read('T N'), weight: read('N K') },
}

export const linearBackwardWeightOp: OpDefinition = {
  name: 'linear_backward_weight',
  operands: { d_weight: accumulate('N K'), d_bias: optional(accumulate('N')), d_y: read('T N'), x: read('T K') },
}

/** y = x·weightᵀ + bias: [T, N] from x [T, K], weight [N, K], bias [N]. */
export function linear(graph: Graph, args: { x: Tensor; weight: Tensor; bias?: Tensor | undefined; name: string }): Tensor {
  const { x, weight, bias, name } = args
  const y = graph.activation(name, [x.shape[0]!, weight.shape[0]!])
  graph.append(linearOp, { y, x, weight, bias })
  return y
}
