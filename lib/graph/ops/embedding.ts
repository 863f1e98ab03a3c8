import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const embeddingOp: OpDefinition = {
  ...contracts.embedding,
  gradient(node, context) {
    const { table, ids } = node.operands
    const d_out = context.outputGradient(node, 'out')
    context.graph.append(embeddingBackwardOp, { d_table: context.parameterGradient(table!), d_out, ids })
  },
}

export const embeddingBackwardOp: OpDefinition = contracts.embedding_backward

/** out[t] = table[ids[t]]: [T, C] from table [V, C] and ids [T]. */
export function embedding(graph: Graph, args: { table: Tensor; ids: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [args.ids.shape[0]!, args.table.shape[1]!])
  graph.append(embeddingOp, { out, table: args.table, ids: args.ids })
  return out
}
