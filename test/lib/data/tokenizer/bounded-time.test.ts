import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { inBoundedTime } from '../../../../lib/data/tokenizer/bounded-time.js'
import { loadTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'

const backtracking = () => /^(a+)+$/.test(`${'a'.repeat(50)}!`)
const tooLong = () => new Error('too long')

/** A tokenizer of characters, whose texts are first split by a pattern. */
function folderWith(pattern: string): string {
  const vocab = Object.fromEntries(['a', '!', ' '].map((token, id) => [token, id]))
  const definition = {
    added_tokens: [],
    normalizer: null,
    post_processor: null,
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    decoder: null,
    model: { type: 'BPE', vocab, merges: [], unk_token: null },
  }
  return t.testdir({ 'tokenizer.json': JSON.stringify(definition) })
}

t.test('what takes no time gives its value or its error', async (t) => {
  t.equal(
    inBoundedTime(() => 5, 1000, tooLong),
    5,
  )
  t.throws(
    () =>
      inBoundedTime(
        () => {
          throw new TypeError('its own')
        },
        1000,
        tooLong,
      ),
    { name: 'TypeError', message: 'its own' },
  )
})

t.test('a regular expression that backtracks is ended', async (t) => {
  t.throws(() => inBoundedTime(backtracking, 50, tooLong), { message: 'too long' })
  t.equal(
    inBoundedTime(() => 'a', 1000, tooLong),
    'a',
    'and the next call runs',
  )
})

t.test('one in tokenizer.json too', { timeout: 60_000 }, async (t) => {
  const tokenizer = await loadTokenizer(folderWith('(a+)+!? '))
  t.same(tokenizer.encode('aa !'), [0, 0, 2, 1])
  t.throws(() => tokenizer.encode('a'.repeat(60)), {
    code: 'TOKENIZER_MALFORMED',
    message: /a regular expression in it takes seconds for one text/,
  })
  t.same(tokenizer.encode('aa !'), [0, 0, 2, 1], 'other texts still go')
})

t.test('in a worker thread', async (t) => {
  const module = new URL('../../../../lib/data/tokenizer/bounded-time.js', import.meta.url).href
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData).then(({ inBoundedTime }) => {
      try {
        inBoundedTime(() => /^(a+)+$/.test('a'.repeat(50) + '!'), 50, () => new Error('too long'))
      } catch ({ message }) {
        parentPort.postMessage(message)
      }
    })`
  const [message] = await once(new Worker(source, { eval: true, workerData: module }), 'message')
  t.equal(message, 'too long')
})
