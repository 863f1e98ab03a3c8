import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeExample, notScored } from '../../../../lib/data/example.js'
import { loadChatTemplate } from '../../../../lib/data/template/chat-template.js'
import { loadTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { tokenizerFolder } from '../../../shared-files.js'
import { assistant, distillTemplate, marked, openingThought, system, user } from './template-texts.js'

const readJson = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))

const qwen3Source: string = readJson(tokenizerFolder('qwen3'), 'tokenizer_config.json').chat_template

function openingTemplate(test: Test) {
  const folder = test.testdir({ 'chat_template.jinja': openingThought(qwen3Source) })
  return loadChatTemplate(folder, undefined, { eos_token: '<|im_end|>' })
}

t.test('a template that opens the thought in the generation prompt, and writes it in the turn', async (t) => {
  const template = await openingTemplate(t)
  const prompt = '<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n<think>\n'
  const scored = `${prompt}⟦one and one\n</think>\n\n2<|im_end|>⟧\n`
  for (const [name, turn] of [
    ['the whole thought', assistant('<think>\none and one\n</think>\n\n2')],
    ['with other line breaks', assistant('<think>one and one</think>2')],
    ['with white space before it', assistant('\n <think>\n\none and one\n</think>\n\n2')],
    ['without its opening', assistant('one and one\n</think>\n\n2')],
    ['in a field of its own', assistant('2', { reasoning: 'one and one' })],
  ] as const) {
    t.equal(marked(template, [user('1+1?'), turn]), scored, name)
  }
  t.equal(
    marked(template, [user('1+1?'), assistant('2')]),
    `${prompt}⟦\n</think>\n\n2<|im_end|>⟧\n`,
    'no thought is an empty one',
  )
  t.same(
    template.render([user('1+1?'), assistant('2')], 'a:1').added,
    { text: '\n</think>\n\n', side: 'before' },
    'which is said',
  )
  t.equal(template.prompt([user('1+1?')], 'a:1').text, prompt, 'the prompt is that of inference')
  t.throws(() => marked(template, [user('q'), assistant('Well. <think>A.</think>2')]), {
    code: 'TEMPLATE_FAILED',
    message: /does not write all text of turn 2/,
  })

  const two = [user('1+1?'), assistant('<think>\nOne.\n</think>\n\n2'), user('2+2?'), assistant('<think>\nTwo.\n</think>\n\n4')]
  t.throws(() => marked(template, two), { message: /renders turn 2 otherwise when turns follow it: .*mask_history/s })
  t.match(
    marked(template, two, { maskHistory: true }),
    'assistant\n2<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n⟦Two.\n</think>\n\n4<|im_end|>⟧',
  )
})

t.test('the beginning of a response in the prompt, whatever it is', async (t) => {
  const source =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\nSure: ' }}{% endif %}"
  const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': source }), undefined, { eos_token: '<|im_end|>' })
  t.match(marked(template, [user('q'), assistant('Sure: 2')]), 'assistant\nSure: ⟦2<|im_end|>⟧\n')
  t.throws(() => marked(template, [user('q'), assistant('2')]), { message: /renders turn 2 unlike its generation prompt begins/ })
  const thinkless = await loadChatTemplate(tokenizerFolder('qwen3'), undefined, {})
  t.match(
    marked(thinkless, [user('q'), assistant('<think>\n\n</think>\n\n2')], { enableThinking: false }),
    'assistant\n<think>\n\n</think>\n\n⟦2<|im_end|>⟧\n',
    'an empty thought that enable_thinking: false has put there',
  )
})

t.test('DeepSeek-R1-Distill: the thought is opened in the prompt, and left out of turns', async (t) => {
  const template = await loadChatTemplate(t.testdir({ 'chat_template.jinja': distillTemplate }), undefined, {
    bos_token: '<｜begin▁of▁sentence｜>',
    eos_token: '<｜end▁of▁sentence｜>',
  })
  const prompt = '<｜begin▁of▁sentence｜><｜User｜>1+1?<｜Assistant｜><think>\n'
  const scored = `${prompt}⟦One.\n</think>\n\n2<｜end▁of▁sentence｜>⟧`
  const thought = '<think>\nOne.\n</think>\n\n2'
  t.equal(marked(template, [user('1+1?'), assistant(thought)]), scored)
  t.equal(marked(template, [user('1+1?'), assistant('One.\n</think>\n\n2')]), scored, 'without its opening')
  t.equal(marked(template, [user('1+1?'), assistant('2', { reasoning: 'One.' })]), scored, 'in a field of its own')
  t.equal(template.prompt([user('1+1?')], 'a:1').text, prompt)
  t.equal(template.endOfTurn(), '<｜end▁of▁sentence｜>')
  t.match(
    marked(template, [system('Be brief.'), user('1+1?'), assistant('<think>One.</think>2')]),
    'sentence｜>Be brief.<｜User｜>1+1?<｜Assistant｜><think>\n⟦One.</think>2<｜end▁of▁sentence｜>⟧',
    'the text of a thought stays as it is',
  )
  t.throws(() => marked(template, [user('1+1?'), assistant('2')]), {
    code: 'TEMPLATE_FAILED',
    message: /^chains\.jsonl:1: .*opens <think>.*turn 2 \(assistant\) has no thought\. Write <think>.*deepseek3/,
  })

  const two = [user('1+1?'), assistant(thought), user('2+2?'), assistant('<think>\nTwo.\n</think>\n\n4')]
  t.throws(() => marked(template, two), { message: /renders turn 2 otherwise when turns follow it: .*mask_history/s })
  t.equal(
    marked(template, two, { maskHistory: true }),
    '<｜begin▁of▁sentence｜><｜User｜>1+1?<｜Assistant｜>\n\n2<｜end▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜><think>\n' +
      '⟦Two.\n</think>\n\n4<｜end▁of▁sentence｜>⟧',
    'the history as it is at inference',
  )
  t.match(marked(template, [user('q'), assistant(thought)], { trainOnPrompt: true }), /^⟦.*<think>\n⟧⟦One.*⟧$/s)
})

/** A tokenizer of DeepSeek-R1-Distill: that of the model it was distilled into, with other words for its added tokens. */
function writeDistill(test: Test, model: 'qwen2_5' | 'llama3', tokens: Record<number, string>): string {
  const folder = test.testdir({ 'chat_template.jinja': distillTemplate })
  const definition = readJson(tokenizerFolder(model), 'tokenizer.json')
  definition.added_tokens = definition.added_tokens.map((token: { id: number }) => {
    const content = tokens[token.id]
    return content === undefined ? token : { ...token, content, special: !content.includes('think') }
  })
  const known = new Set(definition.added_tokens.map(({ id }: { id: number }) => id))
  for (const [id, content] of Object.entries(tokens)) if (!known.has(Number(id))) throw new Error(`no token ${id} for ${content}`)
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(definition))
  const config = { bos_token: { content: '<｜begin▁of▁sentence｜>' }, eos_token: { content: '<｜end▁of▁sentence｜>' } }
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  return folder
}

const families = {
  'DeepSeek-R1-Distill-Qwen': {
    model: 'qwen2_5',
    ids: { end: 151643, user: 151644, assistant: 151645, begin: 151646, think: 151648, unthink: 151649 },
  },
  'DeepSeek-R1-Distill-Llama': {
    model: 'llama3',
    ids: { begin: 128000, end: 128001, user: 128011, assistant: 128012, think: 128013, unthink: 128014 },
  },
} as const
for (const [family, { model, ids }] of Object.entries(families)) {
  t.test(`${family}: the ids, and what of them is scored`, async (t) => {
    const folder = writeDistill(t, model, {
      [ids.begin]: '<｜begin▁of▁sentence｜>',
      [ids.end]: '<｜end▁of▁sentence｜>',
      [ids.user]: '<｜User｜>',
      [ids.assistant]: '<｜Assistant｜>',
      [ids.think]: '<think>',
      [ids.unthink]: '</think>',
    })
    const tokenizer = await loadTokenizer(folder)
    const vocabSize = tokenizer.vocabSize
    const turns = [user('1+1?'), assistant('<think>\nOne.\n</think>\n\n2')]
    for (const template of [undefined, 'deepseekr1']) {
      const chat = await loadChatTemplate(folder, template, tokenizer.specialTokens)
      const record = { kind: 'chat', place: 'a:1', turns } as const
      const { inputIds, labels } = makeExample({ ...record, turns: [...turns] }, { tokenizer, template: chat, vocabSize })
      const response = [...tokenizer.encode('One.\n'), ids.unthink, ...tokenizer.encode('\n\n2'), ids.end]
      const prompt = [ids.begin, ids.user, ...tokenizer.encode('1+1?'), ids.assistant]
      const thought = [ids.think, ...tokenizer.encode('\n')]
      const scored = template === undefined ? response : tokenizer.encode('<think>\nOne.\n</think>\n\n2<｜end▁of▁sentence｜>')
      const unscored = template === undefined ? [...prompt, ...thought] : prompt
      t.same([...inputIds], [...unscored, ...scored], template ?? "the model's own")
      t.same([...labels], [...unscored.map(() => notScored), ...scored])
      const asked = chat.prompt([turns[0]!], 'a:1', { spelledTokens: tokenizer.spelledTokens }).segments
      t.same(tokenizer.encodeSegments(asked).flat(), unscored, 'the prompt at inference')
    }
  })
}

t.test('special tokens that a thought spells out', async (t) => {
  const folder = writeDistill(t, 'qwen2_5', {
    151643: '<｜end▁of▁sentence｜>',
    151644: '<｜User｜>',
    151645: '<｜Assistant｜>',
    151646: '<｜begin▁of▁sentence｜>',
  })
  const tokenizer = await loadTokenizer(folder)
  const template = await loadChatTemplate(folder, undefined, tokenizer.specialTokens)
  const said = assistant('<think>\nSay <｜end▁of▁sentence｜>.\n</think>\n\n2')
  const { segments } = template.render([user('q'), said], 'a:1', { spelledTokens: tokenizer.spelledTokens })
  const [, response] = tokenizer.encodeSegments(segments)
  t.equal(response!.filter((id) => id === 151643).length, 1, 'only the end of the turn is that token')
})
