import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { withDtype, writeModelFolder } from '../../../lib/checkpoint/model-files.js'
import { checkTensors, openModelFolder, tokenizerFiles } from '../../../lib/checkpoint/model-folder.js'
import { writeSafetensors } from '../../../lib/checkpoint/safetensors-writer.js'
import { parseModelConfig } from '../../../lib/config/model-config.js'
import { declareParameters } from '../../../lib/model/decoder-parameters.js'
import { sharedPath } from '../../shared-files.js'
import { configText, countingTensor, failingTensor } from './writers.js'

const config = parseModelConfig(JSON.parse(configText), 'config.json')
const expected = declareParameters(config).weights
const writers = expected.map(({ name, shape }) => countingTensor(name, shape))
const source = () => ({ 'tokenizer.json': '{"a": 1.0}', 'LICENSE.txt': 'MIT', 'README.md': 'no', 'pytorch_model.bin': 'no' })

t.test('a model goes out and comes back, whole or in shards', async (t) => {
  const folder = t.testdir({ source: source() })
  for (const maxShardBytes of [5e9, 200]) {
    const target = join(folder, `model-${maxShardBytes}`)
    await writeModelFolder(target, { configText, tensors: writers, tokenizer: { folder: join(folder, 'source') }, maxShardBytes })
    const opened = await openModelFolder(target)
    t.same(opened.config, config)
    t.equal(opened.configJson.torch_dtype, 'float32')
    t.equal(opened.configText, configText.replace('bfloat16', 'float32'), 'nothing but the dtype changes')
    t.doesNotThrow(() => checkTensors(expected, opened.tensors, { tied: true }))
    t.equal(readFileSync(join(target, 'tokenizer.json'), 'utf8'), '{"a": 1.0}')
    t.equal(readFileSync(join(target, 'LICENSE.txt'), 'utf8'), 'MIT')
    const weights = readdirSync(target).filter((name) => name.includes('safetensors'))
    t.equal(weights.includes('model.safetensors.index.json'), maxShardBytes === 200)
    t.equal(weights.length > 3, maxShardBytes === 200)
    t.notOk(readdirSync(target).includes('README.md'))
  }
  t.same(readdirSync(folder).sort(), ['model-200', 'model-5000000000', 'source'], 'no temporary folder is left')
})

t.test('a model that cannot be written leaves nothing, and what was there before', async (t) => {
  const folder = t.testdir({ source: source(), old: { 'config.json': 'before' } })
  const contents = { configText, tensors: [...writers, failingTensor('z')], tokenizer: { folder: join(folder, 'source') } }
  for (const name of ['new', 'old']) {
    await t.rejects(writeModelFolder(join(folder, name), contents), { code: 'WRITE_FAILED', details: { reason: 'ENOSPC' } })
  }
  t.same(readdirSync(folder).sort(), ['old', 'source'])
  t.equal(readFileSync(join(folder, 'old', 'config.json'), 'utf8'), 'before')
})

t.test('the dtype takes the place it has', async (t) => {
  t.equal(
    withDtype('{"a": {"dtype": "x"}, "dtype" : "float16", "b": 1e-06}', 'F32'),
    '{"a": {"dtype": "x"}, "dtype" : "float32", "b": 1e-06}',
  )
  t.equal(withDtype('{"torch_dtype": null}', 'BF16'), '{"torch_dtype": "bfloat16"}')
  t.equal(withDtype('{"torch_dtype": "a", "dtype": "b"}', 'F16'), '{"torch_dtype": "float16", "dtype": "float16"}')
  t.same(JSON.parse(withDtype('{\n  "a": [{"torch_dtype": 1}]\n}\n', 'F32')), { a: [{ torch_dtype: 1 }], torch_dtype: 'float32' })
  t.same(JSON.parse(withDtype('{}', 'F32')), { torch_dtype: 'float32' })
})

t.test('folders without usable weights', async (t) => {
  const index = (weightMap: unknown) => JSON.stringify({ metadata: {}, weight_map: weightMap })
  const folder = t.testdir({
    none: { 'config.json': configText },
    old: { 'config.json': configText, 'pytorch_model.bin': '' },
    missing: { 'config.json': configText, 'model.safetensors.index.json': index({ a: 'model-00001-of-00001.safetensors' }) },
    broken: { 'config.json': configText, 'model.safetensors.index.json': '{' },
    shapeless: { 'config.json': configText, 'model.safetensors.index.json': '{"weight_map": {"a": 1}}' },
    outside: { 'config.json': configText, 'model.safetensors.index.json': index({ a: '../none/model.safetensors' }) },
    absolute: { 'config.json': configText, 'model.safetensors.index.json': index({ a: '/etc/model.safetensors' }) },
    windows: { 'config.json': configText, 'model.safetensors.index.json': index({ a: '..\\model.safetensors' }) },
    lacking: { 'config.json': configText, 'model.safetensors.index.json': index({ a: 's.safetensors', b: 's.safetensors' }) },
    surplus: { 'config.json': configText, 'model.safetensors.index.json': index({ a: 's.safetensors' }) },
  })
  await writeSafetensors(join(folder, 'lacking', 's.safetensors'), [countingTensor('a', [1])])
  await writeSafetensors(join(folder, 'surplus', 's.safetensors'), [countingTensor('a', [1]), countingTensor('b', [1])])
  const open = (name: string) => openModelFolder(join(folder, name))
  await t.rejects(open('none'), { code: 'MODEL_NOT_FOUND', message: /expected model\.safetensors/ })
  await t.rejects(open('old'), { code: 'MODEL_NOT_FOUND', message: /pytorch_model\.bin is another format/ })
  await t.rejects(open('missing'), { code: 'MODEL_NOT_FOUND', message: /model-00001-of-00001\.safetensors does not exist/ })
  await t.rejects(open('broken'), { code: 'SAFETENSORS_MALFORMED', message: /expected JSON/ })
  await t.rejects(open('shapeless'), { code: 'SAFETENSORS_MALFORMED', message: /weight_map/ })
  for (const name of ['outside', 'absolute', 'windows']) {
    await t.rejects(open(name), { code: 'SAFETENSORS_MALFORMED', message: /name of a \.safetensors file/ }, name)
  }
  await t.rejects(open('lacking'), { code: 'TENSOR_MISSING', message: /"b"/ })
  await t.rejects(open('surplus'), { code: 'TENSOR_UNEXPECTED', message: /"b"/ })
})

t.test('shards may be links, as in a download cache', async (t) => {
  const folder = t.testdir({ blobs: {}, snapshot: { 'config.json': configText } })
  await writeSafetensors(join(folder, 'blobs', '0123'), [countingTensor('a', [1])])
  symlinkSync('../blobs/0123', join(folder, 'snapshot', 'model.safetensors'))
  writeFileSync(join(folder, 'blobs', '4567'), '{}')
  symlinkSync('../blobs/4567', join(folder, 'snapshot', 'tokenizer.json'))
  t.equal((await openModelFolder(join(folder, 'snapshot'))).tensors.size, 1)
  t.same(await tokenizerFiles(join(folder, 'snapshot')), ['tokenizer.json'])
})

t.test('the files that go along', async (t) => {
  const names = [
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'vocab.json',
    'merges.txt',
  ]
  const more = ['tokenizer.model', 'chat_template.jinja', 'generation_config.json', 'LICENSE', 'NOTICE']
  const others = ['config.json', 'model.safetensors', 'tokenizer.json.bak', '.gitattributes']
  const folder = t.testdir(Object.fromEntries([...names, ...more, ...others].map((name) => [name, ''])))
  mkdirSync(join(folder, 'LICENSES'))
  t.same(await tokenizerFiles(folder), [...names, ...more].sort())
})

t.test('every tensor that does not fit is named', async (t) => {
  const entries = () =>
    new Map(
      expected.map(({ name, shape }) => [
        name,
        { name, dtype: 'F32' as 'F32' | 'F64', shape, file: '/m', byteOffset: 0, byteLength: 0 },
      ]),
    )
  const check =
    (tensors: ReturnType<typeof entries>, tied = true) =>
    () =>
      checkTensors(expected, tensors, { tied })
  const extra = (name: string) => entries().set(name, { ...entries().get('model.norm.weight')!, name })
  t.doesNotThrow(check(entries()))
  t.doesNotThrow(check(extra('lm_head.weight')))
  t.throws(check(extra('lm_head.weight'), false), { code: 'TENSOR_UNEXPECTED', message: /lm_head\.weight/ })
  t.doesNotThrow(check(extra('model.layers.0.self_attn.rotary_emb.inv_freq')))
  t.throws(check(extra('score.weight')), {
    code: 'TENSOR_UNEXPECTED',
    message: /1 tensor without a place in the model: score\.weight/,
  })

  const missing = entries()
  missing.delete('model.norm.weight')
  t.throws(check(missing), {
    code: 'TENSOR_MISSING',
    message: /model\.norm\.weight/,
    details: { missing: ['model.norm.weight'] },
  })
  const reshaped = entries()
  reshaped.get('model.norm.weight')!.shape = [5]
  t.throws(check(reshaped), { code: 'TENSOR_MISMATCH', message: /model\.norm\.weight \(expected \[4\] but received \[5\]\)/ })
  const wide = entries()
  wide.get('model.norm.weight')!.dtype = 'F64'
  t.throws(check(wide), { code: 'TENSOR_MISMATCH', message: /expected F32, BF16 or F16 but received F64/ })
  t.throws(check(new Map()), { code: 'TENSOR_MISSING', message: /and 4 more/ })
})

for (const path of [
  sharedPath('golden', 'qwen2'),
  sharedPath('golden', 'qwen3'),
  sharedPath('golden', 'llama3'),
  sharedPath('data', 'models', 'stories260K'),
]) {
  t.test(path ?? 'a real model', { skip: path === undefined && 'shared is absent' }, async (t) => {
    const model = await openModelFolder(path!)
    t.doesNotThrow(() =>
      checkTensors(declareParameters(model.config).weights, model.tensors, { tied: model.config.tieWordEmbeddings }),
    )
  })
}

t.test('a folder without weights that can be read says what to do', async (t) => {
  const [single, index] = ['model.safetensors', 'model.safetensors.index.json']
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
  const folder = t.testdir()
  const made = async (name: string, files: Record<string, string | typeof writers>) => {
    const path = join(folder, name)
    mkdirSync(path)
    writeFileSync(join(path, 'config.json'), configText)
    for (const [file, content] of Object.entries(files)) {
      if (typeof content === 'string') writeFileSync(join(path, file), content)
      else await writeSafetensors(join(path, file), content)
    }
    return path
  }
  const mapped = (file: (at: number) => string) =>
    JSON.stringify({ weight_map: Object.fromEntries(writers.map(({ name }, at) => [name, file(at)])) })
  const halves = { [first]: writers.slice(0, 3), [second]: writers.slice(3) }
  const halved = mapped((at) => (at < 3 ? first : second))
  const stale = {
    code: 'MODEL_MALFORMED',
    message: /one set of weights .* remove model\.safetensors\.index\.json and its shards, or/,
  }
  await t.rejects(openModelFolder(await made('stale', { [single]: writers, [index]: halved, ...halves })), stale)
  await t.rejects(openModelFolder(await made('stale index', { [single]: writers, [index]: halved })), stale)
  await t.resolves(openModelFolder(await made('index of one', { [single]: writers, [index]: mapped(() => single) })))
  for (const [name, files, message] of [
    ['no index', halves, /shards \(model-0000.*\) but not their index: download model\.safetensors\.index\.json/],
    ['adapter', { 'adapter_model.safetensors': 'x' }, /an adapter \(LoRA\), no model: merge it/],
    ['consolidated', { 'consolidated.00.safetensors': 'x' }, /its maker's own names of tensors/],
    ['renamed', { 'weights.safetensors': 'x' }, /rename it to model\.safetensors/],
    ['bin', { 'pytorch_model.bin': 'x' }, /another format: save the model with save_pretrained/],
    ['nothing', {}, /is the download complete/],
    [
      'lfs',
      { [single]: 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n' },
      /pointer of Git LFS: run "git lfs pull"/,
    ],
    [
      'twice',
      { ...halves, [second]: [...writers.slice(3), writers[0]!], [index]: halved },
      /says that it is in model-00001.*save the model anew/,
    ],
  ] as const)
    await t.rejects(openModelFolder(await made(name, files as never)), { message }, name)
})

t.test('names that differ by their prefix alone', async (t) => {
  const entries = (rename: (name: string) => string) =>
    new Map(expected.map(({ name, shape }) => [rename(name), { name: rename(name), shape, dtype: 'F32' } as never]))
  const check = (rename: (name: string) => string) => () => checkTensors(expected, entries(rename), { tied: true })
  t.throws(
    check((name) => name.replace('model.', '')),
    { code: 'TENSOR_MISSING', message: /"model\." is missing in front of all names/ },
  )
  for (const prefix of ['_orig_mod.', 'module.', 'base_model.model.'])
    t.throws(
      check((name) => prefix + name),
      { message: new RegExp(`"${prefix}" stands in front of all names`) },
    )
  t.throws(
    check((name) => `${name}x`),
    { message: /missing: .*without a place/ },
  )
})

t.test('a config.json of more layers than there are tensors is refused before anything grows', async (t) => {
  const folder = t.testdir({ 'config.json': configText.replace('"num_hidden_layers": 1', '"num_hidden_layers": 900') })
  await writeSafetensors(join(folder, 'model.safetensors'), writers)
  await t.rejects(openModelFolder(folder), { code: 'TENSOR_MISSING', message: /900 layers but the files have \d+ tensors/ })
})
