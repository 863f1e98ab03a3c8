import type { ModelConfig } from '../config/model-config.js'
import { countNumbers, type Parameter, type ParameterRole, type Parameters, type Weight } from '../plan/parameters.js'

/** A weight [out, in] with, in some models, a bias [out]. */
export interface Projection {
  weight: Parameter
  bias?: Parameter
}

export interface LayerParameters {
  inputNorm: Parameter
  /** Rows of queries, then of keys, then of values. */
  queryKeyValue: Projection
  /** Of each head of queries and of keys. */
  headNorms?: { query: Parameter; key: Parameter }
  attentionOutput: Projection
  postAttentionNorm: Parameter
  /** Rows of the gate, then of what it multiplies. */
  gateUp: Projection
  down: Projection
}

/** The parameters of a decoder by what they are in it. */
export interface DecoderParameters extends Parameters {
  embedding: Parameter
  layers: LayerParameters[]
  norm: Parameter
  /** The embedding itself where both are tied. */
  vocabulary: Parameter
}

/** Which weights are trained, by their Hugging Face names. */
export type TrainableWeights = (name: string) => boolean

/**
 * Declares every parameter of a decoder, the one list from which the layout in memory, the names in files, the first values and the
 * groups of the optimizer follow. All are trained unless `isTrainable` says otherwise.
 */
export function declareParameters(config: ModelConfig, isTrainable: TrainableWeights = () => true): DecoderParameters {
  const { vocabSize, hiddenSize, headDim, intermediateSize } = config
  const declared = new Declarations(isTrainable)
  const embedding = declared.weight('embedding', 'model.embed_tokens.weight', [vocabSize, hiddenSize])
  const queryRows = config.numAttentionHeads * headDim
  const keyRows = config.numKeyValueHeads * headDim
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer): LayerParameters => {
    const at = `model.layers.${layer}`
    const norm = (name: string, size: number) => declared.weight('norm', `${at}.${name}.weight`, [size])
    const queryKeyValue = declared.projection(`${at}.self_attn.qkv_proj`, {
      parts: { q_proj: queryRows, k_proj: keyRows, v_proj: keyRows },
      columns: hiddenSize,
      hasBias: config.attentionBias,
    })
    const attentionOutput = declared.projection(`${at}.self_attn.o_proj`, {
      rows: hiddenSize,
      columns: queryRows,
      endsBranch: true,
    })
    const headNorms = config.qkNorm
      ? { query: norm('self_attn.q_norm', headDim), key: norm('self_attn.k_norm', headDim) }
      : undefined
    const gateUp = declared.projection(`${at}.mlp.gate_up_proj`, {
      parts: { gate_proj: intermediateSize, up_proj: intermediateSize },
      columns: hiddenSize,
    })
    const down = declared.projection(`${at}.mlp.down_proj`, { rows: hiddenSize, columns: intermediateSize, endsBranch: true })
    return {
      ...{ queryKeyValue, attentionOutput, gateUp, down },
      ...(headNorms && { headNorms }),
      inputNorm: norm('input_layernorm', hiddenSize),
      postAttentionNorm: norm('post_attention_layernorm', hiddenSize),
    }
  })
  const norm = declared.weight('norm', 'model.norm.weight', [hiddenSize])
  const vocabulary = config.tieWordEmbeddings
    ? embedding
    : declared.weight('projection', 'lm_head.weight', [vocabSize, hiddenSize])
  return { ...{ embedding, layers, norm, vocabulary }, all: declared.all, weights: declared.weights }
}

/** How many numbers a model learns. */
export function countParameters(config: ModelConfig): number {
  return countNumbers(declareParameters(config).weights)
}

type ProjectionShape = { columns: number; hasBias?: boolean; endsBranch?: boolean } & (
  | { rows: number }
  | {
      /** Weights beside each other in the files, by the last part of their names, with their rows. */ parts: Record<
        string,
        number
      >
    }
)

class Declarations {
  readonly all: Parameter[] = []
  readonly weights: Weight[] = []

  constructor(private readonly isTrainable: TrainableWeights) {}

  weight(role: ParameterRole, name: string, shape: number[]): Parameter {
    const weight = { name, shape }
    this.weights.push(weight)
    return this.declare(name, role, [weight])
  }

  /** Hugging Face saves the weight and the bias of one part, then those of the next. */
  projection(name: string, shape: ProjectionShape): Projection {
    const folder = name.slice(0, name.lastIndexOf('.'))
    const parts = 'parts' in shape ? Object.entries(shape.parts) : [[name.slice(folder.length + 1), shape.rows] as const]
    const weights = parts.map(([part, rows]) => ({ name: `${folder}.${part}.weight`, shape: [rows, shape.columns] }))
    const biases = shape.hasBias ? parts.map(([part, rows]) => ({ name: `${folder}.${part}.bias`, shape: [rows] })) : []
    for (const [i, weight] of weights.entries()) this.weights.push(weight, ...biases.slice(i, i + 1))
    return {
      weight: this.declare(`${name}.weight`, shape.endsBranch ? 'branch-end' : 'projection', weights),
      ...(shape.hasBias && { bias: this.declare(`${name}.bias`, 'bias', biases) }),
    }
  }

  private declare(name: string, role: ParameterRole, parts: Weight[]): Parameter {
    const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0)
    const trainable = parts.every((part) => this.isTrainable(part.name))
    const parameter = { name, role, parts, shape: [rows, ...parts[0]!.shape.slice(1)], trainable }
    this.all.push(parameter)
    return parameter
  }
}
