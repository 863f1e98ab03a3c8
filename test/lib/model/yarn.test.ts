import t from 'tap'
import { attentionScale, parseModelConfig, rotaryInverseFrequencies } from '../../../lib/config/model-config.js'
import { buildGenerationGraph } from '../../../lib/generate/generation-graph.js'
import { Graph } from '../../../lib/graph/graph.js'
import { appendDecoder } from '../../../lib/model/decoder.js'
import { declareParameters } from '../../../lib/model/decoder-parameters.js'

/** Qwen2.5-7B-Instruct's shape, with the settings that its authors give for contexts longer than 32,768 tokens. */
const base = {
  model_type: 'qwen2',
  vocab_size: 152064,
  hidden_size: 3584,
  intermediate_size: 18944,
  num_hidden_layers: 2,
  num_attention_heads: 28,
  num_key_value_heads: 4,
  max_position_embeddings: 32768,
  rope_theta: 1e6,
}
const qwen = { type: 'yarn', factor: 4.0, original_max_position_embeddings: 32768 }
const parse = (rope_scaling: Record<string, unknown>, more = {}) =>
  parseModelConfig({ ...base, rope_scaling, ...more }, 'config.json')

/** Angles with those of the pairs before `first` kept, those from `last` on divided, and a straight ramp between. */
const angles = (first: number, last: number, factor: number) =>
  Float32Array.from({ length: 64 }, (_, i) => {
    const angle = 1 / 1e6 ** (i / 64)
    const divided = Math.max(0, Math.min(1, (i - first) / (last - first)))
    return (angle / factor) * divided + angle * (1 - divided)
  })

/** The pair that makes so many turns in 32,768 positions: turns = 32768 · 1e6^(-p/64) / 2π, solved for p. */
const pairWith = (turns: number) => (64 * Math.log(32768 / (2 * Math.PI * turns))) / Math.log(1e6)

t.test("YaRN's angles and scale, with Qwen2.5's numbers", async (t) => {
  const close = (settings: Record<string, unknown>, expected: Float32Array, more = {}) => {
    const actual = rotaryInverseFrequencies(parse(settings, more))
    t.equal(actual.length, 64)
    // The same formula in another order of operations in double, rounded to float32: they differ by one rounding at most.
    const worst = Math.max(...actual.map((angle, i) => Math.abs(angle / expected[i]! - 1)))
    t.ok(worst <= 2 ** -23, `${JSON.stringify(settings)}: off by ${worst}`)
  }
  t.match([pairWith(32), pairWith(1)].map(Math.floor), [23, 39])
  close(qwen, angles(23, 40, 4))
  close({ ...qwen, truncate: false }, angles(pairWith(32), pairWith(1), 4))
  close({ ...qwen, beta_fast: 16, beta_slow: 2 }, angles(Math.floor(pairWith(16)), Math.ceil(pairWith(2)), 4))
  close({ ...qwen, beta_fast: null, beta_slow: 0 }, angles(23, 40, 4))
  close({ type: 'yarn', factor: 4 }, angles(23, 40, 4))
  close({ type: 'yarn', original_max_position_embeddings: 32768 }, angles(23, 40, 2), { max_position_embeddings: 65536 })
  t.same(rotaryInverseFrequencies(parse({ ...qwen, factor: 1 })), angles(1e9, 2e9, 1), 'no factor, no change')
})

t.test('the attention factor scales the scores, by its square', async (t) => {
  const factorOf = (settings: Record<string, unknown>) => Math.sqrt(attentionScale(parse(settings)) * Math.sqrt(128))
  const same = (actual: number, expected: number) => t.ok(Math.abs(actual - expected) < 1e-15, `${actual} is ${expected}`)
  same(factorOf(qwen), 0.1 * Math.log(4) + 1)
  same(factorOf({ ...qwen, factor: 1 }), 1)
  same(factorOf({ ...qwen, attention_factor: 1.25 }), 1.25)
  same(factorOf({ ...qwen, mscale: 0.7, mscale_all_dim: 1.4 }), (0.07 * Math.log(4) + 1) / (0.14 * Math.log(4) + 1))
  same(factorOf({ ...qwen, mscale: 0.7 }), 0.1 * Math.log(4) + 1)
  same(factorOf({ ...qwen, mscale: 0.7, mscale_all_dim: 0 }), 0.1 * Math.log(4) + 1)
  same(factorOf({ type: 'linear', factor: 4 }), 1)
})

t.test('training and both steps of generation have the scale', async (t) => {
  const config = parse(qwen)
  const parameters = declareParameters(config)
  const training = new Graph('f32')
  appendDecoder(training, { config, parameters, maxTokens: 64, train: false })
  const shape = { config, parameters, dtype: 'f32', pageSize: 64, pages: 4, pagesPerSequence: 2, maxSequences: 2 } as const
  const graphs = [training]
  for (const step of ['prefill', 'decode'] as const)
    graphs.push(buildGenerationGraph(shape, step, { penalty: false, withLogits: false }))
  for (const { nodes } of graphs) {
    const scales = nodes.filter(({ op }) => op.name.startsWith('attention')).map(({ attributes }) => attributes.scale)
    t.same(scales, [attentionScale(config), attentionScale(config)])
  }
})

t.test("YaRN's settings in every spelling", async (t) => {
  const expected = parse(qwen)
  const { type: _, ...fields } = qwen
  t.same(parse({ rope_type: 'yarn', ...fields }), expected)
  const { rope_theta, ...without } = base
  for (const rope_parameters of [
    { rope_type: 'yarn', rope_theta, ...fields },
    { full_attention: { rope_type: 'yarn', rope_theta, ...fields } },
  ])
    t.same(parseModelConfig({ ...without, rope_parameters }, 'config.json'), expected)
})

t.test('wrong settings are named', async (t) => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ type: 'yarn' }, /^expected a positive number for rope_scaling\.factor but received nothing/],
    [{ ...qwen, factor: 0.5 }, /^expected a number of at least 1 for rope_scaling\.factor but received 0\.5/],
    [{ ...qwen, factor: '4' }, /rope_scaling\.factor but received "4"/],
    [{ ...qwen, original_max_position_embeddings: -1 }, /rope_scaling\.original_max_position_embeddings but received -1/],
    [{ ...qwen, beta_fast: 'fast' }, /rope_scaling\.beta_fast but received "fast"/],
    [{ ...qwen, beta_slow: 33 }, /^expected a number of at least beta_slow \(33\) for rope_scaling\.beta_fast but received 32/],
    [{ ...qwen, attention_factor: 0 }, /rope_scaling\.attention_factor but received 0/],
    [{ ...qwen, mscale: -1, mscale_all_dim: 1 }, /rope_scaling\.mscale but received -1/],
    [{ ...qwen, truncate: 'no' }, /^expected true or false for rope_scaling\.truncate but received "no"/],
    [{ ...qwen, rope_theta: 1 }, /^expected a number above 1 with yarn for rope_scaling\.rope_theta but received 1/],
  ]
  for (const [settings, message] of wrong)
    t.throws(() => parse(settings), { name: 'ConfigError', code: 'MODEL_MALFORMED', message }, String(message))
})
