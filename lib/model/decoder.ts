import { type ModelConfig, rotaryInverseFrequencies } from '../config/model-config.js'
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
import type { Parameter, ParameterLayout } from './parameters.js'

export interface DecoderOptions {
  config: ModelConfig
  layout: ParameterLayout
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
  const { config, layout } = options
  const parameter = (name: string) => {
    const { shape } = layout.parameters.get(name) as Parameter
    return graph.parameter(name, shape)
  }
  const ids = graph.input('input_ids', [TOKENS], 'i32')
  const labels = graph.input('labels', [TOKENS], 'i32')
  const lossWeights = graph.input('loss_weights', [TOKENS])
  const positions = graph.input('positions', [TOKENS], 'i32')
  const cuSeqlens = graph.input('cu_seqlens', [SEQUENCE_BOUNDS], 'i32')
  const inverseFrequency = graph.constant('inverse_frequency', rotaryInverseFrequencies(config))
  const rotary = rotaryTable(graph, { positions, inverseFrequency })

  const table = parameter('model.embed_tokens.weight')
  let stream: Stream = { branch: embedding(graph, { table, ids, name: 'embedding' }) }
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    stream = graph.layer(layer, () => appendLayer(graph, { config, parameter, layer, rotary, cuSeqlens }, stream))
  }
  const { out: hidden } = rmsNorm(graph, {
    x: stream.branch,
    ...(stream.residual ? { residual: stream.residual } : {}),
    weight: parameter('model.norm.weight'),
    eps: config.rmsNormEps,
    name: 'final_norm',
  })
  const weight = config.tieWordEmbeddings ? table : parameter('lm_head.weight')
  const { maxTokens, logitsBytes, train } = options
  linearCrossEntropy(graph, { hidden, weight, labels, lossWeights, maxTokens, logitsBytes, train })
}

/** The residual stream between two layers: its value is branch + residual, and the next norm adds them. */
interface Stream {
  branch: Tensor
  residual?: Tensor
}

interface LayerContext {
  config: ModelConfig
  parameter: (name: string) => Tensor
  layer: number
  rotary: { cos: Tensor; sin: Tensor }
  cuSeqlens: Tensor
}

function appendLayer(graph: Graph, context: LayerContext, stream: Stream): Stream {
  const { config, layer } = context
  const name = `layers.${layer}`
  const parameter = (suffix: string) => context.parameter(`model.layers.${layer}.${suffix}`)
  const eps = config.rmsNormEps

  const before = rmsNorm(graph, {
    x: stream.branch,
    ...(stream.residual ? { residual: stream.residual } : {}),
    weight: parameter('input_layernorm.weight'),
    eps,
    name: `${name}.input_norm`,
    // What a recomputed layer starts from.
    keepSum: true,
  })
  const attended = appendAttention(graph, context, before.out)
  const projected = linear(graph, { x: attended, weight: parameter('self_attn.o_proj.weight'), name: `${name}.o` })
  const between = rmsNorm(graph, {
    x: projected,
    residual: before.sum,
    weight: parameter('post_attention_layernorm.weight'),
    eps,
    name: `${name}.post_attention_norm`,
  })
  const gateUp = linear(graph, { x: between.out, weight: parameter('mlp.gate_up_proj.weight'), name: `${name}.gate_up` })
  const width = config.intermediateSize
  const gated = swiglu(graph, {
    gate: gateUp.columns(0, width, `${name}.gate`),
    up: gateUp.columns(width, width, `${name}.up`),
    name: `${name}.gated`,
  })
  const branch = linear(graph, { x: gated, weight: parameter('mlp.down_proj.weight'), name: `${name}.down` })
  return { branch, residual: between.sum }
}

function appendAttention(graph: Graph, context: LayerContext, x: Tensor): Tensor {
  const { config, layer, rotary, cuSeqlens } = context
  const name = `layers.${layer}`
  const parameter = (suffix: string) => context.parameter(`model.layers.${layer}.self_attn.${suffix}`)
  const qkv = linear(graph, {
    x,
    weight: parameter('qkv_proj.weight'),
    ...(config.attentionBias ? { bias: parameter('qkv_proj.bias') } : {}),
    name: `${name}.qkv`,
  })
  const queryWidth = config.numAttentionHeads * config.headDim
  const keyWidth = config.numKeyValueHeads * config.headDim
  let q = qkv.columns(0, queryWidth, `${name}.q`)
  let k = qkv.columns(queryWidth, keyWidth, `${name}.k`)
  const v = qkv.columns(queryWidth + keyWidth, keyWidth, `${name}.v`)
  if (config.qkNorm) {
    q = headNorm(graph, { x: q, weight: parameter('q_norm.weight'), eps: config.rmsNormEps, name: `${name}.q_norm` })
    k = headNorm(graph, { x: k, weight: parameter('k_norm.weight'), eps: config.rmsNormEps, name: `${name}.k_norm` })
  }
  return attention(graph, {
    q: rope(graph, { x: q, ...rotary, name: `${name}.q_rotated` }),
    k: rope(graph, { x: k, ...rotary, name: `${name}.k_rotated` }),
    v,
    cuSeqlens,
    headDim: config.headDim,
    name: `${name}.attention`,
  })
}
