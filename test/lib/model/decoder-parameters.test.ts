import t from 'tap'
import { parseModelConfig } from '../../../lib/config/model-config.js'
import { declareParameters } from '../../../lib/model/decoder-parameters.js'

const base = {
  vocab_size: 10,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
}
const namesOf = (json: Record<string, unknown>) =>
  Object.fromEntries(
    declareParameters(parseModelConfig({ ...base, ...json }, 'test')).weights.map(({ name, shape }) => [name, shape]),
  )

t.test('the families have the tensors that Hugging Face gives them', async (t) => {
  const qwen2 = namesOf({ model_type: 'qwen2', tie_word_embeddings: true })
  t.same(qwen2['model.embed_tokens.weight'], [10, 8])
  t.same(qwen2['model.layers.1.self_attn.q_proj.weight'], [16, 8], 'a head dim apart from hidden / heads')
  t.same(qwen2['model.layers.1.self_attn.k_proj.bias'], [8])
  t.same(qwen2['model.layers.1.self_attn.o_proj.weight'], [8, 16])
  t.same(qwen2['model.layers.0.mlp.down_proj.weight'], [8, 12])
  t.notOk('lm_head.weight' in qwen2)
  t.notOk('model.layers.0.self_attn.o_proj.bias' in qwen2)

  const qwen3 = namesOf({ model_type: 'qwen3' })
  t.same(qwen3['model.layers.0.self_attn.q_norm.weight'], [4])
  t.same(qwen3['lm_head.weight'], [10, 8])
  t.notOk('model.layers.0.self_attn.q_proj.bias' in qwen3)

  const llama = namesOf({ model_type: 'llama' })
  t.equal(Object.keys(llama).length, 3 + 2 * 9)
  t.notOk('model.layers.0.self_attn.q_norm.weight' in llama)
})
