import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import t from 'tap'
import { wordsOf } from '../../../lib/data/tokenizer/byte-level/words.js'
import { byteLevelTokenizer, byteLevelTokenizerFiles } from '../../../lib/model/byte-tokenizer.js'

const { tokenizerJson, tokenizerConfigJson } = byteLevelTokenizer()
const tokenizer = new Tokenizer(tokenizerJson, tokenizerConfigJson)

t.test('a token is a byte', async (t) => {
  const texts = [
    '',
    'Hello, world!',
    '  two  spaces\n\ttab\r\n',
    'naïve café',
    '漢字かな',
    '😀👩‍👩‍👧 𝄞',
    '\u0000\u007f\u00ad\u00a0',
    "it's 12+34=46",
  ]
  for (const text of texts) {
    const { ids } = tokenizer.encode(text)
    t.same(Buffer.from(ids), Buffer.from(text), JSON.stringify(text))
    if (text !== '') t.equal(tokenizer.decode(ids), text)
  }
})

t.test('every byte has its own id', async (t) => {
  const model = tokenizerJson.model as { vocab: Record<string, number> }
  t.same(
    Object.values(model.vocab).sort((a, b) => a - b),
    Array.from({ length: 256 }, (_, byte) => byte),
  )
})

t.test('with words', async (t) => {
  const words = wordsOf(['Ones: 2+3=5 (5-3=2), so 5.', 'so café', 'Tens: 12, so 21 (no)'])
  t.same(
    words,
    [' (', ' so', '),', 'Ones', 'Tens', 'no', 'so', ' café'].toSorted((a, b) => words.indexOf(a) - words.indexOf(b)),
  )
  t.same(words.slice(0, 2), [' (', ' so'], 'the most frequent ones first, then by their text')
  t.notOk(
    words.some((word) => /\d/.test(word)),
    'digits stay alone',
  )
  t.same(wordsOf(['a\ud83d b\ude00']), [' b'], 'halves of characters are no words')
  const { tokenizerJson, tokenizerConfigJson } = byteLevelTokenizer(words)
  const withWords = new Tokenizer(tokenizerJson, tokenizerConfigJson)
  const idOf = (word: string) => 256 + words.indexOf(word)
  t.same(withWords.encode('Ones so 12').ids, [idOf('Ones'), idOf(' so'), ...Buffer.from(' 12')])
  t.same(withWords.encode('so sow').ids, [idOf('so'), ...Buffer.from(' sow')], 'a word is a token as a whole or not at all')
  t.same(withWords.encode('<|im_end|>').ids, [256 + words.length + 2])
  for (const text of ['Ones: naïve café (no), so 😀', ' so  so\n']) t.equal(withWords.decode(withWords.encode(text).ids), text)
})

t.test('special tokens are one token', async (t) => {
  const { ids } = tokenizer.encode('<|im_start|>user\n<|im_end|><|endoftext|>')
  t.same(ids, [257, ...Buffer.from('user\n'), 258, 256])
})

t.test('the chat template is ChatML', async (t) => {
  const template = new Template(tokenizerConfigJson.chat_template as string)
  const messages = [
    { role: 'system', content: 'S' },
    { role: 'user', content: 'Q' },
  ]
  t.equal(
    template.render({ messages, add_generation_prompt: true }),
    '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n',
  )
  t.equal(template.render({ messages: [{ role: 'assistant', content: 'A' }] }), '<|im_start|>assistant\nA<|im_end|>\n')
})

t.test('the files are the JSON', async (t) => {
  const files = byteLevelTokenizerFiles()
  t.same(JSON.parse(files['tokenizer.json']!), tokenizerJson)
  t.same(JSON.parse(files['tokenizer_config.json']!), tokenizerConfigJson)
})
