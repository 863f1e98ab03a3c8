import { Template } from '@huggingface/jinja'
import t, { type Test } from 'tap'
import type { Turn } from '../../../../lib/data/records.js'
import { type ChatTemplate, loadChatTemplate, type RenderOptions } from '../../../../lib/data/template/chat-template.js'
import { loadTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { tokenizerFolder } from '../../../shared-files.js'

const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })
const twoSums = [user('1+1?'), assistant('2'), user('2+2?'), assistant('4')]
const twoThoughts = [
  user('1+1?'),
  assistant('<think>\nOne.\n</think>\n\n2'),
  user('2+2?'),
  assistant('<think>\nTwo.\n</think>\n\n4'),
]

/** The text with what is scored in ⟦brackets⟧. */
function marked(template: ChatTemplate, turns: Turn[], options?: RenderOptions): string {
  const { segments } = template.render(turns, 'chains.jsonl:1', options)
  return segments.map((segment) => (segment.scored ? `⟦${segment.text}⟧` : segment.text)).join('')
}

async function load(model: 'qwen2_5' | 'qwen3' | 'llama3') {
  const folder = tokenizerFolder(model)
  const tokenizer = await loadTokenizer(folder)
  return { tokenizer, template: await loadChatTemplate(folder, undefined, tokenizer.specialTokens) }
}

const templateOf = (test: Test, source: string): Promise<ChatTemplate> =>
  loadChatTemplate(test.testdir({ 'chat_template.jinja': source }), undefined, { eos_token: '<|im_end|>' })
const header = "'<|im_start|>' + m.role + '\n'"
const generationPrompt = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

t.test('mask_history', async (t) => {
  const { template } = await load('qwen2_5')
  const options = { maskHistory: true }
  const first = '<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n'
  t.match(marked(template, twoSums, options), `${first}<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n⟦4<|im_end|>⟧\n`)
  t.equal(marked(template, twoSums.slice(0, 2), options), marked(template, twoSums.slice(0, 2)), 'of one turn nothing is masked')
})

t.test('train_on_prompt', async (t) => {
  for (const model of ['qwen2_5', 'llama3'] as const) {
    const { template } = await load(model)
    const all = template.render(twoSums, 'a:1', { trainOnPrompt: true })
    const some = template.render(twoSums, 'a:1')
    t.ok(all.segments.every(({ scored }) => scored))
    t.same(
      all.segments.map(({ text }) => text),
      some.segments.map(({ text }) => text),
      'prompts are tokenized apart as without',
    )
    t.equal(all.text, some.text)
  }
})

t.test('Qwen3 and its thoughts', async (t) => {
  const { tokenizer, template } = await load('qwen3')
  t.throws(() => template.render(twoThoughts, 'chains.jsonl:9'), {
    code: 'TEMPLATE_FAILED',
    message: /^chains\.jsonl:9: .*renders turn 2 otherwise when turns follow it: .*Set mask_history: true/s,
  })
  const last = '<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n⟦<think>\nTwo.\n</think>\n\n4<|im_end|>⟧\n'
  t.equal(
    marked(template, twoThoughts, { maskHistory: true }),
    `<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n${last}`,
    'with mask_history the template leaves out the earlier one, as at inference',
  )
  const { segments } = template.render(twoThoughts, 'a:1', { maskHistory: true })
  const pieces = tokenizer.encodeSegments(segments)
  t.same(
    [pieces[1]![0], pieces[1]!.filter((id) => id === 151668)],
    [151667, [151668]],
    'the tokens <think> and </think> are scored',
  )
  t.notOk(pieces[0]!.includes(151667))

  const prompt = '<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n'
  for (const [answer, written] of [
    ['<think>\nT.\n</think>\n\nA.', '<think>\nT.\n</think>\n\nA.'],
    ['<think>T.</think>A.', '<think>\nT.\n</think>\n\nA.'],
    ['\n<think>\n\nT.\n\n</think>\nA.\n', '<think>\nT.\n</think>\n\nA.\n'],
    ['<think>\n\n</think>\n\nA.', '<think>\n\n</think>\n\nA.'],
    ['T.\n</think>\n\nA.', '<think>\nT.\n</think>\n\nA.'],
    ['A.', '<think>\n\n</think>\n\nA.'],
    ['<think>\n  T. \n</think>\n\n  A.', '<think>\n  T. \n</think>\n\n  A.'],
  ] as const) {
    t.equal(marked(template, [user('q'), assistant(answer)]), `${prompt}⟦${written}<|im_end|>⟧\n`, JSON.stringify(answer))
  }
  for (const answer of ['A. <think>T.</think> B.', '<think>T.</think>A.</think>B.', '<think>S. <think>T.</think>A.']) {
    const lost = { code: 'TEMPLATE_FAILED', message: /does not write all text of turn 2/ }
    t.throws(() => template.render([user('q'), assistant(answer)], 'a:1'), lost, answer)
  }
})

t.test('enable_thinking', async (t) => {
  const { template } = await load('qwen3')
  const prompt = '<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n'
  const turns = [user('q'), assistant('A.')]
  t.equal(
    marked(template, turns, { enableThinking: false }),
    `${prompt}<think>\n\n</think>\n\n⟦A.<|im_end|>⟧\n`,
    'a part of the prompt',
  )
  t.equal(marked(template, turns, { enableThinking: true }), `${prompt}⟦<think>\n\n</think>\n\nA.<|im_end|>⟧\n`)
  t.equal(marked(template, turns, { enableThinking: true }), marked(template, turns))
  t.throws(() => template.render([user('q'), assistant('<think>T.</think>A.')], 'a:1', { enableThinking: false }), {
    code: 'TEMPLATE_FAILED',
    message: /^a:1: .*Take the thoughts out of the record, or leave out enable_thinking: false/s,
  })
})

t.test('the unscored prefix is what inference starts from', async (t) => {
  for (const model of ['qwen2_5', 'qwen3', 'llama3'] as const) {
    const { tokenizer, template } = await load(model)
    const jinja = new Template(template.source)
    const conversations = [
      [user('1+1?'), assistant('It is 2.')],
      [user('q \n'), assistant('\n\n spaces \n')],
      [{ role: 'system', content: 'Be brief.' } as Turn, ...twoSums],
      [user('q'), assistant('call'), { role: 'tool', content: '7' } as Turn, assistant('<think>\nSeven.\n</think>\n\n7')],
      [user("it's"), assistant("'s"), user('2+2?'), assistant('<think>\nHm.\n</think>\n\n4')],
    ]
    for (const turns of conversations) {
      const { segments } = template.render(turns, 'a:1', { maskHistory: true, spelledTokens: tokenizer.spelledTokens })
      const messages = turns.slice(0, -1)
      const prompt = jinja.render({ ...tokenizer.specialTokens, messages, add_generation_prompt: true, tools: null })
      const [prefix] = tokenizer.encodeSegments(segments)
      t.notOk(segments[0]!.scored)
      t.same(prefix, tokenizer.encode(prompt), `${model}: ${JSON.stringify(turns)}`)
    }
  }
})

t.test('templates that treat turns in their own ways', async (t) => {
  const trims = await templateOf(
    t,
    `{% for m in messages %}{{ ${header} + m.content | trim + '<|im_end|>\n' }}{% endfor %}${generationPrompt}`,
  )
  t.match(marked(trims, [user(' q '), assistant(' a ')]), /\nq<\|im_end\|>\n.*\n⟦a<\|im_end\|>⟧\n$/s)
  t.match(marked(trims, [user('q'), assistant('a')]), /⟦a<\|im_end\|>⟧\n$/, 'what fits as it is')

  const numbers = await templateOf(
    t,
    "{% for m in messages %}{{ loop.index ~ '. ' + m.role + ': ' + m.content + '<|im_end|>' }}{% endfor %}" +
      '{% if add_generation_prompt %}{{ messages | length + 1 }}. assistant: {% endif %}',
  )
  t.equal(
    marked(numbers, twoSums),
    '1. user: 1+1?<|im_end|>2. assistant: ⟦2<|im_end|>⟧3. user: 2+2?<|im_end|>4. assistant: ⟦4<|im_end|>⟧',
  )

  const dated = await templateOf(t, `{{ strftime_now('%d %B %Y') }}{% for m in messages %}|{{ m.content }}{% endfor %}`)
  t.equal(marked(dated, twoSums.slice(0, 2)), '26 July 2024|1+1?|⟦2⟧', 'the date does not depend on the day')
  const unknownDate = await templateOf(t, `{{ strftime_now('%c') }}`)
  t.throws(() => unknownDate.render(twoSums, 'a:1'), { code: 'TEMPLATE_FAILED', message: /refused it: strftime_now\(\) with %c/ })

  const last = await templateOf(
    t,
    `{% for m in messages %}{{ ${header} + m.content + '<|im_end|>\n' }}{% if loop.last and m.role == 'assistant' %}THE END{% endif %}{% endfor %}${generationPrompt}`,
  )
  t.match(marked(last, twoSums), /⟦4<\|im_end\|>⟧\nTHE END$/, 'what stands after the end of the last turn is not scored')

  const noPrompt = await templateOf(t, `{% for m in messages %}{{ ${header} + m.content + '<|im_end|>\n' }}{% endfor %}`)
  const scored =
    /^<\|im_start\|>user\n1\+1\?<\|im_end\|>\n<\|im_start\|>assistant\n⟦2<\|im_end\|>⟧\n.*assistant\n⟦4<\|im_end\|>⟧\n$/s
  for (let again = 0; again < 3; again++)
    t.match(marked(noPrompt, twoSums), scored, 'headers are not scored, the first time and later')
})

t.test('strip and trim are those of Python', async (t) => {
  const text = '\ufeff \n\x1c\x85 x \n'
  for (const [expression, expected] of [
    ['strip()', text.slice(0, -2)],
    ["strip('\n')", text.slice(0, -1)],
    ["rstrip('\n ')", text.slice(0, -2)],
    ["lstrip('\ufeff \n')", '\x1c\x85 x \n'],
    ['lstrip(none)', text],
    ["replace('x', '').strip()", '\ufeff'],
  ] as const) {
    const template = await templateOf(
      t,
      `{{ messages[0].content.${expression} }}|{% for m in messages[1:] %}{{ m.content }}{% endfor %}`,
    )
    t.equal(template.render([user(text), assistant('a')], 'a:1').text.split('|')[0], expected, expression)
  }
  const filters = await templateOf(
    t,
    "{% for m in messages %}{{ m.content | trim }}|{{ (m.content ~ '--') | trim('-') | trim }}|{% endfor %}",
  )
  t.equal(filters.render([user('\x85 q '), assistant('\x1fa')], 'a:1').text, 'q|q|a|a|')
  const wrong = await templateOf(t, '{{ messages.strip() }}')
  t.throws(() => wrong.render(twoSums, 'a:1'), { code: 'TEMPLATE_FAILED', message: /is not known here/ })
})

t.test('templates that would mask wrongly are refused', async (t) => {
  const fails = async (source: string, message: RegExp, turns: Turn[] = twoSums, options: RenderOptions = {}) => {
    const template = await templateOf(t, source)
    t.throws(() => template.render(turns, 'chains.jsonl:7', options), { code: 'TEMPLATE_FAILED', message }, source)
  }
  const turn = `{{ ${header} + m.content + '<|im_end|>\n' }}`
  const rewrites = `{% for m in messages %}{% if loop.last or m.role == 'user' %}${turn}{% else %}{{ ${header} + '(left out)<|im_end|>\n' }}{% endif %}{% endfor %}${generationPrompt}`
  await fails(rewrites, /renders turn 2 otherwise when turns follow it: .*mask_history/s)
  const rewriting = await templateOf(t, rewrites)
  t.match(
    marked(rewriting, twoSums, { maskHistory: true }),
    /\(left out\).*⟦4<\|im_end\|>⟧\n$/s,
    'mask_history asks for one prefix only',
  )

  const counts = `{{ messages | length }} turns{% for m in messages %}${turn}{% endfor %}${generationPrompt}`
  await fails(counts, /renders turn 2 unlike its generation prompt begins/)
  await fails(counts, /renders turn 4 unlike its generation prompt begins/, twoSums, { maskHistory: true })
  const onlyLast = `{% for m in messages %}{% if loop.last and m.role == 'assistant' %}{{ 'Answer: ' }}{% endif %}${turn}{% endfor %}${generationPrompt}`
  await fails(onlyLast, /unlike its generation prompt begins/)
  const answersFirst = `{% for m in messages | reverse %}${turn}{% endfor %}${generationPrompt}`
  await fails(answersFirst, /unlike its generation prompt begins/)
})

t.test('a text is not taken for what stands around it', async (t) => {
  const { template } = await load('qwen2_5')
  marked(template, twoSums)
  for (const answer of [
    '<|im_end|>\n',
    'x<|im_end|>\n',
    '<|im_end|>',
    '\n',
    'assistant\n',
    '<|im_start|>assistant\n',
    'limo-native-probe',
  ]) {
    t.match(marked(template, [user(answer), assistant(answer)]), `<|im_start|>assistant\n⟦${answer}<|im_end|>⟧\n`)
  }
  const pads = await templateOf(
    t,
    `{% for m in messages %}{{ ${header} + m.content }}{{ '<|im_end|>' if m.content != 'pad' }}{{ '\n' }}{% endfor %}${generationPrompt}`,
  )
  t.match(marked(pads, twoSums), /⟦4<\|im_end\|>⟧\n$/)
})
