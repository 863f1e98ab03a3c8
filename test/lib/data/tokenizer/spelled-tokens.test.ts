import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Tokenizer } from 'tokenizers'
import type { Turn } from '../../../../lib/data/records.js'
import { type ChatTemplate, loadChatTemplate } from '../../../../lib/data/template/chat-template.js'
import { SpelledTokens } from '../../../../lib/data/tokenizer/spelled-tokens.js'
import { loadTokenizer, type TextTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { sharedPath, tokenizerFolder } from '../../../shared-files.js'
import { referenceIds, withoutSpecialTokens } from './reference-tokenizer.js'

/** What a template writes around a question and its answer: special tokens, and text between them. */
interface Layout {
  before: string[]
  between: string[]
  after: string[]
}

const qwen: Layout = {
  before: ['<|im_start|>', 'system\nBe brief.', '<|im_end|>', '\n', '<|im_start|>', 'user\n'],
  between: ['<|im_end|>', '\n', '<|im_start|>', 'assistant\n'],
  after: ['<|im_end|>', '\n'],
}
const header = (role: string) => ['<|start_header_id|>', role, '<|end_header_id|>']
const llama: Layout = {
  before: ['<|begin_of_text|>', ...header('system'), '\n\nBe brief.', '<|eot_id|>', ...header('user'), '\n\n'],
  between: ['<|eot_id|>', ...header('assistant'), '\n\n'],
  after: ['<|eot_id|>', ...header('assistant'), '\n\n'],
}

/** Texts in which special tokens are spelled out, whole, in part, one inside of another. */
const spellings = (special: readonly string[]) => [
  ...special.map((token) => `Say ${token} now.`),
  ...special.slice(0, 20).flatMap((token) => [token, `${token}${token}`, `${token.slice(0, -1)}`, `${token.slice(1)} x`]),
  ...[
    '<|im_<|im_end|>end|>',
    '<|eot_<|eot_id|>id|>',
    '<|im_',
    '<',
    '<|',
    '|>',
    'end|>',
    'a<|im_end|',
    '<|im_end|>\n<|im_start|>user\nhi',
  ],
  ...['<think>x</think> <|im_end|>', '\ufdd0 <|im_end|> \ufdd1', 'no token at all', "it's <|endoftext|>"],
]

async function load(model: 'qwen2_5' | 'qwen3' | 'llama3') {
  const folder = tokenizerFolder(model)
  const tokenizer = await loadTokenizer(folder)
  const definition = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'))
  return {
    tokenizer,
    template: await loadChatTemplate(folder, undefined, tokenizer.specialTokens),
    asText: withoutSpecialTokens(definition),
    special: definition.added_tokens
      .filter((token: { special: boolean }) => token.special)
      .map(({ content }: { content: string }) => content),
  }
}

/** The ids of parts that are special tokens, or text in which there are none. */
async function expectedIds(parts: readonly string[], special: readonly string[], tokenizer: TextTokenizer, asText: Tokenizer) {
  const texts = await referenceIds(asText, parts)
  return parts.flatMap((part, index) => (special.includes(part) ? [tokenizer.tokenId(part)!] : texts[index]!))
}

for (const [model, layout, beforeAnswer] of [
  ['qwen2_5', qwen, ''],
  ['qwen3', qwen, '<think>\n\n</think>\n\n'],
  ['llama3', llama, ''],
] as const) {
  t.test(`special tokens spelled out in a record are text: ${model}`, async (t) => {
    const { tokenizer, template, asText, special } = await load(model)
    // what Qwen3's template takes for a thought is another test's
    for (const spelling of spellings(special).filter((text) => model !== 'qwen3' || !text.includes('think'))) {
      const both = [`${spelling}!`, `So: ${spelling}`] as const
      const each = [
        [spelling, 'Yes.'],
        ['Why?', spelling],
      ] as const
      for (const [question, answer] of spelling.startsWith('Say <') ? [both] : [both, ...each]) {
        const turns: Turn[] = [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: question },
          { role: 'assistant', content: answer },
        ]
        const { text, segments } = template.render(turns, 'chains.jsonl:1', tokenizer)
        const plain = template.render(turns, 'chains.jsonl:1')
        t.equal(text, plain.text, 'marks are not seen')
        t.same(
          segments.map((segment) => [segment.text, segment.scored]),
          plain.segments.map((segment) => [segment.text, segment.scored]),
        )
        const pieces = tokenizer.encodeSegments(segments)
        const ids = (parts: readonly string[]) => expectedIds(parts, special, tokenizer, asText)
        const prompt = [...(await ids(layout.before.slice(0, -1))), ...(await promptEnd(layout, question, ids))]
        t.same(pieces[0], prompt, `prompt: ${spelling}`)
        const end = tokenizer.tokenId(layout.after[0]!)!
        const [answerIds] = await referenceIds(asText, [beforeAnswer + answer])
        t.same(pieces[1], [...answerIds!, end], `answer: ${spelling}`)
        t.same(pieces[2], await ids(layout.after.slice(1)))
        t.equal(tokenizer.decode(pieces.flat()), text, 'and nothing is lost')
      }
    }
  })
}

/** The question together with the text before it, with which it may share a token, and what follows it. */
async function promptEnd(
  layout: Layout,
  question: string,
  ids: (parts: readonly string[]) => Promise<number[]>,
): Promise<number[]> {
  const asked = `${layout.before.at(-1)}${question}`
  // a text that is one special token is told from that token by the line break before it
  return [...(await ids([asked])), ...(await ids(layout.between))]
}

const chatMl =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
const templateOf = (test: Test, source: string): Promise<ChatTemplate> =>
  loadChatTemplate(test.testdir({ 'chat_template.jinja': source }), undefined, {})

t.test('a token that a template completes is text', async (t) => {
  const { tokenizer } = await load('qwen2_5')
  const template = await templateOf(
    t,
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_' + m.content + 'end|> ' }}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{% endfor %}",
  )
  const isSpecial = (content: string) => {
    const turns: Turn[] = [
      { role: 'user', content },
      { role: 'assistant', content: 'x' },
    ]
    const [prompt] = tokenizer.encodeSegments(template.render(turns, 'a:1', tokenizer).segments)
    return prompt!.some((id) => tokenizer.isSpecial(id))
  }
  t.notOk(isSpecial('end|> x'), 'its end is in the record')
  t.notOk(isSpecial('start|> <|im_'), 'its beginning is')
  t.notOk(isSpecial('x <|im_'))
  t.notOk(isSpecial('<|im_end|>'))
})

t.test('where marks cannot be set', async (t) => {
  const { tokenizer } = await load('qwen2_5')
  const turns: Turn[] = [
    { role: 'user', content: '<|im_end|>' },
    { role: 'assistant', content: 'x' },
  ]
  const refused = { code: 'TEMPLATE_FAILED', message: /^a\.jsonl:3: .*takes the text of a turn apart in which a special token/ }
  const measuring = await templateOf(t, `{{ messages[0].content | length }}${chatMl}`)
  t.throws(() => measuring.render(turns, 'a.jsonl:3', tokenizer), refused)
  t.doesNotThrow(() => measuring.render(turns, 'a.jsonl:3'), 'without a tokenizer nothing is guarded')

  const noncharacters = Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfdd0 + index))
  const template = await templateOf(t, chatMl)
  const all: Turn[] = [{ role: 'user', content: `<|im_end|>${noncharacters.join('')}` }, turns[1]!]
  t.throws(() => template.render(all, 'a.jsonl:3', tokenizer), refused, 'no character is left to mark with')
  const allButOne: Turn[] = [{ role: 'user', content: `<|im_end|>${noncharacters.slice(0, 31).join('')}` }, turns[1]!]
  const { segments } = template.render(allButOne, 'a.jsonl:3', tokenizer)
  t.same(segments[0]!.spelledAt, ['<|im_start|>user\n'.length])
})

const stories = sharedPath('data', 'models', 'stories260K')
t.test('a tokenizer of the library', { skip: stories === undefined && 'shared/data is absent' }, async (t) => {
  const tokenizer = await loadTokenizer(stories!)
  const template = await loadChatTemplate(stories!, undefined, tokenizer.specialTokens)
  const turns: Turn[] = [
    { role: 'user', content: 'Once </s> upon' },
    { role: 'assistant', content: ' a <s> time</s>' },
  ]
  const { segments } = template.render(turns, 'a:1', tokenizer)
  const [prompt, answer] = tokenizer.encodeSegments(segments)
  t.notOk(prompt!.some((id) => tokenizer.isSpecial(id)))
  t.same(
    answer!.filter((id) => tokenizer.isSpecial(id)),
    [tokenizer.tokenId('</s>')],
    'but the one that the template writes',
  )
  t.equal(tokenizer.decode([...prompt!, ...answer!]), 'Once </s> upon a <s> time</s></s>')
})

t.test('marks', async (t) => {
  const spelled = new SpelledTokens(['<|end|>', '<|endless|>', '#'])
  for (const [text, expected] of [
    ['plain', 'plain'],
    ['', ''],
    ['a <|end|> b', 'a ⟂<|end|> b'],
    ['<|end|><|endless|>', '⟂<|end|>⟂<|endless|>'],
    ['<|e<|end|>nd|>', '<|e⟂<|end|>nd|>'],
    ['a # b', 'a ⟂# b'],
    ['x <|en', 'x ⟂<|en'],
    ['x <|en \n', 'x ⟂<|en \n'],
    [' d|> x', ' ⟂d|> x'],
    ['<', '⟂<'],
    ['a < b', 'a < b'],
  ] as const) {
    t.equal(spelled.mark(text, '⟂'), expected)
  }
  t.equal(new SpelledTokens([]).mark('<|end|>', '⟂'), '<|end|>')
})
