import t from 'tap'
import type { Turn } from '../../../../lib/data/records.js'
import { builtInTemplates } from '../../../../lib/data/template/built-in-templates.js'
import { loadChatTemplate } from '../../../../lib/data/template/chat-template.js'
import { tokenizerFolder } from '../../../shared-files.js'
import { Draw } from '../../grader/draw.js'
import { assistant, marked, system, tool, user } from './template-texts.js'

const load = (name: string, folder = t.testdir()) => loadChatTemplate(folder, name, { bos_token: '<s>', eos_token: '</s>' })

const call = { name: 'weather', arguments: { city: 'Paris', days: [1, 2] } }
const calls = [user('q'), assistant('', { toolCalls: [call] }), tool('20'), assistant('20 degrees')]

// The texts that LLaMA-Factory's templates of these names make (its data/template.py), written down by hand.
t.test("LLaMA-Factory's formats", async (t) => {
  const two = [system('S'), user('1+1?'), assistant('2'), user('2+2?'), assistant('4')]
  const formats: Record<string, [string, string]> = {
    qwen: [
      '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' +
        '<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n⟦2<|im_end|>⟧\n',
      '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n⟦2<|im_end|>⟧\n' +
        '<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n⟦4<|im_end|>⟧\n',
    ],
    llama3: [
      '<s><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n⟦2<|eot_id|>⟧',
      '<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n⟦2<|eot_id|>⟧<|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n⟦4<|eot_id|>⟧',
    ],
    deepseek3: [
      '<s><｜User｜>1+1?<｜Assistant｜>⟦2</s>⟧',
      '<s>S<｜User｜>1+1?<｜Assistant｜>⟦2</s>⟧<｜User｜>2+2?<｜Assistant｜>⟦4</s>⟧',
    ],
    default: [
      'Human: 1+1?</s>\nAssistant:⟦2</s>⟧\n',
      'System: S</s>\nHuman: 1+1?</s>\nAssistant:⟦2</s>⟧\nHuman: 2+2?</s>\nAssistant:⟦4</s>⟧\n',
    ],
    empty: ['1+1?⟦2⟧', 'S1+1?⟦2⟧2+2?⟦4⟧'],
  }
  for (const [name, [one, several]] of Object.entries(formats)) {
    const template = await load(name)
    t.equal(template.name, name)
    t.equal(marked(template, [user('1+1?'), assistant('2')]), one, name)
    t.equal(marked(template, two), several, `${name}, several turns`)
    t.match(marked(template, [user('q'), assistant(' \n a\n')]), '⟦ \n a\n', `${name}: texts stay as they are`)
  }
})

t.test('templates of reasoning models', async (t) => {
  const prompts = {
    qwen3: '<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n',
    deepseekr1: '<s><｜User｜>q<｜Assistant｜>',
  }
  for (const [name, prompt] of Object.entries(prompts)) {
    const template = await load(name)
    const end = name === 'qwen3' ? '<|im_end|>⟧\n' : '</s>⟧'
    for (const thought of ['<think>\nT\n</think>\n\nA', '<think>T</think>A', ' <think>\n T </think> A\n']) {
      t.equal(
        marked(template, [user('q'), assistant(thought)]),
        `${prompt}⟦${thought}${end}`,
        `${name}: a thought stays as it is`,
      )
    }
    t.equal(
      marked(template, [user('q'), assistant('A', { reasoning: 'T\n' })]),
      `${prompt}⟦<think>\nT\n</think>\n\nA${end}`,
      `${name}: a thought in a field of its own`,
    )
    const plain = [user('q'), assistant('A')]
    t.equal(marked(template, plain), `${prompt}⟦<think>\n\n</think>\n\nA${end}`, `${name}: an empty thought is written`)
    t.same(template.render(plain, 'a:1').added, { text: '<think>\n\n</think>\n\n', side: 'before' })
    t.equal(marked(template, plain, { enableThinking: false }), `${prompt}<think>\n\n</think>\n\n⟦A${end}`)
    t.equal(template.prompt([user('q')], 'a:1').text, prompt)
    const two = [user('q'), assistant('<think>\nT\n</think>\n\nA'), user('r'), assistant('<think>\nU\n</think>\n\nB')]
    const [one, other] =
      name === 'qwen3' ? ['<|im_end|>⟧\n<|im_start|>user\nr', '\n<|im_start|>assistant\n'] : ['</s>⟧', '<｜Assistant｜>']
    t.match(
      marked(template, two),
      `${prompt}⟦<think>\nT\n</think>\n\nA${one}`,
      `${name}: all thoughts, where all turns are learnt`,
    )
    t.match(marked(template, two), `${other}⟦<think>\nU\n</think>\n\nB`)
    const chat = [user('q'), assistant('A'), user('r'), assistant('B')]
    const empty = '<think>\n\n</think>\n\n'
    t.match(marked(template, chat), `${prompt}⟦${empty}A${one}`, `${name}: plain turns get an empty one`)
    t.match(marked(template, chat, { enableThinking: false }), `${prompt}${empty}⟦A${one}`)
    t.match(marked(template, chat, { enableThinking: false }), `${other}${empty}⟦B`)
    t.match(marked(template, two, { maskHistory: true }), /^(?!.*T\n).*A.*⟦<think>\nU\n<\/think>\n\nB/s)
  }
})

t.test('tool calls and their results', async (t) => {
  const json = '{"name": "weather", "arguments": {"city": "Paris", "days": [1, 2]}}'
  const qwen = await load('qwen')
  t.match(
    marked(qwen, calls),
    `assistant\n⟦<tool_call>\n${json}\n</tool_call><|im_end|>⟧\n<|im_start|>user\n<tool_response>\n20\n</tool_response><|im_end|>\n` +
      '<|im_start|>assistant\n⟦20 degrees<|im_end|>⟧\n',
  )
  const own = await loadChatTemplate(tokenizerFolder('qwen2_5'), undefined, {})
  const withText = [
    user('q'),
    assistant('Let me see.', { toolCalls: [call, { ...call, name: 'rain' }] }),
    tool('20'),
    assistant('a'),
  ]
  for (const turns of [calls, withText]) t.equal(marked(qwen, turns), marked(own, turns), "as Qwen2.5's own")
  const llama = await load('llama3')
  t.match(
    marked(llama, calls),
    '⟦{"name": "weather", "parameters": {"city": "Paris", "days": [1, 2]}}<|eot_id|>⟧<|start_header_id|>ipython<|end_header_id|>\n\n20<|eot_id|>',
  )
  t.match(marked(llama, withText), /⟦Let me see\.\[\{"name": "weather".*\}, \{"name": "rain".*\}\]<\|eot_id\|>⟧/s)
  t.match(
    marked(await load('deepseek3'), [user('q'), assistant('a'), tool('r'), assistant('b')]),
    '<｜User｜>r<｜Assistant｜>⟦b</s>⟧',
  )
  for (const name of ['deepseek3', 'deepseekr1', 'default', 'empty']) {
    const template = await load(name)
    t.throws(
      () => marked(template, calls),
      { code: 'TEMPLATE_FAILED', message: /no place for the tool calls of turn 2.*as qwen/ },
      name,
    )
  }
})

/** Conversations of up to three questions, each with up to two calls before its answer. */
function* conversations(thoughts: boolean, seed: number): Generator<Turn[]> {
  const draw = new Draw(seed)
  const said = ['Let me see.', '  indented\n', 'a\n\nb', 'é 😀 \\"<tool_response>x</tool_response>"']
  const thought = () => (thoughts ? { reasoning: draw.one(['T', 'first\n\nthen', '  spaces ']) } : {})
  for (let times = 0; times < 60; times += 1) {
    const turns: Turn[] = draw.one([[], [system('S')]]).slice()
    for (let questions = draw.whole(1, 3); questions > 0; questions -= 1) {
      turns.push(user(draw.one(said)))
      for (let steps = draw.whole(0, 2); steps > 0; steps -= 1) {
        const toolCalls = draw.one([[call], [call, { name: 'rain', arguments: { if: null, text: 'é "<>&\'\n' } }]])
        turns.push(assistant(draw.one(['', ...said]), { toolCalls, ...thought() }))
        for (const _ of toolCalls) turns.push(tool(draw.one(said)))
      }
      turns.push(assistant(draw.one(said), thought()))
    }
    yield turns
  }
}

t.test("as the models' own templates", async (t) => {
  const tools = [
    { type: 'function', function: { name: 'weather', description: 'é <b>', parameters: { type: 'object', required: ['city'] } } },
    { type: 'function', function: { name: 'rain' } },
  ]
  for (const [name, folder] of [
    ['qwen', 'qwen2_5'],
    ['qwen3', 'qwen3'],
  ] as const) {
    const [ours, own] = [await load(name), await loadChatTemplate(tokenizerFolder(folder), undefined, {})]
    for (const thoughts of name === 'qwen3' ? [true, false] : [false]) {
      for (const turns of conversations(thoughts, 1)) {
        for (const options of [{}, { tools }, { enableThinking: false }]) {
          if (thoughts && 'enableThinking' in options) continue
          const before = turns.slice(0, -1)
          t.equal(ours.prompt(before, 'a:1', options).text, own.prompt(before, 'a:1', options).text)
          const last = { maskHistory: true, ...options }
          t.equal(marked(ours, turns, last), marked(own, turns, last))
          // Several turns of one question, each with its thought, are one example for both.
          const isLoop = turns.filter(({ role }) => role === 'user').length === 1
          if (name === 'qwen' || (isLoop && thoughts)) t.equal(marked(ours, turns, options), marked(own, turns, options))
        }
      }
    }
  }
  for (const name of ['llama3', 'deepseek3', 'deepseekr1', 'default', 'empty']) {
    const template = await load(name)
    const message = /no place for definitions of tools\. Leave template out where the model's own writes them/
    t.throws(() => marked(template, [user('q'), assistant('a')], { tools }), { code: 'TEMPLATE_FAILED', message }, name)
  }
})

t.test('calls behind a thought', async (t) => {
  const qwen3 = await load('qwen3')
  const json = '{"name": "weather", "arguments": {"city": "Paris", "days": [1, 2]}}'
  const written = `assistant\n⟦<think>\nT\n</think>\n\n<tool_call>\n${json}\n</tool_call><|im_end|>⟧`
  for (const turn of [
    assistant('', { reasoning: 'T', toolCalls: [call] }),
    assistant('<think>\nT\n</think>', { toolCalls: [call] }),
    assistant('<think>\nT\n</think>\n\n', { toolCalls: [call] }),
  ])
    t.match(marked(qwen3, [user('q'), turn]), written)
  t.match(marked(qwen3, [user('q'), assistant('So.', { reasoning: 'T', toolCalls: [call] })]), '</think>\n\nSo.\n<tool_call>')
})

t.test('tokens that a built-in template needs', async (t) => {
  for (const [name, token] of [
    ['qwen', '<|im_start|>'],
    ['qwen3', '<|im_start|>'],
    ['deepseek3', '<｜User｜>'],
  ] as const) {
    const message = new RegExp(`to have the token ${token.replaceAll('|', '\\|')} that template: ${name} writes`)
    await t.rejects(loadChatTemplate(tokenizerFolder('llama3'), name, { eos_token: 'x' }), { code: 'TEMPLATE_FAILED', message })
  }
  await t.rejects(loadChatTemplate(t.testdir(), 'default', {}), { message: /token eos_token that template: default writes/ })
  for (const name of Object.keys(builtInTemplates)) {
    const turns: Turn[] = [user('q'), assistant('a')]
    const template = await loadChatTemplate(t.testdir(), name, { eos_token: '</s>' })
    t.notOk(marked(template, turns).includes('undefined'), `${name} without a BOS`)
  }
})
