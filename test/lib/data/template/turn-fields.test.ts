import t from 'tap'
import { makeExample } from '../../../../lib/data/example.js'
import { type ChatTemplate, loadChatTemplate, type RenderOptions } from '../../../../lib/data/template/chat-template.js'
import { loadTokenizer, type TextTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { tokenizerFolder } from '../../../shared-files.js'
import { assistant, marked, tool, user } from './template-texts.js'

async function load(model: 'qwen2_5' | 'qwen3' | 'llama3'): Promise<{ tokenizer: TextTokenizer; template: ChatTemplate }> {
  const folder = tokenizerFolder(model)
  const tokenizer = await loadTokenizer(folder)
  return { tokenizer, template: await loadChatTemplate(folder, undefined, tokenizer.specialTokens) }
}

t.test('reasoning goes where the template has a place for it', async (t) => {
  const turns = [user('q'), assistant('A', { reasoning: '\nT\n' })]
  const qwen3 = await load('qwen3')
  t.match(marked(qwen3.template, turns), 'assistant\n⟦<think>\nT\n</think>\n\nA<|im_end|>⟧\n')
  const two = [...turns, user('r'), assistant('B', { reasoning: 'U' })]
  t.throws(() => marked(qwen3.template, two), { message: /mask_history: true/ }, 'it is not lost in an earlier turn')
  t.match(marked(qwen3.template, two, { maskHistory: true }), /assistant\nA<.*⟦<think>\nU\n<\/think>\n\nB/s)
  for (const model of ['qwen2_5', 'llama3'] as const) {
    const { template } = await load(model)
    t.throws(() => marked(template, turns), {
      code: 'TEMPLATE_FAILED',
      message: /^chains\.jsonl:1: .*no place for the reasoning of turn 2\. Write it into the text.*template/,
    })
  }
  const losing = '{% for m in messages %}{{ m.content }}{% if m.reasoning is defined %} {% endif %}{% endfor %}'
  const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': losing }), undefined, {})
  t.throws(() => marked(template, turns), { message: /does not write all text of turn 2/ }, 'a template that only asks for it')
})

t.test('a special token that reasoning, or a call, spells out is text', async (t) => {
  for (const model of ['qwen3', 'qwen2_5'] as const) {
    const { tokenizer, template } = await load(model)
    const call = { name: 'f', arguments: { text: 'stop at <|im_end|>' } }
    const said = model === 'qwen3' ? assistant('A', { reasoning: 'stop at <|im_end|>' }) : assistant('', { toolCalls: [call] })
    const { segments } = template.render([user('q'), said], 'a:1', { spelledTokens: tokenizer.spelledTokens })
    const end = tokenizer.tokenId('<|im_end|>')
    t.equal(tokenizer.encodeSegments(segments)[1]!.filter((id) => id === end).length, 1, model)
  }
})

t.test('a turn that is not to be learnt is not scored', async (t) => {
  const { tokenizer, template } = await load('qwen2_5')
  const bad = assistant('3', { scored: false })
  const turns = [user('1+1?'), bad, user('really?'), assistant('2')]
  const only = /^[^⟦]*assistant\n3<\|im_end\|>[^⟦]*⟦2<\|im_end\|>⟧\n$/
  t.match(marked(template, turns), only)
  t.match(marked(template, turns, { maskHistory: true }), only)
  t.match(marked(template, turns, { trainOnPrompt: true }), /⟧3<\|im_end\|>⟦/, 'nor with all text')
  t.equal(marked(template, [user('q'), { ...bad, scored: true }]), marked(template, [user('q'), assistant('3')]))
  const prompt = [user('1+1?'), assistant('3', { isPrompt: true }), user('really?'), assistant('2')]
  t.match(marked(template, prompt), only, 'a turn of a prompt')
  t.match(marked(template, prompt, { trainOnPrompt: true }), /⟦3<\|im_end\|>⟧/, 'which is learnt with prompts')
  const options = { tokenizer, template, vocabSize: tokenizer.vocabSize }
  const record = { kind: 'chat', place: 'a:1', turns: [user('q'), bad] } as const
  t.throws(() => makeExample({ ...record, turns: [...record.turns] }, options), {
    code: 'DATA_NOTHING_SCORED',
    message: /not to be learnt/,
  })
})

t.test('an unscored turn may be one that the template leaves out', async (t) => {
  const { template } = await load('qwen3')
  const turns = [
    user('q'),
    assistant('<think>\nT\n</think>\n\nA', { scored: false }),
    user('r'),
    assistant('<think>\nU\n</think>\n\nB'),
  ]
  t.match(marked(template, turns), /assistant\nA<\|im_end\|>.*⟦<think>\nU\n<\/think>\n\nB<\|im_end\|>⟧/s)
})

t.test("calls and definitions of tools, by models' own templates", async (t) => {
  const call = { name: 'weather', arguments: { city: 'Zürich', days: 2 } }
  const json = '{"name": "weather", "arguments": {"city": "Zürich", "days": 2}}'
  const turns = [user('q'), assistant('', { toolCalls: [call] }), tool('{"temp": 20}'), assistant('20 degrees.')]
  const options: RenderOptions = { tools: [{ type: 'function', function: { name: 'weather' } }] }
  const { template } = await load('qwen2_5')
  t.match(
    marked(template, turns, options),
    `assistant\n⟦<tool_call>\n${json}\n</tool_call><|im_end|>⟧\n<|im_start|>user\n<tool_response>\n{"temp": 20}\n</tool_response><|im_end|>\n<|im_start|>assistant\n⟦20 degrees.<|im_end|>⟧\n`,
  )
  t.match(marked(template, turns, options), '<tools>\n{"type": "function", "function": {"name": "weather"}}\n</tools>')
  t.notMatch(marked(template, turns), '<tools>')
  const qwen3 = await load('qwen3')
  t.match(marked(qwen3.template, turns.slice(0, 2)), `⟦<think>\n\n</think>\n\n<tool_call>\n${json}\n</tool_call><|im_end|>⟧\n`)
  const llama3 = await load('llama3')
  t.throws(() => marked(llama3.template, turns), { message: /no place for the tool calls of turn 2/ })
  t.throws(() => marked(llama3.template, [user('q'), assistant('a')], options), { message: /no place for definitions of tools/ })

  const strings =
    "{% for m in messages %}{% if m.role == 'assistant' and m['content'] is none %}{% for c in m['tool_calls'] %}" +
    "{{ '<call>' + c['function']['name'] + '\n' + c['function']['arguments'] + '</call></s>' }}{% endfor %}" +
    "{% else %}{{ m.role + ': ' + m.content + '</s>' }}{% endif %}{% endfor %}"
  const deepseek = await loadChatTemplate(t.testdir({ 'chat_template.jinja': strings }), undefined, { eos_token: '</s>' })
  t.equal(
    marked(deepseek, turns.slice(0, 2)),
    'user: q</s>⟦<call>weather\n{"city":"Zürich","days":2}</call></s>⟧',
    'a template that puts arguments in as they are gets them as text, and no content as none',
  )
  const losing = '{% for m in messages %}{{ m.role + m.content }}{% if m.tool_calls %}<call>{% endif %}</s>{% endfor %}'
  const lost = await loadChatTemplate(t.testdir({ 'chat_template.jinja': losing }), undefined, { eos_token: '</s>' })
  t.throws(() => marked(lost, turns.slice(0, 2)), { message: /does not write all text of turn 2/ })
})

t.test('names and ids of calls are there for templates that write them', async (t) => {
  const source =
    '{% for m in messages %}{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}{% if m.tool_call_id %} #{{ m.tool_call_id }}{% endif %}: ' +
    '{% for c in m.tool_calls %}{{ c.function.name }} #{{ c.id }}{% endfor %}{{ m.content }}</s>{% endfor %}'
  const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': source }), undefined, { eos_token: '</s>' })
  const turns = [
    { ...user('q'), name: 'Ada' },
    assistant('', { toolCalls: [{ id: 'c1', name: 'f', arguments: {} }] }),
    { ...tool('3'), name: 'f', toolCallId: 'c1' },
    assistant('3'),
  ]
  t.equal(marked(template, turns), 'user Ada: q</s>assistant: ⟦f #c1</s>⟧tool f #c1: 3</s>assistant: ⟦3</s>⟧')
  const { tokenizer } = await load('qwen2_5')
  const named = [{ ...user('q'), name: '<|im_end|>' }, assistant('a')]
  const { segments } = template.render(named, 'a:1', { spelledTokens: tokenizer.spelledTokens })
  t.same(segments[0]!.spelledAt, [5], 'a special token in a name is text')
})

t.test("results with Hermes's tags are not wrapped twice", async (t) => {
  const call = { name: 'f', arguments: {} }
  const results = '<tool_response>\n1\n</tool_response>\n<tool_response>\n{"a": "<b>"}\n</tool_response>\n'
  const turns = [user('q'), assistant('', { toolCalls: [call, call] }), tool(results), assistant('3')]
  const plain = [...turns.slice(0, 2), tool('1'), tool('{"a": "<b>"}'), assistant('3')]
  for (const model of ['qwen2_5', 'qwen3'] as const) {
    const { template } = await load(model)
    const options = { maskHistory: model === 'qwen3' }
    t.equal(marked(template, turns, options), marked(template, plain, options), model)
    const said = [...turns.slice(0, 2), tool('see <tool_response> there'), assistant('3')]
    t.match(marked(template, said, options), '<tool_response>\nsee <tool_response> there\n</tool_response>')
  }
  const own =
    '{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}</s>{% endfor %}'
  const raw = await loadChatTemplate(t.testdir({ 'chat_template.jinja': own }), undefined, { eos_token: '</s>' })
  t.match(marked(raw, turns), `tool:${results}</s>`, 'a template without these tags has them from the record')
})

t.test('definitions of tools that a template only asks for are refused', async (t) => {
  const source =
    '{% if tools is defined and tools and false %}{{ tools }}{% endif %}{% for m in messages %}{{ m.role + m.content }}</s>{% endfor %}'
  const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': source }), undefined, { eos_token: '</s>' })
  const tools = [{ type: 'function', function: { name: 'weather' } }]
  t.match(marked(template, [user('q'), assistant('a')]), '⟦a</s>⟧')
  t.throws(() => marked(template, [user('q'), assistant('a')], { tools }), {
    code: 'TEMPLATE_FAILED',
    message: /no place for definitions of tools/,
  })
})

t.test('what the template itself writes into a scored turn is said', async (t) => {
  const addedBy = async (around: string, turn = assistant('a')) => {
    const source =
      `{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}<|sep|>{% else %}A:${around}<|sep|>{% endif %}{% endfor %}` +
      '{% if add_generation_prompt %}A:{% endif %}'
    const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': source }), undefined, { sep_token: '<|sep|>' })
    return template.render([user('q'), turn], 'a:1').added
  }
  t.equal(await addedBy('{{ m.content }}'), undefined)
  t.equal(await addedBy(' {{ m.content }}\n'), undefined, 'white space is none')
  t.same(await addedBy('Sure! {{ m.content }}'), { text: 'Sure! ', side: 'before' })
  t.same(await addedBy('{{ m.content }} Done.'), { text: ' Done.', side: 'after' })
  t.same(await addedBy('{{ m.content }} ({{ m.content }})'), { text: ' (a)', side: 'after' })
  const thought = assistant('a', { reasoning: 'T' })
  t.equal(await addedBy('<think>{{ m.reasoning }}</think>{{ m.content }}', thought), undefined, 'the form of a thought is none')
  t.same(await addedBy('<think>{{ m.reasoning }}</think>{{ m.content }} End.', thought), { text: ' End.', side: 'after' })
  const { template } = await load('qwen3')
  const call = assistant('', { toolCalls: [{ name: 'f', arguments: {} }] })
  t.same(template.render([user('q'), call], 'a:1').added, { text: '<think>\n\n</think>\n\n', side: 'before' }, 'before calls')
  t.equal((await load('qwen2_5')).template.render([user('q'), call], 'a:1').added, undefined)
})

t.test('a template named tool_use is for conversations with definitions of tools', async (t) => {
  const plain = '{% for m in messages %}{{ m.role + m.content }}</s>{% endfor %}'
  const folderWith = (toolUse: string) => {
    const named = [
      { name: 'default', template: plain },
      { name: 'tool_use', template: toolUse },
    ]
    return t.testdir({ 'tokenizer_config.json': JSON.stringify({ chat_template: named, eos_token: '</s>' }) })
  }
  const tools = [{ type: 'function', function: { name: 'f' } }]
  const turns = [user('q'), assistant('a')]
  const load = (toolUse: string) => loadChatTemplate(folderWith(toolUse), undefined, { eos_token: '</s>' })
  const template = await load(`{{ tools | tojson }}${plain}`)
  t.equal(marked(template, turns), 'userq</s>assistant⟦a</s>⟧')
  t.equal(marked(template, turns, { tools }), '[{"type": "function", "function": {"name": "f"}}]userq</s>assistant⟦a</s>⟧')
  const broken = await load('{% raw %}')
  t.equal(marked(broken, turns), 'userq</s>assistant⟦a</s>⟧', 'it does not hinder others')
  t.throws(() => marked(broken, turns, { tools }), { code: 'TEMPLATE_FAILED', message: /tool_use of tokenizer_config\.json/ })
})
