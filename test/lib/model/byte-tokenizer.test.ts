import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import t from 'tap'
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
