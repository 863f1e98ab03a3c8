import { attentionScale, type ModelConfig, rotaryInverseFrequencies } from '../config/model-config.js'
import type { Graph } from '../graph/graph.js'
import { attention } from '../graph/ops/attention.js'
import { embedding } from '../graph/ops/embedding.js'
import { headNorm } from '../graph/ops/head-norm.js'
import { linear } from '../graph/ops/linear.js'
import { linearCrossEntropy } from '../graph/ops/linear-cross-entropy.js'
import { rmsNorm } from '../graph/ops/rms-norm.js'
import { rope, rotaryTable } from '../graph/ops/rope.js'
import { swiglu } from '../graph/ops/swiglu.js'
import type { Tensor } from '../graph/tensor.js'
import { SEQUENCE_BOUNDS, TOKENS } from '../native/addon-types.js'
import type { Parameter } from '../plan/parameters.js'
import type { DecoderParameters, LayerParameters, Projection } from './decoder-parameters.js'

export interface DecoderOptions {
  config: ModelConfig
  parameters: DecoderParameters
  /** The most tokens of a run: the size of the chunks of the vocabulary projection. */
  maxTokens: number
  /** Memory that the logits of one such chunk may take; what is right for the CPU when absent. */
  logitsBytes?: number | undefined
  /** Make the gradients of the last hidden states and of the vocabulary projection along with the loss. */
  train: boolean
}

/**
 * Appends a decoder-only transformer and its loss to a graph: Qwen2, Qwen3 and Llama, which differ by fields of the config.
 *
 * Inputs, all of the packed batch: input_ids, labels (−100: not scored), positions [T] int32, loss_weights [T],
 * cu_seqlens [S+1] int32. Outputs: loss [1], token_loss [T].
 */
export function appendDecoder(graph: Graph, options: DecoderOptions): void {
  const { config, parameters } = options
  const inputIds = graph.input('input_ids', [TOKENS], 'i32')
  const labels = graph.input('labels', [TOKENS], 'i32')
  const lossWeights = graph.input('loss_weights', [TOKENS])
  const positions = graph.input('positions', [TOKENS], 'i32')
  const cuSeqlens = graph.input('cu_seqlens', [SEQUENCE_BOUNDS], 'i32')
  const { headDim } = config
  const scale = attentionScale(config)
  const { hidden, vocabularyWeight } = appendLayers(graph, {
    config,
    parameters,
    inputIds,
    positions,
    project: linear,
    attend: ({ q, k, v, name }) => attention(graph, { q, k, v, cuSeqlens, headDim, scale, name }),
  })
  const { maxTokens, logitsBytes, train } = options
  linearCrossEntropy(graph, { hidden, weight: vocabularyWeight, labels, lossWeights, maxTokens, logitsBytes, train })
}

/** Queries [T, H·D] and keys and values [T, K·D] of one layer, positions encoded. */
export interface AttentionInputs {
  layer: number
  q: Tensor
  k: Tensor
  v: Tensor
  /** Of the result. */
  name: string
}

export interface LayersOptions {
  config: ModelConfig
  parameters: DecoderParameters
  /** [T] int32. */
  inputIds: Tensor
  /** [T] int32. */
  positions: Tensor
  /** The product with a weight: `linear`, or `linearDecode` for a step of generation. */
  project: typeof linear
  /** Appends attention: [T, H·D]. */
  attend(inputs: AttentionInputs): Tensor
}

/** Appends all of a decoder but what is made of its last hidden states [T, C], normalised, with `vocabularyWeight` [V, C]. */
export function appendLayers(graph: Graph, options: LayersOptions): { hidden: Tensor; vocabularyWeight: Tensor } {
  const { config, parameters, inputIds, positions } = options
  const inverseFrequency = graph.constant('inverse_frequency', rotaryInverseFrequencies(config))
  const rotary = rotaryTable(graph, { positions, inverseFrequency })

  const table = tensorOf(graph, parameters.embedding)
  let stream: Stream = { branch: embedding(graph, { table, ids: inputIds, name: 'embedding' }) }
  for (const [layer, own] of parameters.layers.entries())
    stream = graph.layer(layer, () => appendLayer(graph, { ...options, own, layer, rotary }, stream))
  const { out: hidden } = rmsNorm(graph, {
    x: stream.branch,
    ...(stream.residual ? { residual: stream.residual } : {}),
    weight: tensorOf(graph, parameters.norm),
    eps: config.rmsNormEps,
    name: 'final_norm',
  })
  return { hidden, vocabularyWeight: tensorOf(graph, parameters.vocabulary) }
}

function tensorOf(graph: Graph, { name, shape, trainable }: Parameter): Tensor {
  return graph.parameter(name, shape, { trainable })
}

/** Weight and bias of a projection as operands. */
function operandsOf(graph: Graph, { weight, bias }: Projection): { weight: Tensor; bias?: Tensor } {
  return { weight: tensorOf(graph, weight), ...(bias && { bias: tensorOf(graph, bias) }) }
}

/** The residual stream between two layers: its value is branch + residual, and the next norm adds them. */
interface Stream {
  branch: Tensor
  residual?: Tensor
}

interface LayerContext extends Pick<LayersOptions, 'config' | 'project' | 'attend'> {
  /** The parameters of this layer. */
  own: LayerParameters
  layer: number
  rotary: { cos: Tensor; sin: Tensor }
}

function appendLayer(graph: Graph, context: LayerContext, stream: Stream): Stream {
  const { config, layer, own, project } = context
  const name = `layers.${layer}`
  const eps = config.rmsNormEps

  const before = rmsNorm(graph, {
    x: stream.branch,
    ...(stream.residual ? { residual: stream.residual } : {}),
    weight: tensorOf(graph, own.inputNorm),
    eps,
    name: `${name}.input_norm`,
    // What a recomputed layer starts from.
    keepSum: true,
  })
  const attended = appendAttention(graph, context, before.out)
  const projected = project(graph, { x: attended, ...operandsOf(graph, own.attentionOutput), name: `${name}.o` })
  const between = rmsNorm(graph, {
    x: projected,
    residual: before.sum,
    weight: tensorOf(graph, own.postAttentionNorm),
    eps,
    name: `${name}.post_attention_norm`,
  })
  const gateUp = project(graph, { x: between.out, ...operandsOf(graph, own.gateUp), name: `${name}.gate_up` })
  const width = config.intermediateSize
  const gated = swiglu(graph, {
    gate: gateUp.columns(0, width, `${name}.gate`),
    up: gateUp.columns(width, width, `${name}.up`),
    name: `${name}.gated`,
  })
  const branch = project(graph, { x: gated, ...operandsOf(graph, own.down), name: `${name}.down` })
  return { branch, residual: between.sum }
}

function appendAttention(graph: Graph, context: LayerContext, x: Tensor): Tensor {
  const { config, layer, own, rotary, project, attend } = context
  const name = `layers.${layer}`
  const qkv = project(graph, { x, ...operandsOf(graph, own.queryKeyValue), name: `${name}.qkv` })
  const queryWidth = config.numAttentionHeads * config.headDim
  const keyWidth = config.numKeyValueHeads * config.headDim
  let q = qkv.columns(0, queryWidth, `${name}.q`)
  let k = qkv.columns(queryWidth, keyWidth, `${name}.k`)
  const v = qkv.columns(queryWidth + keyWidth, keyWidth, `${name}.v`)
  if (own.headNorms) {
    const { query, key } = own.headNorms
    q = headNorm(graph, { x: q, weight: tensorOf(graph, query), eps: config.rmsNormEps, name: `${name}.q_norm` })
    k = headNorm(graph, { x: k, weight: tensorOf(graph, key), eps: config.rmsNormEps, name: `${name}.k_norm` })
  }
  return attend({
    layer,
    q: rope(graph, { x: q, ...rotary, name: `${name}.q_rotated` }),
    k: rope(graph, { x: k, ...rotary, name: `${name}.k_rotated` }),
    v,
    name: `${name}.attention`,
  })
}
