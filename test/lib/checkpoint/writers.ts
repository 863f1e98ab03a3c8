import type { TensorWriter } from '../../../lib/checkpoint/safetensors-writer.js'

/** A float32 tensor to be written, filled with 1, 2, 3… */
export function countingTensor(name: string, shape: number[]): TensorWriter {
  const values = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i + 1)
  return {
    name,
    dtype: 'F32',
    shape,
    byteLength: values.byteLength,
    write: (sink) => sink(new Uint8Array(values.buffer)),
  }
}

/** A tensor whose writing fails half-way as a full disk does. */
export function failingTensor(name: string, code = 'ENOSPC'): TensorWriter {
  return {
    ...countingTensor(name, [4]),
    write: async (sink) => {
      await sink(new Uint8Array(8))
      throw Object.assign(new Error(`${code}: injected`), { code, errno: -28 })
    },
  }
}

export const configText = `{
  "architectures": ["Qwen2ForCausalLM"],
  "model_type": "qwen2",
  "vocab_size": 8, "hidden_size": 4, "intermediate_size": 8,
  "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
  "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0,
  "tie_word_embeddings": true,
  "torch_dtype": "bfloat16"
}
`
