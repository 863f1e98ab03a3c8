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

/** y = x, of any type; between two memories on the copy queue. */
export const copyOp: OpDefinition = contracts.copy

/** y = x in another type, rounded to nearest even: from float32 to bfloat16 or back. */
export const castOp: OpDefinition = contracts.cast

/** Sets a storage to 0, as gradients before the first micro-batch adds to them. */
export const zeroOp: OpDefinition = contracts.zero

/** out = a + b, [T, C]. */
export function add(graph: Graph, args: { a: Tensor; b: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [...args.a.shape])
  graph.append(addOp, { out, a: args.a, b: args.b })
  return out
}
