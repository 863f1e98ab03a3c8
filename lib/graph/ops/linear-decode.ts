import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const linearDecodeOp: OpDefinition = contracts.linear_decode

export const logitsOp: OpDefinition = contracts.logits

/** y [T, N] = x·weightᵀ + bias for the few rows of a step of generation; a row does not depend on those beside it. */
export function linearDecode(graph: Graph, args: { x: Tensor; weight: Tensor; bias?: Tensor | undefined; name: string }): Tensor {
  const { x, weight, bias, name } = args
  const y = graph.activation(name, [x.shape[0]!, weight.shape[0]!])
  graph.append(linearDecodeOp, { y, x, weight, bias })
  return y
}

/** The float32 scores [S, V] of the vocabulary after the tokens `rows` [S] of hidden [T, C]. */
export function logits(graph: Graph, args: { hidden: Tensor; weight: Tensor; rows: Tensor }): Tensor {
  const { hidden, weight, rows } = args
  const out = graph.activation('logits', [rows.shape[0]!, weight.shape[0]!], 'f32')
  const hidden_rows = graph.activation('hidden_rows', [rows.shape[0]!, hidden.shape[1]!])
  graph.append(logitsOp, { logits: out, hidden_rows, hidden, weight, rows })
  return out
}
