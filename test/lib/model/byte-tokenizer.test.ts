import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import t from 'tap'
import { mergesOf } from '../../../lib/data/tokenizer/byte-level/merge-trainer.js'
import { byteLevelTokenizer, byteLevelTokenizerFiles } from '../../../lib/model/byte-tokenizer.js'
import { generateChains } from '../../../lib/quickstart/chains.js'

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

/**
 * What a program does that knows Qwen2's rules and takes no more from the file than vocabulary and merges, as Transformers 5 and llama.cpp
 * do: NFC, the splitting pattern, then in each piece the earliest merge again and again.
 */
function likeQwen2(json: Record<string, unknown>): (text: string) => number[] {
  const { vocab, merges } = json.model as { vocab: Record<string, number>; merges: string[] }
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]))
  const pattern =
    /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu
  const characters = Object.entries(vocab)
    .sort(([, a], [, b]) => a - b)
    .map(([token]) => token)
  return (text) =>
    [...text.normalize('NFC').matchAll(pattern)].flatMap(([piece]) => {
      const parts = Array.from(Buffer.from(piece), (byte) => characters[byte]!)
      for (;;) {
        let [at, best] = [-1, Number.POSITIVE_INFINITY]
        for (let i = 0; i + 1 < parts.length; i++) {
          const rank = ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? best
          if (rank < best) [at, best] = [i, rank]
        }
        if (at < 0) return parts.map((part) => vocab[part]!)
        parts.splice(at, 2, parts[at]! + parts[at + 1]!)
      }
    })
}

t.test('merges of the words of texts', async (t) => {
  const merges = mergesOf(['Ones: so 2+3=5 (5-3=2), so 5.', 'so café so', 'Tens: 12, so 21 (no) café'])
  const { tokenizerJson, tokenizerConfigJson } = byteLevelTokenizer(merges)
  const merging = new Tokenizer(tokenizerJson, tokenizerConfigJson)
  const model = tokenizerJson.model as { vocab: Record<string, number>; merges: string[]; ignore_merges: boolean }
  t.equal(model.merges[0], 's o', 'the most frequent pair first')
  t.same(merging.encode(' so').ids, [model.vocab.Ġso])
  t.same(merging.encode('12').ids, [...Buffer.from('12')], 'digits stay alone')
  t.notOk(model.ignore_merges)
  t.equal(merges.length, new Set(model.merges).size)
  t.same(merging.encode('<|im_end|>').ids, [256 + merges.length + 2])
  for (const text of ['Ones: naïve café (no), so 😀', ' so  so\n']) t.equal(merging.decode(merging.encode(text).ids), text)
  t.same(mergesOf(['ab ab', 'x']), [[97, 98]], 'what occurs once is no token')
  t.same(mergesOf([]), [])
})

t.test("the ids are those of Qwen2's rules, with nothing but vocabulary and merges", async (t) => {
  const chains = generateChains({ count: 300, seed: 5 })
  const texts = chains.flatMap(({ question, solution }) => [question, solution])
  const { tokenizerJson, tokenizerConfigJson } = byteLevelTokenizer(mergesOf(texts))
  const tokenizer = new Tokenizer(tokenizerJson, tokenizerConfigJson)
  const independent = likeQwen2(tokenizerJson)
  const odd = ["It's  DON'T\n\n x\r\n\ty=3²", 'cafe\u0301 漢字 😀 naïve  ', '(((a)))...12,345.6', '\u00a0x\u2028y', '']
  const wrong = [...texts, ...odd].filter((text) => String(tokenizer.encode(text).ids) !== String(independent(text)))
  t.same(wrong, [])
  const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text).ids.length, 0)
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  t.ok(tokens < 0.6 * bytes, `${tokens} tokens for ${bytes} bytes`)
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
