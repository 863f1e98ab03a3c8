import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parseTrainConfig } from '../../../lib/config/train-config.js'
import { builtInTemplates } from '../../../lib/data/template/built-in-templates.js'
import { TextGenerator } from '../../../lib/generate/generator.js'
import { byteLevelTokenizerFiles } from '../../../lib/model/byte-tokenizer.js'
import { writeInitialModel } from '../../../lib/model/initialize.js'
import type { EvalMetrics } from '../../../lib/train/metrics.js'
import { type TrainEvent, train } from '../../../lib/train/trainer.js'
import { microConfig, tinySettings } from '../../tiny-inputs.js'

const [endOfText, endOfTurn] = [256, 258]
const read = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'))

interface Base {
  generationConfig?: string
  tokenizer?: Record<string, unknown>
  config?: Record<string, unknown>
  /** Tokens that its tokenizer has besides its own. */
  markers?: readonly string[]
}

/** A base model as Qwen publishes it: a ChatML template, and an EOS that is not the end of a turn. */
async function writeBase(folder: string, { generationConfig, tokenizer, config, markers = [] }: Base = {}): Promise<string> {
  const model = join(folder, 'base')
  const files = byteLevelTokenizerFiles()
  const json = JSON.parse(files['tokenizer.json']!)
  const missing = markers.filter((content) => !json.added_tokens.some((token: { content: string }) => token.content === content))
  const size = microConfig.vocab_size as number
  json.added_tokens.push(...missing.map((content, i) => ({ ...json.added_tokens[0], id: size + i, content })))
  files['tokenizer.json'] = JSON.stringify(json)
  const vocabulary = { vocab_size: size + missing.length }
  const configJson = { ...microConfig, ...vocabulary, eos_token_id: endOfText, bos_token_id: endOfText, ...config }
  await writeInitialModel(model, { configJson, seed: 1, tokenizer: { files } })
  const path = join(model, 'tokenizer_config.json')
  const published = read(model, 'tokenizer_config.json')
  const decoder = Object.fromEntries(json.added_tokens.map(({ id, ...token }: { id: number }) => [id, token]))
  const changed = { ...published, added_tokens_decoder: decoder, eos_token: '<|endoftext|>', ...tokenizer }
  writeFileSync(path, JSON.stringify(changed))
  if (generationConfig !== undefined) writeFileSync(join(model, 'generation_config.json'), generationConfig)
  return model
}

const question = { messages: [{ role: 'user' as const, content: 'hi' }] }
const row = { messages: [...question.messages, { role: 'assistant', content: 'hello' }] }

async function trainOn(modelFolder: string, settings: Record<string, unknown> = {}, rows: unknown[] = [row]) {
  const folder = dirname(modelFolder)
  const [dataset, output] = [join(folder, 'rows.jsonl'), join(folder, 'out')]
  writeFileSync(dataset, rows.map((each) => `${JSON.stringify(each)}\n`).join(''))
  const { config } = parseTrainConfig(
    { ...tinySettings({ modelFolder, dataset }, output), per_device_train_batch_size: 1, max_steps: 1, ...settings },
    'test',
  )
  let start: Extract<TrainEvent, { type: 'start' }> | undefined
  const evaluations: EvalMetrics[] = []
  for await (const event of train(config)) {
    if (event.type === 'start') start = event
    if (event.type === 'evaluation') evaluations.push(event)
  }
  return { output, notes: start!.notes, evaluations }
}

t.test('a base model that is taught an end of turn stops at it', async (t) => {
  const generationConfig = '{"bos_token_id": 256, "eos_token_id": 256, "top_p": 1.0, "max_new_tokens": 2048}\n'
  const base = await writeBase(t.testdir(), { generationConfig })
  const learning = { learning_rate: 3e-2, max_steps: 60, lr_scheduler_type: 'constant' }
  const { output, notes } = await trainOn(base, { ...learning, save_strategy: 'steps', save_steps: 60 })
  t.match(notes.join('\n'), /turns end in <\|im_end\|>.*beside <\|endoftext\|>/)
  t.match(notes.join('\n'), /eos_token is <\|im_end\|>.*instead of <\|endoftext\|>/)
  for (const folder of [output, join(output, 'checkpoint-60')]) {
    t.equal(
      readFileSync(join(folder, 'generation_config.json'), 'utf8'),
      generationConfig.replace('"eos_token_id": 256', `"eos_token_id": [258,256]`),
      'all else as it was, to the byte',
    )
    t.equal(read(folder, 'tokenizer_config.json').eos_token, '<|im_end|>')
  }
  t.equal(read(base, 'tokenizer_config.json').eos_token, '<|endoftext|>', 'the base model is left alone')
  const generator = await TextGenerator.load(output)
  t.teardown(() => generator.close())
  t.match(await generator.complete(question, { maxNewTokens: 30 }), { text: 'hello', finishReason: 'stop' })
  const { ids } = await generator.complete({ ids: await generator.promptIds(question) }, { maxNewTokens: 30 })
  t.equal(ids.at(-1), endOfTurn, 'whatever the prompt was')

  rmSync(join(output, 'generation_config.json'))
  writeFileSync(join(output, 'tokenizer_config.json'), readFileSync(join(base, 'tokenizer_config.json')))
  const forgetful = await TextGenerator.load(output)
  t.teardown(() => forgetful.close())
  t.match(
    await forgetful.complete(question, { maxNewTokens: 30 }),
    { text: 'hello', finishReason: 'stop' },
    'a conversation ends with the turn of its template, whatever the folder says',
  )
  t.match(await forgetful.complete({ ids: await forgetful.promptIds(question) }, { maxNewTokens: 30 }), {
    finishReason: 'length',
  })
})

t.test('a base model of each family ends its answers by itself', async (t) => {
  for (const [name, { markers }] of Object.entries(builtInTemplates)) {
    if (name === 'empty') continue // No turn of it ends.
    const thinks = name === 'qwen3' || name === 'deepseekr1'
    const base = await writeBase(t.testdir(), { markers })
    const content = thinks ? '<think>\nhm\n</think>\n\nhello' : 'hello'
    const learning = { template: name, learning_rate: 2e-2, max_steps: 80, lr_scheduler_type: 'constant' }
    const { output } = await trainOn(base, learning, [{ messages: [...question.messages, { role: 'assistant', content }] }])
    rmSync(base, { recursive: true })
    const generator = await TextGenerator.load(output)
    t.match(await generator.complete(question, { maxNewTokens: 40 }), { text: content, finishReason: 'stop' }, name)
    const ids = await generator.promptIds(question)
    t.match(await generator.complete({ ids }, { maxNewTokens: 40 }), { finishReason: 'stop' }, `${name}: by the folder alone`)
    await generator.close()
  }
})

t.test('held out answers end with the turn while the model is trained', async (t) => {
  const base = await writeBase(t.testdir())
  const rows = Array.from({ length: 4 }, () => row)
  const settings = { val_size: 1, learning_rate: 3e-2, max_steps: 60, lr_scheduler_type: 'constant', eval_steps: 60 }
  const predicting = { predict_with_generate: true, predict_samples: 1, max_new_tokens: 30 }
  const { evaluations } = await trainOn(base, { ...settings, ...predicting }, rows)
  t.equal(evaluations.at(-1)!.completions![0]!.completion, 'hello')
})

t.test('what is already named stays to the byte', async (t) => {
  const generationConfig = '{ "eos_token_id": [258, 256] }'
  const base = await writeBase(t.testdir(), { generationConfig, tokenizer: { eos_token: '<|im_end|>' } })
  const { output, notes } = await trainOn(base)
  t.same(notes, [])
  for (const name of ['generation_config.json', 'tokenizer_config.json', 'tokenizer.json']) {
    t.equal(readFileSync(join(output, name), 'utf8'), readFileSync(join(base, name), 'utf8'), name)
  }
  t.notOk(existsSync(join(output, 'chat_template.jinja')))
})

t.test('other folders', async (t) => {
  await t.test('without a generation_config.json, one is made of what config.json says', async (t) => {
    const { output } = await trainOn(await writeBase(t.testdir(), { config: { pad_token_id: 7 } }))
    t.same(read(output, 'generation_config.json'), { bos_token_id: 256, eos_token_id: [258, 256], pad_token_id: 7 })
  })
  await t.test('special_tokens_map.json, and a token that is an object', async (t) => {
    const eos_token = { __type: 'AddedToken', content: '<|endoftext|>', special: true }
    const base = await writeBase(t.testdir(), { tokenizer: { eos_token } })
    writeFileSync(join(base, 'special_tokens_map.json'), JSON.stringify({ eos_token, pad_token: 'x' }))
    const { output } = await trainOn(base)
    t.equal(read(output, 'tokenizer_config.json').eos_token, '<|im_end|>')
    t.same(read(output, 'special_tokens_map.json'), { eos_token: '<|im_end|>', pad_token: 'x' })
  })
  await t.test('a template that writes eos_token keeps it', async (t) => {
    const chat_template =
      "{{ eos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    const { output } = await trainOn(await writeBase(t.testdir(), { tokenizer: { chat_template } }))
    t.equal(read(output, 'tokenizer_config.json').eos_token, '<|endoftext|>')
    t.same(read(output, 'generation_config.json').eos_token_id, [258, 256])
  })
  await t.test('rows that came as tokens end as their labels say', async (t) => {
    const base = await writeBase(t.testdir())
    const tokens = { input_ids: [104, 105, 258, 10], labels: [-100, 105, 258, -100] }
    // What begins a turn ends none, wherever a row was cut off.
    const cut = { input_ids: [104, 105, 257], labels: [-100, 105, 257] }
    const { output, notes } = await trainOn(base, {}, [tokens, cut])
    t.same(read(output, 'generation_config.json').eos_token_id, [258, 256])
    t.match(notes.join('\n'), /turns end in <\|im_end\|>,/)
  })
  await t.test('a token that begins texts ends none', async (t) => {
    const base = await writeBase(t.testdir(), { tokenizer: { bos_token: '<|im_end|>' } })
    const tokens = { input_ids: [104, 105, 258], labels: [-100, 105, 258] }
    const { output } = await trainOn(base, {}, [tokens])
    t.notOk(existsSync(join(output, 'generation_config.json')))
  })
  await t.test('train_on_prompt scores what is between turns too', async (t) => {
    const { output } = await trainOn(await writeBase(t.testdir()), { train_on_prompt: true })
    t.same(read(output, 'generation_config.json').eos_token_id, [258, 256])
  })
  await t.test('a response that was cut off teaches no end', async (t) => {
    const base = await writeBase(t.testdir())
    const { output, notes } = await trainOn(base, { cutoff_len: 40, over_length: 'truncate' }, [
      { messages: [row.messages[0], { role: 'assistant', content: 'a'.repeat(100) }] },
    ])
    t.same(notes, [])
    t.notOk(existsSync(join(output, 'generation_config.json')))
  })
})

t.test('the template that a run was trained in', async (t) => {
  const plain = "{% for m in messages %}{{ m.role + ': ' + m.content + '<|im_end|>' }}{% endfor %}"
  const chat_template = `${plain}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}`
  await t.test('is written where the folder has another', async (t) => {
    const base = await writeBase(t.testdir(), { tokenizer: { chat_template } })
    const { output, notes } = await trainOn(base, { template: 'qwen' })
    t.match(notes.join('\n'), /chat_template\.jinja with template: qwen/)
    const trained = await TextGenerator.load(output)
    t.teardown(() => trained.close())
    const prompt = trained.tokenizer.decode(await trained.promptIds(question))
    t.equal(prompt.split('<|im_end|>\n').at(-1), '<|im_start|>assistant\n')
  })
  await t.test('or none', async (t) => {
    const { output } = await trainOn(await writeBase(t.testdir(), { tokenizer: { chat_template: null } }), {
      template: 'qwen',
    })
    t.match(readFileSync(join(output, 'chat_template.jinja'), 'utf8'), /im_start/)
  })
  await t.test('and is not where both write the same', async (t) => {
    const { output } = await trainOn(await writeBase(t.testdir()), { template: 'qwen', default_system: 'Be brief.' })
    t.notOk(existsSync(join(output, 'chat_template.jinja')))
  })
})
