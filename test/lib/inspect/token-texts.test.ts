import t from 'tap'
import type { Turn } from '../../../lib/data/conversation.js'
import { makeExample, renderRecord } from '../../../lib/data/example.js'
import { loadChatTemplate } from '../../../lib/data/template/chat-template.js'
import { loadTokenizer } from '../../../lib/data/tokenizer/tokenizer.js'
import { markTurn, rolesOf, textsOf } from '../../../lib/inspect/token-texts.js'
import { tokenizerFolder } from '../../shared-files.js'

for (const model of ['qwen2_5', 'llama3'] as const) {
  const tokenizer = await loadTokenizer(tokenizerFolder(model))
  const template = await loadChatTemplate(tokenizerFolder(model), undefined, tokenizer.specialTokens)

  t.test(`${model}: the texts of the tokens are the text`, async (t) => {
    for (const text of ['plain text', '😀👩‍👩‍👧 汉字 é', 'a \uFFFD b', '𓀀𓀁 end', '']) {
      const ids = Int32Array.from(tokenizer.encode(text))
      const texts = textsOf(tokenizer, ids)
      t.equal(texts.length, ids.length)
      t.equal(texts.join(''), text)
    }
  })

  t.test(`${model}: a text that also stands in the markup`, async (t) => {
    const turns: Turn[] = [
      { role: 'system', content: 'Reason step by step, user.' },
      { role: 'user', content: 'step' },
      { role: 'assistant', content: 'user' },
    ]
    const record = { kind: 'chat' as const, place: 'a.jsonl:1', turns }
    const options = { tokenizer, template, vocabSize: 2e5 }
    const texts = textsOf(tokenizer, makeExample(record, options).inputIds)
    const marked = renderRecord({ ...record, turns: turns.map(markTurn) }, options).text
    const roles = rolesOf(turns, texts, marked)
    for (const { role, content } of turns) t.equal(texts.filter((_, index) => roles[index] === role).join(''), content)
  })

  t.test(`${model}: each token has the role of the turn it is of`, async (t) => {
    const turns: Turn[] = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is 1 + 1?' },
      { role: 'assistant', content: 'It is 2. 😀' },
      { role: 'user', content: 'It is 2?' },
      { role: 'assistant', content: 'It is 2. 😀' },
    ]
    const { inputIds } = makeExample({ kind: 'chat', place: 'a.jsonl:1', turns }, { tokenizer, template, vocabSize: 2e5 })
    const texts = textsOf(tokenizer, inputIds)
    const roles = rolesOf(turns, texts)
    t.equal(roles.length, texts.length)
    const runs: [string, string][] = []
    for (const [index, text] of texts.entries()) {
      if (runs.at(-1)?.[0] === roles[index]) runs.at(-1)![1] += text
      else runs.push([roles[index]!, text])
    }
    t.same(
      runs.filter(([role]) => role !== 'template'),
      turns.map(({ role, content }) => [role, content]),
    )
  })
}
