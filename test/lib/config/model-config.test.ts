import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseModelConfig, readModelConfig, rotaryInverseFrequencies } from '../../../lib/config/model-config.js'
import { sharedPath } from '../../shared-files.js'

const base = {
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}
const qwen2 = { ...base, model_type: 'qwen2' }
const qwen3 = { ...base, model_type: 'qwen3' }
const llama = { ...base, model_type: 'llama' }
const parse = (json: unknown) => parseModelConfig(json, 'config.json')

t.test('the families differ by fields', async (t) => {
  t.match(parse(qwen2), { modelType: 'qwen2', attentionBias: true, qkNorm: false, headDim: 16, maxPositionEmbeddings: 32768 })
  t.match(parse(qwen3), { modelType: 'qwen3', attentionBias: false, qkNorm: true, headDim: 128 })
  t.match(parse(llama), { modelType: 'llama', attentionBias: false, qkNorm: false, headDim: 16, maxPositionEmbeddings: 2048 })
})

t.test("fields left out take Transformers' defaults", async (t) => {
  t.same(parse(llama), {
    modelType: 'llama',
    vocabSize: 320,
    hiddenSize: 64,
    intermediateSize: 160,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 16,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    tieWordEmbeddings: false,
    attentionBias: false,
    qkNorm: false,
    maxPositionEmbeddings: 2048,
    initializerRange: 0.02,
  })
  const { num_key_value_heads: _, ...without } = base
  t.equal(parse({ ...without, model_type: 'llama' }).numKeyValueHeads, 4)
  t.equal(parse({ ...without, model_type: 'qwen2', num_key_value_heads: null }).numKeyValueHeads, 4)
  t.equal(parse({ ...without, model_type: 'qwen2', num_attention_heads: 32 }).numKeyValueHeads, 32)
  t.equal(parse({ ...llama, head_dim: null }).headDim, 16)
})

t.test('token ids come alone or as a list', async (t) => {
  t.match(parse({ ...llama, bos_token_id: 1, eos_token_id: 2 }), { bosTokenId: 1, eosTokenId: [2] })
  t.match(parse({ ...llama, eos_token_id: [2, 3] }), { eosTokenId: [2, 3] })
  t.throws(() => parse({ ...llama, eos_token_id: 'x' }), { code: 'MODEL_MALFORMED', details: { field: 'eos_token_id' } })
})

t.test('a model that would be computed otherwise is refused by field and value', async (t) => {
  const refused: [Record<string, unknown>, string][] = [
    [{ ...base, model_type: 'mistral' }, 'model_type'],
    [{ ...base, model_type: 'toString' }, 'model_type'],
    [{ ...qwen2, architectures: ['Qwen2ForRewardModel'] }, 'architectures'],
    [{ ...qwen2, hidden_act: 'gelu' }, 'hidden_act'],
    [{ ...qwen2, use_sliding_window: true, sliding_window: 8, max_window_layers: 1 }, 'use_sliding_window'],
    [{ ...qwen3, layer_types: ['full_attention', 'sliding_attention'] }, 'layer_types'],
    [{ ...qwen3, attention_bias: true }, 'attention_bias'],
    [{ ...llama, attention_bias: true }, 'attention_bias'],
    [{ ...llama, mlp_bias: true }, 'mlp_bias'],
    [{ ...llama, attention_dropout: 0.1 }, 'attention_dropout'],
    [{ ...llama, pretraining_tp: 2 }, 'pretraining_tp'],
    [{ ...llama, quantization_config: { bits: 4 } }, 'quantization_config'],
    [{ ...llama, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    [{ ...llama, head_dim: 15 }, 'head_dim'],
    [{ ...llama, head_dim: 514 }, 'head_dim'],
    [{ ...llama, rope_theta: 10000, rope_parameters: { rope_theta: 500000 } }, 'rope_theta'],
    [{ ...llama, rope_parameters: { rope_theta: 1 }, rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling'],
    [
      {
        ...llama,
        rope_parameters: { rope_type: 'linear', factor: 2 },
        rope_scaling: { rope_type: 'linear', factor: 4 },
      },
      'rope_scaling',
    ],
    [{ ...llama, rope_scaling: { type: 'dynamic', factor: 4 } }, 'rope_scaling.rope_type'],
    [{ ...llama, rope_parameters: { rope_type: 'longrope' } }, 'rope_parameters.rope_type'],
    [{ ...llama, rope_parameters: { rope_theta: 1, partial_rotary_factor: 0.5 } }, 'rope_parameters.partial_rotary_factor'],
  ]
  for (const [json, field] of refused) {
    const message = new RegExp(`^${field.replaceAll('.', '\\.')} .+ is not supported \\(config\\.json\\)`)
    t.throws(() => parse(json), { name: 'ConfigError', code: 'MODEL_UNSUPPORTED', message, details: { field } }, field)
  }
})

t.test('what is off does not matter', async (t) => {
  t.equal(parse({ ...llama, head_dim: 512 }).headDim, 512)
  t.ok(parse({ ...qwen2, use_sliding_window: false, sliding_window: 8, max_window_layers: 0, attention_dropout: 0.0 }))
  t.ok(parse({ ...qwen2, use_sliding_window: true, sliding_window: 8, max_window_layers: 2 }), 'no layer is windowed')
  t.ok(
    parse({
      ...qwen3,
      layer_types: ['full_attention', 'full_attention'],
      rope_scaling: null,
      mlp_bias: false,
      pretraining_tp: 1,
    }),
  )
})

t.test('RoPE said twice, in the words of both releases', async (t) => {
  const rope_parameters = { rope_type: 'linear', factor: 2, rope_theta: 5000 }
  const both = { ...llama, rope_theta: 5000, rope_scaling: { type: 'linear', factor: 2 }, rope_parameters }
  t.match(parse(both), { ropeTheta: 5000, ropeScaling: { type: 'linear', factor: 2 } })
  t.match(parse({ ...llama, rope_scaling: null, rope_parameters }), { ropeTheta: 5000 })
})

t.test('a config.json that makes no sense is named', async (t) => {
  const wrong: [unknown, RegExp][] = [
    [null, /expected an object/],
    [[], /expected an object/],
    [{}, /model_type but received nothing/],
    [{ ...llama, hidden_size: undefined }, /expected a positive integer for hidden_size but received nothing/],
    [{ ...llama, hidden_size: '64' }, /hidden_size but received "64"/],
    [{ ...llama, vocab_size: 0 }, /vocab_size/],
    [{ ...llama, num_hidden_layers: 1.5 }, /num_hidden_layers/],
    [{ ...llama, rms_norm_eps: -1 }, /rms_norm_eps/],
    [{ ...llama, hidden_size: 66 }, /multiple of num_attention_heads/],
    [{ ...llama, num_key_value_heads: 3 }, /multiple of num_key_value_heads/],
    [{ ...llama, tie_word_embeddings: 'yes' }, /tie_word_embeddings/],
    [{ ...llama, rope_scaling: 'x' }, /rope_scaling/],
    [{ ...llama, rope_scaling: { rope_type: 'linear' } }, /rope_scaling\.factor but received nothing/],
    [{ ...llama, rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 } }, /original_max/],
    [
      {
        ...llama,
        rope_scaling: {
          rope_type: 'llama3',
          factor: 8,
          low_freq_factor: 4,
          high_freq_factor: 4,
          original_max_position_embeddings: 64,
        },
      },
      /high_freq_factor/,
    ],
  ]
  for (const [json, message] of wrong) t.throws(() => parse(json), { code: 'MODEL_MALFORMED', message }, String(message))
})

t.test('RoPE settings of Transformers 4 and 5 read alike', async (t) => {
  const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }
  const four = parse({ ...llama, rope_theta: 500000, rope_scaling: llama3 })
  t.same(parse({ ...llama, rope_parameters: { ...llama3, rope_theta: 500000 } }), four)
  t.same(parse({ ...llama, rope_parameters: { full_attention: { ...llama3, rope_theta: 500000 } } }), four)
  t.equal(parse({ ...llama, rope_parameters: { rope_type: 'default', rope_theta: 7 } }).ropeTheta, 7)
})

t.test('rotary frequencies', async (t) => {
  const close = (actual: Float32Array, expected: number[]) =>
    t.same(actual, Float32Array.from(expected), `${[...actual]} is ${expected}`)
  close(rotaryInverseFrequencies(parse({ ...llama, head_dim: 4, rope_theta: 10000 })), [1, 0.01])
  const linear = { ...llama, head_dim: 4, rope_scaling: { type: 'linear', factor: 4 } }
  close(rotaryInverseFrequencies(parse(linear)), [0.25, 0.0025])
  // Context 64: wavelengths 2π (kept, below 16), 2π·10 = 62.8 (blended, between 16 and 64), 2π·100 and 2π·1000 (divided, above 64).
  const rope_scaling = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  }
  const blend = (64 / (2 * Math.PI * 10) - 1) / 3
  close(rotaryInverseFrequencies(parse({ ...llama, head_dim: 8, rope_scaling })), [
    1,
    ((1 - blend) * 0.1) / 8 + blend * 0.1,
    0.01 / 8,
    0.001 / 8,
  ])
})

t.test('a folder that is no model says what to do', async (t) => {
  const folder = t.testdir({
    empty: {},
    broken: { 'config.json': '{' },
    'models--Qwen--Qwen2': { refs: { main: 'abc' }, snapshots: { abc: {} } },
    adapter: { 'adapter_config.json': '{}', 'adapter_model.safetensors': '' },
    run: { 'checkpoint-5': {}, 'metrics.jsonl': '' },
    gguf: { 'model-q4.gguf': '' },
    bom: { 'config.json': '\uFEFF{}' },
    lfs: { 'config.json': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 700\n' },
    page: { 'config.json': '<!DOCTYPE html>' },
  })
  await t.rejects(readModelConfig('Qwen/Qwen2.5-32B-Instruct'), {
    code: 'MODEL_NOT_FOUND',
    message: /hf download Qwen\/Qwen2\.5-32B-Instruct/,
  })
  await t.rejects(readModelConfig('/nowhere/at/all'), { code: 'MODEL_NOT_FOUND', message: /no such folder/ })
  await t.rejects(readModelConfig(join(folder, 'empty')), {
    code: 'MODEL_NOT_FOUND',
    message: /no config\.json, and nothing else/,
  })
  await t.rejects(readModelConfig(join(folder, 'broken')), { code: 'MODEL_MALFORMED', message: /expected JSON/ })
  for (const [name, message] of [
    ['models--Qwen--Qwen2', /root of a model in the cache .* take .*models--Qwen--Qwen2\/snapshots\/abc$/],
    ['adapter', /an adapter \(LoRA\), no model: merge it/],
    ['run', /name one of them, such as .*run\/checkpoint-5/],
    ['gguf', /model-q4\.gguf is another format/],
    ['bom', /byte-order mark: save it as UTF-8 without one/],
    ['lfs', /pointer of Git LFS: run "git lfs pull"/],
    ['page', /it is a web page: download the file itself/],
  ] as const)
    await t.rejects(readModelConfig(join(folder, name)), { message }, name)
})

t.test('sizes that no machine holds are refused before anything grows with them', async (t) => {
  const sizes = {
    num_hidden_layers: [1001, 100_000, 2 ** 31, 1e15],
    vocab_size: [2 ** 45, 2 ** 53 - 1],
    hidden_size: [2 ** 40, 2 ** 52],
    intermediate_size: [2 ** 45, 2 ** 53 - 2],
  }
  for (const [field, values] of Object.entries(sizes)) {
    for (const value of values) {
      const start = performance.now()
      t.throws(() => parse({ ...qwen2, head_dim: 8, [field]: value }), { message: new RegExp(field) }, `${field} ${value}`)
      t.ok(performance.now() - start < 100, 'at once')
    }
  }
  t.equal(parse({ ...qwen2, num_hidden_layers: 1000 }).numHiddenLayers, 1000)
})

for (const family of ['qwen2', 'qwen3', 'llama3']) {
  const path = sharedPath('golden', family, 'config.json')
  t.test(`${family} of the golden numbers`, { skip: path === undefined && 'shared/golden is absent' }, async (t) => {
    const config = parse(JSON.parse(readFileSync(path!, 'utf8')))
    t.match(config, { vocabSize: 320, hiddenSize: 64, numHiddenLayers: 2, tieWordEmbeddings: family !== 'llama3' })
    t.equal(config.ropeScaling?.type, family === 'llama3' ? 'llama3' : undefined)
  })
}
