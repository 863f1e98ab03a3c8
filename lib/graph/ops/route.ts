import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const routeOp: OpDefinition = contracts.route

/** The `chosen` experts of each token with the largest logits [T, E], and their weights by a softmax: int32 and float32 [T, K]. */
export function route(
  graph: Graph,
  args: { logits: Tensor; chosen: number; name: string },
): { experts: Tensor; weights: Tensor } {
  const { logits, chosen, name } = args
  const shape = [logits.shape[0]!, chosen]
  const experts = graph.activation(`${name}.experts`, shape, 'i32')
  const weights = graph.activation(`${name}.weights`, shape, 'f32')
  graph.append(routeOp, { experts, weights, logits })
  return { experts, weights }
}
