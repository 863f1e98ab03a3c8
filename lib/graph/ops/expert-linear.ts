import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const expertLinearOp: OpDefinition = contracts.expert_linear

/** y [T, N]: x [T, C] times the weights [E, N, C] of each token's experts [T, K], weighed by weights [T, K] and summed. */
export function expertLinear(
  graph: Graph,
  args: { x: Tensor; weight: Tensor; experts: Tensor; weights: Tensor; name: string },
): Tensor {
  const { x, weight, experts, weights, name } = args
  const y = graph.activation(name, [x.shape[0]!, weight.shape[1]!])
  graph.append(expertLinearOp, { y, x, weight, experts, weights })
  return y
}
