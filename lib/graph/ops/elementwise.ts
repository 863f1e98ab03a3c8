import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const addOp: OpDefinition = {
  ...contracts.add,
  inPlace: [
    ['out', 'a'],
    ['out', 'b'],
  ],
  gradient(node, context) {
    const d = context.gradientOf(node.operands.out!)
    if (!d) return
    context.flow(node.operands.a!, d)
    context.flow(node.operands.b!, d)
  },
}

export const copyOp: OpDefinition = contracts.copy

export const castOp: OpDefinition = contracts.cast

export const zeroOp: OpDefinition = contracts.zero

/** out = a + b, [T, C]. */
export function add(graph: Graph, args: { a: Tensor; b: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [...args.a.shape])
  graph.append(addOp, { out, a: args.a, b: args.b })
  return out
}
