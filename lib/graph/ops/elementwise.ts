import type { Graph } from '../graph.js'
import { type OpDefinition, read, write } from '../op.js'
import type { Tensor } from '../tensor.js'

export const addOp: OpDefinition = {
  name: 'add',
  operands: { out: write('T C'), a: read('T C'), b: read('T C') },
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

export const copyOp: OpDefinition = { name: 'copy', operands: { out: write('T C'), x: read('T C') } }

export const castOp: OpDefinition = { name: 'cast', operands: { out: write('N', 'bf16'), x: read('N', 'f32') } }

export const zeroOp: OpDefinition = { name: 'zero', operands: { out: write('N', 'f32') } }

/** out = a + b, [T, C]. */
export function add(graph: Graph, args: { a: Tensor; b: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [...args.a.shape])
  graph.append(addOp, { out, a: args.a, b: args.b })
  return out
}
