import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { GenerateOptions, Prompt } from '../../../lib/generate/completion.js'
import { planGeneration } from '../../../lib/generate/generation-plan.js'
import { type GeneratorOptions, TextGenerator } from '../../../lib/generate/generator.js'
import { openDevice } from '../../../lib/native/device.js'
import { sharedPath } from '../../shared-files.js'

/* A real pretrained Llama continues texts: as it is known to, and the same whatever is generated beside it. */

const folder = sharedPath('data', 'models', 'stories260K')!
const skip = folder === undefined && 'shared/data is absent'

interface Golden {
  /** BOS and the 200 tokens that follow it. */
  tokens: number[]
  /** [V] after the token of that index, written with six decimals. */
  logits_at: Record<string, number[]>
}

const golden: Golden = skip
  ? { tokens: [], logits_at: {} }
  : JSON.parse(readFileSync(join(folder, 'golden_greedy200.json'), 'utf8'))

async function load(t: Tap, options: GeneratorOptions = {}): Promise<TextGenerator> {
  const generator = await TextGenerator.load(folder, { threads: 2, ...options })
  t.teardown(() => generator.close())
  return generator
}
type Tap = Pick<typeof t, 'teardown'>

async function idsOf(generator: TextGenerator, prompt: Prompt, options: GenerateOptions): Promise<number[]> {
  return (await generator.complete(prompt, options)).ids
}

/** The logits with which each token was chosen. */
async function logitsOf(generator: TextGenerator, prompt: Prompt, options: GenerateOptions): Promise<Float32Array[]> {
  const logits: Float32Array[] = []
  for await (const event of generator.stream(prompt, options)) if (event.type === 'token') logits.push(event.logits!)
  return logits
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)))

t.test('the golden text, tokens and logits', { skip }, async (t) => {
  const generator = await load(t, { withLogits: true })
  const ids = [1]
  let text = ''
  const logits: Float32Array[] = []
  for await (const event of generator.stream('', { maxNewTokens: 200 })) {
    if (event.type === 'end') {
      t.same({ ...event, text: '' }, { type: 'end', text: '', finishReason: 'length', promptTokens: 1, completionTokens: 200 })
      t.equal(event.text, text, 'the pieces are the text')
      continue
    }
    ids.push(event.id)
    text += event.text
    logits.push(event.logits!)
  }
  t.same(ids, golden.tokens)
  t.equal(`${text}\n`, readFileSync(join(folder, 'expected_greedy_n200.txt'), 'utf8'))
  for (const [index, expected] of Object.entries(golden.logits_at)) {
    const off = largest(logits[Number(index)]!, expected)
    t.ok(off <= 1e-4, `logits after token ${index}: off by ${off}`)
  }
})

t.test('logits with a cache are those without', { skip }, async (t) => {
  const generator = await load(t, { withLogits: true })
  const cached = await logitsOf(generator, '', { maxNewTokens: 200 })
  for (const length of [1, 2, 63, 64, 65, 66, 128, 129, 200]) {
    const [uncached] = await logitsOf(generator, { ids: golden.tokens.slice(0, length) }, { maxNewTokens: 1 })
    const off = largest(cached[length - 1]!, uncached!)
    t.ok(off <= 5e-5, `after ${length} tokens: off by ${off}`)
  }
})

t.test('logits in bfloat16 are near those in float32', { skip }, async (t) => {
  const generator = await load(t, { withLogits: true, dtype: 'bf16' })
  const forced = await Promise.all(
    [10, 63].map((length) => logitsOf(generator, { ids: golden.tokens.slice(0, length + 1) }, { maxNewTokens: 1 })),
  )
  for (const [i, length] of [10, 63].entries()) {
    const exact = golden.logits_at[length] ?? []
    if (exact.length === 0) continue
    // 2⁻⁸ of logits up to 10, through five layers.
    const off = largest(forced[i]![0]!, exact)
    t.ok(off > 1e-4 && off < 0.3, `after ${length} tokens: off by ${off}`)
  }
})

const prompts: Prompt[] = [
  '',
  'Once upon a time',
  'Tim and Sue went to the park. They saw a big dog. ',
  { ids: [1] },
  ...Array.from({ length: 9 }, (_, i) => ({ ids: golden.tokens.slice(0, 7 * i + 60) })),
  'x'.repeat(150),
]

/** Each prompt with two seeds and greedily, some with a penalty. */
const requests = prompts.flatMap((prompt, i) => [
  { prompt, options: { maxNewTokens: 40 + i } },
  { prompt, options: { maxNewTokens: 40 + i, temperature: 1, seed: 5, sample: i } },
  {
    prompt,
    options: { maxNewTokens: 30, temperature: 0.8, topP: 0.9, topK: 20, minP: 0.01, ...(i % 2 && { repetitionPenalty: 1.3 }) },
  },
])

for (const dtype of ['f32', 'bf16'] as const) {
  t.test(`what is generated beside it does not change a token, ${dtype}`, { skip }, async (t) => {
    const alone = await load(t, { dtype, maxSequences: 1 })
    const expected: number[][] = []
    for (const { prompt, options } of requests) expected.push(await idsOf(alone, prompt, options))
    t.ok(expected.every((ids) => ids.length > 0))
    for (const { maxSequences, threads } of [
      { maxSequences: 3, threads: 1 },
      { maxSequences: 16, threads: 2 },
      { maxSequences: 64, threads: 3 },
    ]) {
      const together = await load(t, { dtype, maxSequences, threads })
      const ids = await Promise.all(requests.map(({ prompt, options }) => idsOf(together, prompt, options)))
      t.same(ids, expected, `${maxSequences} at a time`)
      // What the prompts had in common is in the cache now.
      t.same(await Promise.all(requests.map(({ prompt, options }) => idsOf(together, prompt, options))), expected, 'again')
    }
  })

  t.test(`a cache that is too small for all of them does not either, ${dtype}`, { skip }, async (t) => {
    const config = (await load(t)).plan.shape.config
    const large = await load(t, { dtype, maxSequences: 8, maxLength: 256 })
    const plan = planGeneration({ config, dtype, threads: 2, maxSequences: 8, maxLength: 256, prefillTokens: 256 })
    // Five sequences of at most four pages get six pages.
    const page = plan.bytes.cache / plan.shape.pages
    const small = await load(t, {
      dtype,
      maxSequences: 8,
      maxLength: 256,
      memoryLimit: plan.totalBytes - plan.bytes.cache + 6 * page,
    })
    t.equal(small.plan.shape.pages, 6)
    const many = Array.from({ length: 7 }, (_, i) => ({ ids: golden.tokens.slice(0, 20 + 17 * i) }))
    const options = { maxNewTokens: 120, temperature: 0.7 }
    const all = (generator: TextGenerator) => Promise.all(many.map((prompt) => idsOf(generator, prompt, options)))
    t.same(await all(small), await all(large))
  })
}

t.test('several answers to a prompt differ, and are the same again', { skip }, async (t) => {
  const generator = await load(t)
  const answers = (seed: number) =>
    Promise.all(
      Array.from({ length: 4 }, (_, sample) =>
        idsOf(generator, { ids: golden.tokens.slice(0, 150) }, { temperature: 1, maxNewTokens: 20, sample, seed }),
      ),
    )
  const first = await answers(1)
  t.equal(new Set(first.map(String)).size, 4)
  t.same(await answers(1), first)
  t.notSame(await answers(2), first)
})

t.test('the first tokens of many answers are distributed as the model says', { skip }, async (t) => {
  const generator = await load(t, { withLogits: true, maxSequences: 64 })
  const prompt = { ids: golden.tokens.slice(0, 30) }
  const [logits] = await logitsOf(generator, prompt, { maxNewTokens: 1 })
  const temperature = 4
  const weights = Array.from(logits!, (z) => Math.exp((z - Math.max(...logits!)) / temperature))
  const total = weights.reduce((a, b) => a + b)
  const draws = 4000
  const counts = new Map<number, number>()
  const drawn = await Promise.all(
    Array.from({ length: draws }, (_, sample) => idsOf(generator, prompt, { maxNewTokens: 1, temperature, sample, seed: 7 })),
  )
  for (const [id] of drawn) counts.set(id!, (counts.get(id!) ?? 0) + 1)
  // Tokens that are expected fewer than ten times are one class.
  let statistic = 0
  let classes = 0
  const rest = { expected: 0, received: 0 }
  for (const [id, weight] of weights.entries()) {
    const expected = (draws * weight) / total
    const received = counts.get(id) ?? 0
    if (expected < 10) {
      rest.expected += expected
      rest.received += received
      continue
    }
    statistic += (received - expected) ** 2 / expected
    classes += 1
  }
  statistic += (rest.received - rest.expected) ** 2 / rest.expected
  // Of classes degrees of freedom; a normal approximation after Wilson and Hilferty.
  const z = ((statistic / classes) ** (1 / 3) - (1 - 2 / (9 * classes))) / Math.sqrt(2 / (9 * classes))
  t.ok(classes >= 20, `${classes} tokens are frequent`)
  t.ok(Math.abs(z) < 3, `chi-square ${statistic.toFixed(1)} with ${classes} degrees of freedom, z ${z.toFixed(2)}`)
})

t.test('stop texts, the end token and limits end an answer', { skip }, async (t) => {
  const generator = await load(t)
  const whole = await generator.complete('', { maxNewTokens: 200 })
  for (const stop of ['park', 'she', ' girl named', '.']) {
    const { text, finishReason } = await generator.complete('', { maxNewTokens: 200, stop: [stop, 'never there'] })
    t.same({ text, finishReason }, { text: whole.text.slice(0, whole.text.indexOf(stop)), finishReason: 'stop' }, stop)
  }
  const pieces: string[] = []
  for await (const event of generator.stream('', { maxNewTokens: 60, stop: ['girl named Lucy'] }))
    if (event.type === 'token') pieces.push(event.text)
    else t.equal(event.text, whole.text.slice(0, event.text.length), 'what was held back comes at the end')

  const toEnd = await generator.complete({ ids: golden.tokens.slice(0, 100) }, { maxNewTokens: 1000 })
  t.same(
    { tokens: 100 + toEnd.ids.length <= 512, reason: toEnd.finishReason },
    { tokens: true, reason: toEnd.ids.at(-1) === 2 ? 'stop' : 'length' },
  )
  t.notOk(toEnd.text.includes('</s>'))
})

t.test('leaving, and a signal, end an answer; others go on', { skip }, async (t) => {
  const generator = await load(t, { maxSequences: 2 })
  const controller = new AbortController()
  const aborted = generator.complete('', { maxNewTokens: 400, signal: controller.signal })
  const other = generator.complete('Once', { maxNewTokens: 60 })
  let seen = 0
  for await (const event of generator.stream('Tim', { maxNewTokens: 400 })) {
    if (event.type === 'token' && ++seen === 5) break
  }
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  t.same((await other).ids, await idsOf(generator, 'Once', { maxNewTokens: 60 }))
  await t.rejects(generator.complete('', { signal: controller.signal }), { name: 'AbortError' }, 'a signal that has come')
  t.ok((await idsOf(generator, 'and on', { maxNewTokens: 3 })).length === 3)
})

t.test('what is wrong is said', { skip }, async (t) => {
  const generator = await load(t, { maxLength: 64 })
  const wrong: [Prompt, GenerateOptions, RegExp][] = [
    [{ ids: [] }, {}, /expected a prompt of at least one token/],
    [{ ids: [512] }, {}, /token ids in 0...511 but received 512/],
    [{ ids: golden.tokens.slice(0, 64) }, {}, /fewer than 64 tokens but received 64/],
    ['', { temperature: -1 }, /at least 0 for temperature but received -1/],
    ['', { topP: 0 }, /for topP but received 0/],
    ['', { maxNewTokens: 1.5 }, /for maxNewTokens but received 1.5/],
    ['', { stop: [''] }, /none of them empty for stop/],
    ['', { topk: 3 } as GenerateOptions, /one of .*topK.* but received topk/],
  ]
  for (const [prompt, options, message] of wrong) await t.rejects(generator.complete(prompt, options), { message })
  t.equal((await idsOf(generator, '', { maxNewTokens: 1000 })).length, 63, 'ends where its room ends')
  await t.rejects(TextGenerator.load(folder, { memoryLimit: 3e6 }), { code: 'OUT_OF_MEMORY' })
  await t.rejects(TextGenerator.load(folder, { maxLength: 1 }), { code: 'CONFIG_INVALID_VALUE' })
  for (const prompt of [
    { prompt: 'x' },
    undefined,
    null,
    5,
    { messages: [] },
    { messages: 'x' },
    { messages: [{ role: 'user' }] },
  ])
    await t.rejects(generator.complete(prompt as never), {
      name: 'ConfigError',
      code: 'CONFIG_INVALID_VALUE',
      message: /for a prompt/,
    })
  const device = await openDevice('cpu', { threads: 1 })
  const shared = await TextGenerator.load(folder, { device })
  const underWay = shared.complete('Once upon a time', { maxNewTokens: 400 })
  const ended = t.rejects(underWay, { code: 'DEVICE_CLOSED', message: /the generator is closed/ })
  await shared.close()
  await ended
  await t.rejects(shared.complete('x'), { code: 'DEVICE_CLOSED', message: /the generator is closed/ })
  t.ok(await TextGenerator.load(folder, { device }), 'the device stays open where it was not its own')
  await device.close()
  await t.rejects(TextGenerator.load('/nowhere'), { code: 'MODEL_NOT_FOUND' })
})
