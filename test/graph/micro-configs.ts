import { type ConfigJson, presets } from '../../lib/model/presets.js'

const micro: ConfigJson = {
  ...presets.tiny,
  hidden_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 40,
  vocab_size: 61,
  bos_token_id: 1,
  eos_token_id: 2,
}

/** A `config.json` of three small layers for each family: biases and tied embeddings, norms of heads, neither. */
export const microConfigs: Record<string, ConfigJson> = {
  qwen2: micro,
  qwen3: { ...micro, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 10, tie_word_embeddings: false },
  llama: {
    ...micro,
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    tie_word_embeddings: false,
    num_key_value_heads: 1,
  },
}
