import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const rmsNormOp: OpDefinition = {
  ...contracts.rms_norm,
  gradient(node, context) {
    const { sum, x, residual, rstd, weight } = node.operands
    const normed = sum ?? x!
    const d_out = context.outputGradient(node, 'out')
    const d_sum = context.gradientOf(normed)
    const d_x = context.wants(normed) ? context.graph.activation(`d.${normed.name}`, [...normed.shape]) : undefined
    context.graph.append(rmsNormBackwardOp, {
      d_x,
      d_weight: context.parameterGradient(weight!),
      d_out,
      d_sum,
      x: normed,
      rstd,
      weight,
    })
    if (!d_x) return
    if (residual) {
      // The gradient of a sum is the gradient of both its terms.
      context.flow(x!, d_x)
      context.flow(residual, d_x)
    } else {
      context.replace(x!, d_x)
    }
  },
  recompute(node) {
    const { sum, residual: _, ...rest } = node.operands
    if (!sum?.keep) return node
    return { operands: { ...rest, x: sum }, attributes: node.attributes }
  },
}

export const rmsNormBackwardOp: OpDefinition = {
  ...contracts.rms_norm_backward,
  inPlace: [
    ['d_x', 'd_out'],
    ['d_x', 'd_sum'],
  ],
}

/**
 * RMS norm of x, or of x + residual, over the hidden size: out [T, C], and sum [T, C], which is x without a residual.
 * `keepSum` keeps the sum for the backward pass where the layer is recomputed.
 */
export function rmsNorm(
  graph: Graph,
  args: { x: Tensor; residual?: Tensor; weight: Tensor; eps: number; name: string; keepSum?: boolean },
): { out: Tensor; sum: Tensor } {
  const { x, residual, weight, eps, name } = args
  const out = graph.activation(name, [...x.shape])
  const rstd = graph.activation(`${name}.rstd`, [x.shape[0]!], 'f32')
  const sum = residual && graph.activation(`${name}.sum`, [...x.shape])
  if (sum) sum.keep = args.keepSum ?? false
  graph.append(rmsNormOp, { out, rstd, sum, x, residual, weight }, { eps })
  return { out, sum: sum ?? x }
}
