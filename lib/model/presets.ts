/** A `config.json` as it is written: Hugging Face's field names. */
export type ConfigJson = Record<string, unknown>

/** What `config.json` says of a byte-level tokenizer with so many words; a multiple of 8 rows for the vocabulary's matrix products. */
export function byteLevelVocabulary(merges = 0): ConfigJson {
  const endOfText = 256 + merges
  return { bos_token_id: endOfText, eos_token_id: endOfText + 2, vocab_size: Math.ceil((endOfText + 3) / 8) * 8 }
}

const qwen2: ConfigJson = {
  architectures: ['Qwen2ForCausalLM'],
  model_type: 'qwen2',
  ...byteLevelVocabulary(),
  hidden_act: 'silu',
  initializer_range: 0.02,
  rms_norm_eps: 1e-6,
  // A short context needs no slowly turning pairs: 1,000 learns faster than Qwen2's 1,000,000 on chains of a few hundred tokens.
  rope_theta: 1000,
  tie_word_embeddings: true,
  use_sliding_window: false,
  use_cache: true,
  attention_dropout: 0,
  max_position_embeddings: 4096,
  torch_dtype: 'float32',
}

/** Models small enough to train from scratch on a processor; their tokenizer is the byte-level one. */
export const presets: Readonly<Record<string, ConfigJson>> = {
  /** 0.8 million weights: learns arithmetic chains in minutes on two cores. */
  tiny: {
    ...qwen2,
    hidden_size: 128,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 384,
  },
  /** 9 million weights. */
  small: {
    ...qwen2,
    hidden_size: 320,
    num_hidden_layers: 8,
    num_attention_heads: 10,
    num_key_value_heads: 2,
    intermediate_size: 960,
  },
}
