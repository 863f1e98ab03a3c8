import t from 'tap'
import { loadTokenizer } from '../../../lib/data/tokenizer/tokenizer.js'
import { TextStream } from '../../../lib/generate/text-stream.js'
import { tokenizerFolder } from '../../shared-files.js'

const text = 'naïve 数学 👩‍👩‍👧 \n\n  x² + y² — “fin”. \\boxed{42} e\u0301\u0301 🇩🇪!'

for (const model of ['qwen2_5', 'qwen3', 'llama3'] as const) {
  t.test(`pieces are whole characters and together the text, ${model}`, async (t) => {
    const tokenizer = await loadTokenizer(tokenizerFolder(model))
    const stream = new TextStream(tokenizer, [])
    const pieces = [...tokenizer.encode(text).map((id) => stream.push(id)), stream.finish()]
    // Qwen's tokenizers compose characters.
    t.equal(pieces.join(''), tokenizer.decode(tokenizer.encode(text)))
    t.ok(pieces.every((piece) => !piece.includes('\ufffd')))
  })

  t.test(`bytes that are no character come out at the end, ${model}`, async (t) => {
    const tokenizer = await loadTokenizer(tokenizerFolder(model))
    const [first] = tokenizer.encode('🜚')
    const stream = new TextStream(tokenizer, [])
    t.equal(stream.push(first!), '')
    t.equal(stream.finish(), tokenizer.decode([first!]))
  })
}

t.test('special tokens have no text', async (t) => {
  const tokenizer = await loadTokenizer(tokenizerFolder('qwen2_5'))
  const stream = new TextStream(tokenizer, [])
  const pieces = tokenizer.encode('a<|im_end|>b').map((id) => stream.push(id))
  t.equal(pieces.join('') + stream.finish(), 'ab')
})

t.test('stop texts', async (t) => {
  const tokenizer = await loadTokenizer(tokenizerFolder('qwen2_5'))
  const run = (text: string, stop: string[]) => {
    const stream = new TextStream(tokenizer, stop)
    let all = ''
    for (const id of tokenizer.encode(text)) all += stream.push(id)
    return { text: all + stream.finish(), stopped: stream.isStopped }
  }
  t.same(run('one two three', ['two']), { text: 'one ', stopped: true })
  t.same(run('one two three', ['three', 'two']), { text: 'one ', stopped: true }, 'the first that comes')
  t.same(run('one two thr', ['three']), { text: 'one two thr', stopped: false }, 'a beginning of one at the end is text')
  t.same(run('aaab', ['aab']), { text: 'a', stopped: true }, 'one that begins inside of a beginning')
  t.same(run('数学问题', ['问题']), { text: '数学', stopped: true })
})
