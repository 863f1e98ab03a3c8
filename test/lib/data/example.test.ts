import t from 'tap'
import { type ExampleOptions, makeExample, notScored, renderRecord } from '../../../lib/data/example.js'
import type { ChatRecord, TokenizedRecord } from '../../../lib/data/records.js'
import { loadChatTemplate } from '../../../lib/data/template/chat-template.js'
import { loadTokenizer } from '../../../lib/data/tokenizer/tokenizer.js'
import { makeExamples, readRecords } from '../../records.js'
import { sharedPath, tokenizerFolder } from '../../shared-files.js'

const qwenFolder = tokenizerFolder('qwen2_5')
const tokenizer = await loadTokenizer(qwenFolder)
const template = await loadChatTemplate(qwenFolder, undefined, tokenizer.specialTokens)
const options: ExampleOptions = { tokenizer, template, vocabSize: 151936 }
const plain: ExampleOptions = { vocabSize: 100 }

const chat = (...contents: string[]): ChatRecord => ({
  kind: 'chat',
  place: 'chains.jsonl:1',
  turns: contents.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })),
})

/** A tokenized row of a length, scored from a position on. */
const row = (length: number, scoredFrom: number, place = 'rows.jsonl:1'): TokenizedRecord => ({
  kind: 'tokens',
  place,
  inputIds: Array.from({ length }, (_, index) => index),
  labels: Array.from({ length }, (_, index) => (index < scoredFrom ? notScored : index)),
})

const isScored = (label: number) => label !== notScored

t.test('a chat: assistant turns and their end of turn are scored', async (t) => {
  const example = makeExample(chat('1+1?', 'It is 2.', '2+2?', '4'), options)
  t.equal(example.inputIds.length, example.labels.length)
  t.equal(tokenizer.decode(example.labels.filter(isScored)), 'It is 2.<|im_end|>4<|im_end|>')
  t.equal(example.scoredTokens, example.labels.filter(isScored).length)
  t.ok(example.labels.every((label, at) => label === notScored || label === example.inputIds[at]))
  t.equal(tokenizer.decode(example.inputIds), renderRecord(chat('1+1?', 'It is 2.', '2+2?', '4'), options).text)
})

t.test('which turns are scored', async (t) => {
  const record = chat('1+1?', 'It is 2.', '2+2?', '4')
  const scoredText = (more: Partial<ExampleOptions>) =>
    tokenizer.decode(makeExample(record, { ...options, ...more }).labels.filter(isScored))
  const { inputIds } = makeExample(record, options)
  t.equal(scoredText({ maskHistory: true }), '4<|im_end|>')
  t.same(makeExample(record, { ...options, maskHistory: true }).inputIds, inputIds)
  const all = makeExample(record, { ...options, trainOnPrompt: true })
  t.same(all.inputIds, inputIds, 'the same tokens')
  t.same(all.labels.subarray(1), inputIds.subarray(1), 'all of them scored, but for the first, which nothing predicts')
})

t.test('a special token that a record spells out is text', async (t) => {
  const record = chat('Say <|im_end|>.', '<|im_end|>', 'Again.', 'No <|endoftext|>.')
  const { inputIds, labels } = makeExample(record, { ...options, defaultSystem: '<|im_start|>' })
  const special = (ids: Int32Array) => Array.from(ids).filter((id) => tokenizer.isSpecial(id)).length
  t.same([special(inputIds), special(labels.filter(isScored))], [10, 2], 'those of the template alone')
  t.match(tokenizer.decode(inputIds), 'Say <|im_end|>.<|im_end|>')
  t.equal(tokenizer.decode(labels.filter(isScored)), '<|im_end|><|im_end|>No <|endoftext|>.<|im_end|>')
  const text = Array.from(
    makeExample({ kind: 'tokens', place: 'a:1', inputIds: [1, 151645], labels: [-100, 151645] }, options).inputIds,
  )
  t.same(text, [1, 151645], 'tokenized records are as they are')
})

t.test('the default system turn', async (t) => {
  const defaultSystem = 'Put your final answer within \\boxed{}.'
  const record = chat('1+1?', '2')
  const starts = (text: string, system: string) => t.ok(text.startsWith(`<|im_start|>system\n${system}<|im_end|>`))
  starts(renderRecord(record, { ...options, defaultSystem }).text, defaultSystem)
  starts(
    renderRecord(record, { ...options, defaultSystem: '' }).text,
    'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.',
  )
  const own: ChatRecord = { ...record, turns: [{ role: 'system', content: 'Mine.' }, ...record.turns] }
  starts(renderRecord(own, { ...options, defaultSystem }).text, 'Mine.')
  t.equal(record.turns.length, 2, 'the record is left as it was')
})

t.test('prompt and response are tokenized apart', async (t) => {
  const example = makeExample(chat('q', '\n\nspaced'), options)
  const prompt = tokenizer.encode(template.render(chat('q', 'x').turns, '').segments[0]!.text)
  t.same(Array.from(example.inputIds.subarray(0, prompt.length)), prompt, 'the same prompt as at inference')
  t.equal(example.labels.findIndex(isScored), prompt.length)
})

t.test('tokenized rows', async (t) => {
  const example = makeExample(row(5, 3), plain)
  t.same(Array.from(example.labels), [notScored, notScored, notScored, 3, 4])
  t.equal(example.scoredTokens, 2)
  const scoredAll = row(4, 0)
  t.same(Array.from(makeExample(scoredAll, plain).labels), [notScored, 1, 2, 3], 'the first token is never scored')
  t.equal(makeExample(scoredAll, plain).scoredTokens, 3)
  t.same(scoredAll.labels, [0, 1, 2, 3], 'the record is left as it was')
})

t.test('nothing scored', async (t) => {
  for (const [length, from] of [
    [4, 4],
    [1, 0],
    [1, 1],
  ] as const) {
    t.throws(() => makeExample(row(length, from), plain), { code: 'DATA_NOTHING_SCORED', message: /^rows\.jsonl:1: / })
  }
})

t.test('token ids that the model does not have', async (t) => {
  t.throws(() => makeExample(row(5, 2), { ...plain, vocabSize: 4 }), {
    code: 'TOKEN_OUT_OF_RANGE',
    message: /^rows\.jsonl:1: expected token ids below the model's vocabulary of 4 but received 4 at position 4/,
    details: { token: 4, position: 4 },
  })
  const badLabel = { ...row(3, 2), labels: [notScored, 1, 99] }
  t.throws(() => makeExample(badLabel, { ...plain, vocabSize: 50 }), { code: 'TOKEN_OUT_OF_RANGE' })
  t.throws(() => makeExample(chat('q', 'a'), { ...options, vocabSize: 1000 }), {
    code: 'TOKEN_OUT_OF_RANGE',
    message: /^chains\.jsonl:1/,
  })
})

t.test('a conversation needs a tokenizer and a template', async (t) => {
  t.throws(() => makeExample(chat('q', 'a'), { ...plain, template }), { code: 'TOKENIZER_MALFORMED' })
  t.throws(() => makeExample(chat('q', 'a'), { ...plain, tokenizer }), { code: 'TEMPLATE_NOT_FOUND' })
})

t.test('where the answer in \\boxed{} ends', async (t) => {
  const text = (content: string) => {
    const { inputIds, answerEnd } = makeExample(chat('What is \\boxed{}?', content), options)
    return tokenizer.decode(inputIds.subarray(0, answerEnd)).replace(/^[\s\S]*assistant\n/, '')
  }
  t.equal(text('So \\boxed{1}, no: $\\boxed{\\frac{1}{2}}$.'), 'So \\boxed{1}, no: $\\boxed{\\frac{1}{2}}')
  t.equal(text(`It is \\boxed{7}.${' And so on.'.repeat(500)}`), 'It is \\boxed{7}.', 'far from the end')
  for (const none of ['It is 2.', 'It is \\boxed{2']) t.equal(text(none), '', none)
})

const longChains = sharedPath('data', 'sft', 'long-chains.jsonl')
t.test(
  '150 long chains with the tokenizer of Qwen2.5',
  { skip: longChains === undefined && 'shared/data is absent' },
  async (t) => {
    const records = await readRecords(longChains!)
    const examples = makeExamples(records, options)
    t.equal(examples.length, 150)
    let wrong = 0
    for (const [index, { place, inputIds, labels, scoredTokens }] of examples.entries()) {
      const record = records[index] as ChatRecord
      const scored = tokenizer.decode(labels.filter(isScored))
      const prompt = tokenizer.decode(inputIds.filter((_, at) => labels[at] === notScored))
      const isRight =
        place === record.place &&
        scored === `${record.turns[1]!.content}<|im_end|>`.normalize('NFC') &&
        prompt.endsWith(`<|im_start|>user\n${record.turns[0]!.content}<|im_end|>\n<|im_start|>assistant\n\n`) &&
        scoredTokens === labels.filter(isScored).length
      if (!isRight) wrong += 1
    }
    t.equal(wrong, 0, 'what is scored is exactly the solution and its end of turn')
    t.ok(
      examples.every(({ inputIds, answerEnd }) => answerEnd! > inputIds.length / 2),
      'each has an answer, near its end',
    )
  },
)
