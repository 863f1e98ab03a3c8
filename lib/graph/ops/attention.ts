import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const attentionOp: OpDefinition = {
  ...contracts.attention,
  gradient(node, context) {
    const { out, lse, q, k, v, cu_seqlens } = node.operands
    const d_out = context.outputGradient(node, 'out')
    const delta = context.graph.activation(`${out!.name}.delta`, [...lse!.shape], 'f32')
    const d_q = context.newGradient(q!)
    const d_k = context.newGradient(k!)
    const d_v = context.newGradient(v!)
    context.graph.append(attentionBackwardOp, { d_q, d_k, d_v, delta, d_out, out, lse, q, k, v, cu_seqlens }, node.attributes)
    context.flow(q!, d_q)
    context.flow(k!, d_k)
    context.flow(v!, d_v)
  },
}

export const attentionBackwardOp: OpDefinition = contracts.attention_backward

/**
 * Causal attention of packed sequences: out [T, H·D] from q [T, H·D] and k, v [T, K·D], within the bounds of cu_seqlens; scores
 * are multiplied by `scale`. Its output and log-sum-exp are kept where the layer is recomputed: they are cheap to keep and
 * expensive to recompute.
 */
export function attention(
  graph: Graph,
  args: { q: Tensor; k: Tensor; v: Tensor; cuSeqlens: Tensor; headDim: number; scale: number; name: string },
): Tensor {
  const { q, k, v, cuSeqlens, headDim, scale, name } = args
  const out = graph.activation(name, [...q.shape])
  const lse = graph.activation(`${name}.lse`, [q.shape[0]!, q.shape[1]! / headDim], 'f32')
  out.keep = true
  lse.keep = true
  graph.append(attentionOp, { out, lse, q, k, v, cu_seqlens: cuSeqlens }, { head_dim: headDim, scale })
  return out
}
