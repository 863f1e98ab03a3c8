import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import type { Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

export const sampleOp: OpDefinition = contracts.sample

/** Sampling options and random numbers of each sequence; all [S]. `penalty` and `seen` [S, ⌈V/32⌉] come together. */
export interface SampleInputs {
  temperature: Tensor
  topK: Tensor
  topP: Tensor
  minP: Tensor
  uniform: Tensor
  penalty?: Tensor | undefined
  seen?: Tensor | undefined
}

/** Outputs token [S] (ids as float32, −1 for logits that are not finite) and logprob [S], from logits [S, V]. */
export function sample(graph: Graph, logits: Tensor, inputs: SampleInputs): void {
  const shape = [logits.shape[0]!]
  const { temperature, topK, topP, minP, uniform, penalty, seen } = inputs
  graph.append(sampleOp, {
    token: graph.output('token', shape),
    logprob: graph.output('logprob', shape),
    logits,
    temperature,
    top_k: topK,
    top_p: topP,
    min_p: minP,
    uniform,
    penalty,
    seen,
  })
}
