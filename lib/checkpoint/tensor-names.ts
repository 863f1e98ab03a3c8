import type { ModelConfig } from '../config/model-config.js'

/** One weight of a model: its Hugging Face name and its shape, `[out, in]` for a linear layer. */
export interface ExpectedTensor {
  name: string
  shape: number[]
}

/** Every weight that a model of this config has, in the order in which Hugging Face saves them. */
export function expectedTensors(config: ModelConfig): ExpectedTensor[] {
  const { vocabSize, hiddenSize, headDim, intermediateSize, tieWordEmbeddings } = config
  const tensors: ExpectedTensor[] = [{ name: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] }]
  const queryRows = config.numAttentionHeads * headDim
  const keyValueRows = config.numKeyValueHeads * headDim
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const add = (name: string, ...shape: number[]) => tensors.push({ name: `model.layers.${layer}.${name}`, shape })
    for (const [projection, rows] of [
      ['q_proj', queryRows],
      ['k_proj', keyValueRows],
      ['v_proj', keyValueRows],
    ] as const) {
      add(`self_attn.${projection}.weight`, rows, hiddenSize)
      if (config.attentionBias) add(`self_attn.${projection}.bias`, rows)
    }
    add('self_attn.o_proj.weight', hiddenSize, queryRows)
    if (config.qkNorm) {
      add('self_attn.q_norm.weight', headDim)
      add('self_attn.k_norm.weight', headDim)
    }
    add('mlp.gate_proj.weight', intermediateSize, hiddenSize)
    add('mlp.up_proj.weight', intermediateSize, hiddenSize)
    add('mlp.down_proj.weight', hiddenSize, intermediateSize)
    add('input_layernorm.weight', hiddenSize)
    add('post_attention_layernorm.weight', hiddenSize)
  }
  tensors.push({ name: 'model.norm.weight', shape: [hiddenSize] })
  if (!tieWordEmbeddings) tensors.push({ name: 'lm_head.weight', shape: [vocabSize, hiddenSize] })
  return tensors
}
