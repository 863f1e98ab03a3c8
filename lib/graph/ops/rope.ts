import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const rotaryTableOp: OpDefinition = contracts.rotary_table

export const ropeOp: OpDefinition = {
  ...contracts.rope,
  inPlace: [['out', 'x']],
  gradient(node, context) {
    const { x, cos, sin } = node.operands
    const d_out = context.outputGradient(node, 'out')
    const d_x = context.newGradient(x!)
    context.graph.append(ropeOp, { out: d_x, x: d_out, cos, sin }, { direction: -(node.attributes.direction as number) })
    context.flow(x!, d_x)
  },
}

/** cos and sin [T, P] of positions [T] times inverse frequencies [P]. */
export function rotaryTable(graph: Graph, args: { positions: Tensor; inverseFrequency: Tensor }): { cos: Tensor; sin: Tensor } {
  const shape = [args.positions.shape[0]!, args.inverseFrequency.shape[0]!]
  const cos = graph.activation('rotary.cos', shape, 'f32')
  const sin = graph.activation('rotary.sin', shape, 'f32')
  graph.append(rotaryTableOp, { cos, sin, positions: args.positions, inverse_frequency: args.inverseFrequency })
  return { cos, sin }
}

/** x [T, Q] with each head of 2P channels rotated, halves paired. */
export function rope(graph: Graph, args: { x: Tensor; cos: Tensor; sin: Tensor; name: string }): Tensor {
  const out = graph.activation(args.name, [...args.x.shape])
  graph.append(ropeOp, { out, x: args.x, cos: args.cos, sin: args.sin }, { direction: 1 })
  return out
}
