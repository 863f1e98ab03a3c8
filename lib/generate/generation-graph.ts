import { attentionScale, type ModelConfig } from '../config/model-config.js'
import { Graph } from '../graph/graph.js'
import { attentionDecode, attentionPrefill, cacheAppend, type PagedCache } from '../graph/ops/attention-decode.js'
import { linear } from '../graph/ops/linear.js'
import { linearDecode, logits } from '../graph/ops/linear-decode.js'
import { type SampleInputs, sample } from '../graph/ops/sample.js'
import { Tensor } from '../graph/tensor.js'
import { type AttentionInputs, appendLayers } from '../model/decoder.js'
import type { DecoderParameters } from '../model/decoder-parameters.js'
import { type ComputeDtype, SEQUENCE_BOUNDS, SEQUENCES, TOKENS } from '../native/addon-types.js'

/** Sizes that the graphs of generation are made for. */
export interface GenerationShape {
  config: ModelConfig
  parameters: DecoderParameters
  dtype: ComputeDtype
  /** Tokens of a page of the cache. */
  pageSize: number
  /** Pages of the cache. */
  pages: number
  /** The most pages of a sequence. */
  pagesPerSequence: number
  /** Most sequences of a decode step. */
  maxSequences: number
}

/** `prefill`: any number of new tokens of some sequences. `decode`: one of each, at the speed of memory. */
export type GenerationPhase = 'prefill' | 'decode'

/**
 * The graph of one step of generation: new tokens of some sequences go through the model, their keys and values into the cache,
 * and after the last one of each sequence the next is chosen.
 *
 * Inputs: input_ids, positions, slots [T] (rows of the cache), page_table [S, P], lengths, rows [S] (where the last token of each
 * sequence stands), cu_seqlens [S+1] (of prefill alone), temperature, top_k, top_p, min_p, uniform [S], and with `penalty`
 * penalty [S] and seen [S, ⌈V/32⌉]. In a decode step S is T. Outputs: token, logprob [S], and with `withLogits` logits [S, V].
 */
export function buildGenerationGraph(
  shape: GenerationShape,
  step: GenerationPhase,
  options: { penalty: boolean; withLogits: boolean },
): Graph {
  const { config, parameters } = shape
  const graph = new Graph(shape.dtype)
  const sequences = step === 'decode' ? TOKENS : SEQUENCES
  const inputIds = graph.input('input_ids', [TOKENS], 'i32')
  const positions = graph.input('positions', [TOKENS], 'i32')
  const slots = graph.input('slots', [TOKENS], 'i32')
  const pageTable = graph.input('page_table', [sequences, shape.pagesPerSequence], 'i32')
  const lengths = graph.input('lengths', [sequences], 'i32')
  const rows = graph.input('rows', [sequences], 'i32')
  const cuSeqlens = step === 'prefill' ? graph.input('cu_seqlens', [SEQUENCE_BOUNDS], 'i32') : undefined
  const attend = ({ layer, q, k, v, name }: AttentionInputs): Tensor => {
    const [keys, values] = cacheTensors(shape, layer)
    const cache: PagedCache = { k: keys, v: values, pageSize: shape.pageSize, pageTable, lengths }
    cacheAppend(graph, { cache, k, v, slots })
    const args = { q, cache, headDim: config.headDim, scale: attentionScale(config), name }
    return cuSeqlens
      ? attentionPrefill(graph, { ...args, cuSeqlens })
      : attentionDecode(graph, { ...args, maxTokens: shape.maxSequences })
  }
  const project = step === 'decode' ? linearDecode : linear
  const { hidden, vocabularyWeight } = appendLayers(graph, { config, parameters, inputIds, positions, project, attend })
  const scores = logits(graph, { hidden, weight: vocabularyWeight, rows })
  if (options.withLogits) graph.markOutput(scores)
  sample(graph, scores, sampleInputs(graph, sequences, config.vocabSize, options.penalty))
  return graph
}

/** Length of a sequence's bit set of seen tokens, in 32-bit words. */
export function seenWords(vocabSize: number): number {
  return Math.ceil(vocabSize / 32)
}

function sampleInputs(graph: Graph, sequences: number, vocabSize: number, penalty: boolean): SampleInputs {
  const input = (name: string) => graph.input(name, [sequences])
  return {
    temperature: input('temperature'),
    topK: input('top_k'),
    topP: input('top_p'),
    minP: input('min_p'),
    uniform: input('uniform'),
    ...(penalty && { penalty: input('penalty'), seen: graph.input('seen', [sequences, seenWords(vocabSize)], 'i32') }),
  }
}

/** The keys and the values of a layer. */
function cacheTensors({ config, dtype, pages, pageSize }: GenerationShape, layer: number): [Tensor, Tensor] {
  const shape = [pages * pageSize, config.numKeyValueHeads * config.headDim]
  return [
    new Tensor({ name: cacheName(layer, 'k'), kind: 'cache', shape, dtype }),
    new Tensor({ name: cacheName(layer, 'v'), kind: 'cache', shape, dtype }),
  ]
}

export function cacheName(layer: number, part: 'k' | 'v'): string {
  return `layers.${layer}.${part}_cache`
}
