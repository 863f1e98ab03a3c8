import { cpuBackend } from '../../native/backend.js'
import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

/** Native code's kMaxScoredRows. */
const MAX_ROWS = 4096

export const linearCrossEntropyOp: OpDefinition = {
  ...contracts.linear_cross_entropy,
  gradient(node, context) {
    // The forward pass has already made the gradients.
    if (node.operands.d_hidden) context.flow(node.operands.hidden!, node.operands.d_hidden)
  },
}

/**
 * Rows of one chunk of the vocabulary projection: as many as `logitsBytes` of logits allow, a multiple of 8, at least 64.
 * `maxTokens` lowers it only where a run fits into one chunk anyway, so the order of sums does not depend on the number of
 * tokens that a plan is made for.
 */
export function scoredRowsPerChunk(vocabSize: number, maxTokens: number, logitsBytes = cpuBackend.logitsBytes): number {
  const rows = Math.floor(logitsBytes / (4 * vocabSize) / 8) * 8
  return Math.max(1, Math.min(Math.max(rows, 64), MAX_ROWS, maxTokens))
}

/**
 * loss [1] = Σ_t loss_weights[t] · cross-entropy of hidden[t]·weightᵀ with labels[t], and token_loss [T], as outputs of
 * the graph. With `train` it makes the gradients of hidden and weight, as far as these are trained, in the same pass.
 */
export function linearCrossEntropy(
  graph: Graph,
  args: {
    hidden: Tensor
    weight: Tensor
    labels: Tensor
    lossWeights: Tensor
    maxTokens: number
    /** Memory for the logits of one chunk; the CPU's default when absent. */
    logitsBytes?: number | undefined
    train: boolean
  },
): { loss: Tensor; tokenLoss: Tensor } {
  const { hidden, weight, labels, lossWeights, train } = args
  const tokens = hidden.shape[0]!
  const trainsHidden = train && graph.isTrained(hidden)
  const [vocabSize, hiddenSize] = weight.shape as [number, number]
  const rows = scoredRowsPerChunk(vocabSize, args.maxTokens, args.logitsBytes)
  const loss = graph.output('loss', [1])
  const tokenLoss = graph.output('token_loss', [tokens])
  graph.append(linearCrossEntropyOp, {
    loss,
    token_loss: tokenLoss,
    d_hidden: trainsHidden ? graph.activation(`d.${hidden.name}`, [...hidden.shape]) : undefined,
    d_weight: train && graph.isTrained(weight) ? graph.gradientOf(weight) : undefined,
    logits: graph.activation('logits.chunk', [rows, vocabSize], 'f32'),
    hidden_rows: graph.activation('hidden.chunk', [rows, hiddenSize]),
    d_hidden_rows: trainsHidden ? graph.activation('d.hidden.chunk', [rows, hiddenSize]) : undefined,
    hidden,
    weight,
    labels,
    loss_weights: lossWeights,
  })
  return { loss, tokenLoss }
}
