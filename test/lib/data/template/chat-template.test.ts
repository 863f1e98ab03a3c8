import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Turn } from '../../../../lib/data/records.js'
import { type ChatTemplate, loadChatTemplate } from '../../../../lib/data/template/chat-template.js'
import { loadTokenizer, specialTokensOf } from '../../../../lib/data/tokenizer/tokenizer.js'
import { sharedPath, tokenizerFolder } from '../../../shared-files.js'

const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })
const system = (content: string): Turn => ({ role: 'system', content })

const sum = [user('1+1?'), assistant('It is 2.')]
const twoSums = [system('Be brief.'), ...sum, user('2+2?'), assistant('4')]

/** The text with what is scored in ⟦brackets⟧. */
function marked(template: ChatTemplate, turns: Turn[]): string {
  const { text, segments } = template.render(turns, 'chains.jsonl:1')
  t.equal(segments.map((segment) => segment.text).join(''), text, 'the segments are the text')
  return segments.map((segment) => (segment.scored ? `⟦${segment.text}⟧` : segment.text)).join('')
}

async function realTemplate(model: 'qwen2_5' | 'qwen3' | 'llama3'): Promise<ChatTemplate> {
  const folder = tokenizerFolder(model)
  return loadChatTemplate(folder, undefined, (await loadTokenizer(folder)).specialTokens)
}

/** A template of one's own, with the tokens of ChatML and Llama. */
function templateOf(test: Test, source: string, specialTokens: Record<string, string> = chatTokens): Promise<ChatTemplate> {
  return loadChatTemplate(test.testdir({ 'chat_template.jinja': source }), undefined, specialTokens)
}
const chatTokens = { bos_token: '<s>', eos_token: '</s>', pad_token: '<|im_end|>' }

t.test('Qwen2.5', async (t) => {
  const template = await realTemplate('qwen2_5')
  t.equal(template.name, 'tokenizer_config.json')
  t.equal(
    marked(template, sum),
    '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' +
      '<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n⟦It is 2.<|im_end|>⟧\n',
  )
  t.equal(
    marked(template, twoSums),
    '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n⟦It is 2.<|im_end|>⟧\n' +
      '<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n⟦4<|im_end|>⟧\n',
  )
  t.match(
    marked(template, [user('q'), assistant('call'), { role: 'tool', content: '7' }, assistant('7!')]),
    /\n7\n.*⟦7!<\|im_end\|>⟧/s,
  )
  t.match(marked(template, [user('q'), assistant(' spaces stay \n')]), '⟦ spaces stay \n<|im_end|>⟧\n')
  t.match(marked(template, [user('q'), assistant('n')]), 'assistant\n⟦n<|im_end|>⟧', 'a text that also occurs in the markers')
  t.match(marked(template, [user('q'), assistant('a <|im_end|> b')]), '⟦a <|im_end|> b<|im_end|>⟧', 'a marker inside the text')
  t.match(marked(template, [user('same'), assistant('same')]), 'user\nsame<|im_end|>\n<|im_start|>assistant\n⟦same<|im_end|>⟧')
})

t.test('the built-in qwen template writes what that of Qwen2.5 writes', async (t) => {
  const folder = tokenizerFolder('qwen2_5')
  const builtIn = await loadChatTemplate(folder, 'qwen', {})
  const own = await realTemplate('qwen2_5')
  t.equal(builtIn.name, 'qwen')
  const tool: Turn = { role: 'tool', content: 'result' }
  const conversations = [
    sum,
    twoSums,
    [user('q'), assistant('a'), tool, tool, assistant('b')],
    [system('s'), user(' q\n'), assistant('\na\n\n')],
    [user('q'), assistant('a'), tool, assistant('b'), user('c'), assistant('d')],
  ]
  for (const turns of conversations) t.equal(marked(builtIn, turns), marked(own, turns))
})

t.test('Qwen3', async (t) => {
  const template = await realTemplate('qwen3')
  const prompt = '<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n'
  t.equal(marked(template, sum), `${prompt}⟦<think>\n\n</think>\n\nIt is 2.<|im_end|>⟧\n`)
  const thought = '<think>\nOne and one.\n</think>\n\nIt is 2.'
  t.equal(marked(template, [user('1+1?'), assistant(thought)]), `${prompt}⟦${thought}<|im_end|>⟧\n`)
  t.equal(
    marked(template, [user('1+1?'), assistant('<think>One and one.</think>It is 2.')]),
    `${prompt}⟦${thought}<|im_end|>⟧\n`,
    'the template sets the line breaks of a thought',
  )
  t.throws(
    () => template.render([user('1+1?'), assistant('Well. <think>One.</think>2')], 'chains.jsonl:9'),
    { code: 'TEMPLATE_FAILED', message: /^chains\.jsonl:9: .*does not write all text of turn 2 \(assistant\)/ },
    'text before a thought is lost',
  )
  t.throws(
    () => template.render(twoSums, 'chains.jsonl:9'),
    {
      code: 'TEMPLATE_FAILED',
      message: /^chains\.jsonl:9: .*renders turn 3 otherwise when turns follow it: .*think.*one record for each/s,
    },
    'an earlier turn is rendered without its thought once a later one follows',
  )
})

t.test('Llama 3', async (t) => {
  const template = await realTemplate('llama3')
  const header = (role: string) => `<|start_header_id|>${role}<|end_header_id|>\n\n`
  t.equal(
    marked(template, [user('1+1?'), assistant('  It is 2. \n')]),
    `<|begin_of_text|>${header('user')}1+1?<|eot_id|>${header('assistant')}⟦It is 2.<|eot_id|>⟧${header('assistant')}`,
    'it trims, ends turns with <|eot_id|>, which is not its eos_token, and always writes a generation prompt',
  )
  t.equal(
    marked(template, twoSums),
    `<|begin_of_text|>${header('system')}Be brief.<|eot_id|>${header('user')}1+1?<|eot_id|>${header('assistant')}⟦It is 2.<|eot_id|>⟧` +
      `${header('user')}2+2?<|eot_id|>${header('assistant')}⟦4<|eot_id|>⟧${header('assistant')}`,
  )
})

const stories = sharedPath('data', 'models', 'stories260K')
t.test('stories260K', { skip: stories === undefined && 'shared/data is absent' }, async (t) => {
  const { specialTokens } = await loadTokenizer(stories!)
  const template = await loadChatTemplate(stories!, undefined, specialTokens)
  t.equal(marked(template, [user('Once upon'), assistant(' a time')]), 'Once upon⟦ a time</s>⟧')
})

t.test('templates of other styles', async (t) => {
  const noGenerationPrompt = await templateOf(
    t,
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}",
  )
  t.match(marked(noGenerationPrompt, sum), '<|im_start|>assistant\n⟦It is 2.<|im_end|>⟧\n', 'the header is not scored')

  const llama2 = await templateOf(
    t,
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}",
  )
  t.equal(marked(llama2, sum), '<s>[INST] 1+1? [/INST]⟦ It is 2. </s>⟧', 'what follows the prompt at inference is scored')

  const noEnd = await templateOf(
    t,
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
  )
  t.equal(marked(noEnd, sum), 'user: 1+1?\nassistant: ⟦It is 2.⟧\n', 'a template without an end of turn gets none')

  const nullTools = await templateOf(
    t,
    '{% if tools is not none %}tools{% endif %}{{ date_string }}{% for m in messages %}|{{ m.content }}{% endfor %}',
  )
  t.equal(marked(nullTools, sum), '26 Jul 2024|1+1?|⟦It is 2.⟧', 'the date does not depend on the day')
})

t.test('templates that fail', async (t) => {
  const fails = async (source: string, message: RegExp, turns = sum) => {
    const template = await templateOf(t, source)
    t.throws(() => template.render(turns, 'chains.jsonl:7'), {
      name: 'DataError',
      code: 'TEMPLATE_FAILED',
      message,
      details: { place: 'chains.jsonl:7' },
    })
  }
  const chat = "{% for m in messages %}{{ m.role + m.content + '</s>' }}{% endfor %}"
  await fails("{{ raise_exception('Only one turn, please') }}", /^chains\.jsonl:7: .*chat_template\.jinja.*Only one turn, please/)
  await fails('{{ messages[0].nothing.more }}', /^chains\.jsonl:7: the chat template/)
  await fails(
    `{{ messages | length }}${chat}`,
    /renders turn 2 unlike its generation prompt begins: expected "1.* but received "2.*add_generation_prompt/s,
  )
  await fails(
    "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
    /does not write all text of turn 2/,
  )
  await fails('{% for m in messages %}{{ m.content[:4] }}{% endfor %}', /does not write all text of turn 2/)
  await fails(
    "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content }}{% else %}…{% endif %}{% endfor %}",
    /renders turn 3 otherwise when turns follow it/,
    twoSums,
  )
  const huge = '{% for i in range(1000000000) %}{% endfor %}'
  await fails(
    huge,
    /^chains\.jsonl:7: the chat template \(chat_template\.jinja\) refused it: it loops over more than 1000000 num/,
  )
  const nested = '{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}'
  await fails(nested, /loops over more than 1000000/)
  for (const malformed of ['{% for %}', '{% for m in %}', '{% for m in messages %}', '{{ a b }}', '{{ "a']) {
    await t.rejects(
      templateOf(t, malformed),
      { code: 'TEMPLATE_FAILED', message: /^the chat template \(chat_template\.jinja, in .*\) is malformed: (?!.*Cannot read)/ },
      malformed,
    )
  }
})

t.test('range is as in Jinja', async (t) => {
  const rendered = async (source: string) => {
    const end = '{% for m in messages %}{{ m.content }}{% endfor %}'
    return (await templateOf(t, source + end)).render(sum, 'chains.jsonl:1').text.replace('1+1?It is 2.', '')
  }
  t.equal(await rendered('{% for i in range(3) %}{{ i }} {% endfor %}'), '0 1 2 ')
  t.equal(await rendered('{% for i in range(1, 6, 2) %}{{ i }} {% endfor %}'), '1 3 5 ')
  t.equal(await rendered('{% for i in range(3, 0, -1) %}{{ i }} {% endfor %}'), '3 2 1 ')
  t.equal(await rendered('{% for i in range("ab" | length - 1, -1, -1) %}{{ i }} {% endfor %}'), '1 0 ')
  t.equal(await rendered('{% for i in range(0) %}{{ i }}{% endfor %}none'), 'none')
  t.equal(await rendered('{%- macro m() %}{{ range(2) | length }}{% endmacro %}{{ m() }}'), '2', 'inside of a macro')
  t.equal(await rendered('\n  first'), '\n  first', 'the beginning of a template stays as it is')
  t.equal(await rendered('  {%- if true %} x{% endif %}'), ' x')
})

t.test('where a template comes from', async (t) => {
  const end = '{{ messages | length }}'
  const folder = t.testdir()
  const write = (file: string, content: unknown) =>
    writeFileSync(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content))
  const nameOf = async (name?: string) => (await loadChatTemplate(folder, name, {})).name

  await t.rejects(loadChatTemplate(folder, undefined, {}), { code: 'TEMPLATE_NOT_FOUND', message: /template: qwen/ })
  write('tokenizer_config.json', { chat_template: [{ name: 'tool_use', template: end }, { name: 'broken' }, null] })
  await t.rejects(loadChatTemplate(folder, undefined, {}), { code: 'TEMPLATE_NOT_FOUND' }, 'named templates without a default')
  t.equal(await nameOf('tool_use'), 'tool_use of tokenizer_config.json')
  await t.rejects(nameOf('llama9'), {
    code: 'TEMPLATE_NOT_FOUND',
    message: /qwen or .*llama3 or .* tool_use but received llama9/,
  })
  write('tokenizer_config.json', { chat_template: [{ name: 'default', template: end }] })
  t.equal(await nameOf(), 'tokenizer_config.json')
  write('chat_template.json', { chat_template: end })
  t.equal(await nameOf(), 'chat_template.json')
  write('chat_template.jinja', end)
  t.equal(await nameOf(), 'chat_template.jinja')
  t.equal(await nameOf('qwen'), 'qwen', 'a named one needs no file')
})

t.test('the built-in template is refused for a tokenizer without its tokens', async (t) => {
  await t.rejects(loadChatTemplate(tokenizerFolder('llama3'), 'qwen', {}), {
    code: 'TEMPLATE_FAILED',
    message: /to have the token <\|im_start\|>/,
  })
})

t.test('special tokens of tokenizer_config.json', async (t) => {
  t.same(specialTokensOf({ eos_token: 'a', bos_token: { content: 'b' }, pad_token: null, add_bos_token: true, token: 'c' }), {
    eos_token: 'a',
    bos_token: 'b',
  })
})
