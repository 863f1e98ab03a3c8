import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { loadTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { sharedPath, tokenizerFolder } from '../../../shared-files.js'

const segments = (...texts: string[]) => texts.map((text) => ({ text }))

t.test('Qwen2.5', async (t) => {
  const tokenizer = await loadTokenizer(tokenizerFolder('qwen2_5'))
  t.same(tokenizer.encode('<|im_start|>user\n'), [151644, 872, 198], 'special tokens in the text become their ids')
  t.same(tokenizer.encode(''), [])
  t.equal(tokenizer.decode([]), '')
  t.equal(tokenizer.vocabSize, 151665)
  t.same(tokenizer.specialTokens, { eos_token: '<|im_end|>', pad_token: '<|endoftext|>' }, 'null is left out')
  t.equal(tokenizer.tokenId('<|im_end|>'), 151645)
  t.equal(tokenizer.tokenId('no such token'), undefined)
  t.ok(tokenizer.isSpecial(151645))
  t.notOk(tokenizer.isSpecial(198))

  const texts = ['Let $x = \\frac{1}{2}$.\n\n  So\t…', '数学 🧮 e\u0301a', ' leading and trailing ', "it ' s , kept . as it is"]
  for (const text of texts) {
    const ids = tokenizer.encode(text)
    t.equal(tokenizer.decode(ids), text.normalize('NFC'))
    t.equal(tokenizer.decode(Int32Array.from(ids)), text.normalize('NFC'), 'typed arrays decode too')
  }
  t.same(tokenizer.encodeSegments(segments('<|im_start|>', 'user\n', '')), [[151644], [872, 198], []])
})

t.test('in a worker thread', async (t) => {
  const folder = tokenizerFolder('qwen2_5')
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.module).then(async ({ loadTokenizer }) => {
      parentPort.postMessage((await loadTokenizer(workerData.folder)).encode('<|im_start|>user'))
    })`
  const module = new URL('../../../../lib/data/tokenizer/tokenizer.js', import.meta.url).href
  const [ids] = await once(new Worker(source, { eval: true, workerData: { module, folder } }), 'message')
  t.same(ids, [151644, 872])
})

t.test('Llama 3 adds nothing by itself', async (t) => {
  const tokenizer = await loadTokenizer(tokenizerFolder('llama3'))
  t.same(tokenizer.encode('<|begin_of_text|>Hi'), [128000, 13347])
  t.same(tokenizer.encode('Hi'), [13347])
  t.equal(tokenizer.vocabSize, 128256)
})

const stories = sharedPath('data', 'models', 'stories260K')
t.test('pieces tokenize as the whole text does, where spaces are put first', async (t) => {
  const letters = ['▁', 'h', 'i', 'o', 'w', '|', '<', '>', '/', 's', 'a', 'b']
  const special = ['<s>', '</s>', '<|a|>', '<b>']
  const vocab = Object.fromEntries([...letters, '▁h', 'hi', '▁hi', 'ho', '▁ho'].map((token, id) => [token, id]))
  const merges = ['▁ h', '▁h i', '▁h o', 'h i', 'h o']
  const addedToken = (content: string, index: number) => ({
    ...{ id: 17 + index, content, special: content !== '<b>', normalized: false },
    ...{ single_word: false, lstrip: false, rstrip: false },
  })
  const metaspace = (fields: object) => ({ pre_tokenizer: { type: 'Metaspace', replacement: '▁', split: false, ...fields } })
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  const kinds: Record<string, object> = {
    first: metaspace({ prepend_scheme: 'first' }),
    always: metaspace({ prepend_scheme: 'always' }),
    never: metaspace({ prepend_scheme: 'never' }),
    'no scheme': metaspace({}),
    Prepend: { normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] } },
  }
  const texts = [
    ['<s>hi<|a|>', 'how</s>'],
    ['<s>hi', ' how</s>', '<s>hi'],
    ['hi', ' how</s>hi<|a|>hi'],
    ['hi', '</s>hi', ' hi<s>', 'ho'],
    ['hi<b>', 'hi', ' ho<b>hi'],
    ['', 'hi', ' hi'],
  ]
  const none = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null }
  for (const [name, parts] of Object.entries(kinds)) {
    const definition = { ...none, model: { type: 'BPE', vocab, merges }, added_tokens: special.map(addedToken), ...parts }
    const tokenizer = await loadTokenizer(t.testdir({ 'tokenizer.json': JSON.stringify(definition) }))
    for (const pieces of texts) {
      const segments = pieces.map((text) => ({ text }))
      const whole = tokenizer.encode(pieces.join(''))
      t.same(tokenizer.encodeSegments(segments).flat(), whole, `${name}: ${pieces.join('·')}`)
    }
    const spelled = tokenizer.encodeSegments([{ text: '<s>hi<|a|>hi</s>hi', spelledAt: [5] }]).flat()
    const [start, end] = [17, 18]
    t.same([spelled[0], spelled.includes(19), spelled.includes(end)], [start, false, true], `${name}: a token that is text`)
    t.same(spelled.slice(spelled.indexOf(end)), tokenizer.encodeSegments([{ text: '<s>' }, { text: '</s>hi' }])[1], name)
  }
})

t.test('a tokenizer with a prefix space', { skip: stories === undefined && 'shared/data is absent' }, async (t) => {
  const tokenizer = await loadTokenizer(stories!)
  t.equal(tokenizer.vocabSize, 512)
  t.same(tokenizer.specialTokens, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' })
  const prompt = 'Once upon a time'
  const [first, second, third] = tokenizer.encodeSegments(segments(prompt, ', there was</s>', 'The end'))
  t.same(first, tokenizer.encode(prompt))
  t.equal(tokenizer.decode([...first!, ...second!]), 'Once upon a time, there was</s>', 'what continues a text gets no space')
  t.same(third, tokenizer.encode('The end'), 'what follows a special token gets one, as inside a text')
  t.same(tokenizer.encode(prompt), first, 'and the rules are in place again afterwards')
})

t.test('a story token by token', { skip: stories === undefined && 'shared/data is absent' }, async (t) => {
  const tokenizer = await loadTokenizer(stories!)
  const story = readFileSync(join(stories!, 'expected_greedy_n200.txt'), 'utf8').trimEnd()
  const { tokens } = JSON.parse(readFileSync(join(stories!, 'golden_greedy200.json'), 'utf8'))
  t.same(tokenizer.encode(story), tokens.slice(1), 'the reference has <s> before it')
  t.equal(tokenizer.decode(tokens.slice(1)), story)
  const middle = story.indexOf(' She loved')
  t.same(
    tokenizer.encodeSegments(segments(story.slice(0, middle), story.slice(middle))).flat(),
    tokens.slice(1),
    'or in two pieces',
  )
})

t.test('files that cannot be used', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'tokenizer.json')
  await t.rejects(loadTokenizer(folder), {
    code: 'TOKENIZER_MALFORMED',
    message: /tokenizer\.json: .*does not exist/,
    details: { file: path },
  })
  for (const content of ['{"model": ', '[1]', '{}', '{"model": {"type": "Nonsense"}, "added_tokens": []}']) {
    writeFileSync(path, content)
    await t.rejects(loadTokenizer(folder), { name: 'DataError', code: 'TOKENIZER_MALFORMED' }, content)
  }
  writeFileSync(path, JSON.stringify({ ...charactersTokenizer('abc'), added_tokens: [{ content: '<s>' }] }))
  await t.rejects(loadTokenizer(folder), { code: 'TOKENIZER_MALFORMED', message: /added_tokens is no list of tokens/ })
  writeFileSync(path, JSON.stringify(charactersTokenizer('abc')))
  writeFileSync(join(folder, 'tokenizer_config.json'), 'nonsense')
  await t.rejects(loadTokenizer(folder), { code: 'TOKENIZER_MALFORMED', message: /tokenizer_config\.json/ })
})

t.test('tokens without an id', async (t) => {
  const folder = t.testdir({ 'tokenizer.json': JSON.stringify(charactersTokenizer('abc')) })
  const tokenizer = await loadTokenizer(folder)
  t.same(tokenizer.encode('cab'), [2, 0, 1], 'tokenizer_config.json may be absent')

  const words = { ...charactersTokenizer(''), model: { type: 'WordPiece', vocab: { yes: 0 }, unk_token: '[UNK]' } }
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(words))
  const broken = await loadTokenizer(folder)
  t.same(broken.encode('yes'), [0])
  t.throws(() => broken.encode('no'), { code: 'TOKENIZER_MALFORMED', message: /no id for the token "\[UNK\]"/ })
})

t.test('special tokens given as objects', async (t) => {
  const folder = t.testdir({
    'tokenizer.json': JSON.stringify(charactersTokenizer('abc')),
    'tokenizer_config.json': JSON.stringify({
      eos_token: { content: '</s>', lstrip: false },
      bos_token: null,
      add_bos_token: true,
    }),
  })
  t.same((await loadTokenizer(folder)).specialTokens, { eos_token: '</s>' })
})

function charactersTokenizer(characters: string): object {
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: { type: 'BPE', vocab: Object.fromEntries([...characters].map((character, id) => [character, id])), merges: [] },
  }
}

t.test('tokens of tokenizer_config.json that tokenizer.json does not have are added', async (t) => {
  const from = tokenizerFolder('qwen2_5')
  const config = JSON.parse(readFileSync(join(from, 'tokenizer_config.json'), 'utf8'))
  const token = (content: string) => ({
    content,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: true,
  })
  config.added_tokens_decoder = {
    ...config.added_tokens_decoder,
    151665: token('<|step|>'),
    872: token('<|taken|>'),
    198: token('\n'),
  }
  const folder = t.testdir({
    'tokenizer.json': readFileSync(join(from, 'tokenizer.json')),
    'tokenizer_config.json': JSON.stringify(config),
  })
  const tokenizer = await loadTokenizer(folder)
  t.same(tokenizer.encode('user<|step|>user'), [872, 151665, 872])
  t.equal(tokenizer.decode([151665]), '<|step|>')
  t.equal(tokenizer.vocabSize, 151666)
  t.ok(tokenizer.isSpecial(151665))
  t.not(tokenizer.encode('<|taken|>').length, 1, 'an id that is taken stays with its token')
})
