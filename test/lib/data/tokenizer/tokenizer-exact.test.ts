import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Tokenizer } from 'tokenizers'
import { PreTokenCache } from '../../../../lib/data/tokenizer/byte-level/pre-token-cache.js'
import { loadTokenizer } from '../../../../lib/data/tokenizer/tokenizer.js'
import { byteLevelTokenizer } from '../../../../lib/model/byte-tokenizer.js'
import { Random } from '../../../../lib/random/random.js'
import { allTests } from '../../../command-line.js'
import { sharedPath, tokenizerFolder } from '../../../shared-files.js'
import { differences, randomTexts, referenceIds, withoutSpecialTokens } from './reference-tokenizer.js'

const models = ['qwen2_5', 'qwen3', 'llama3'] as const
const data = sharedPath('data')
/** Every text with `npm run test:all`, one of so many otherwise. */
const STRIDE = allTests ? 1 : 7

/** Every string of every file of records. */
function sharedTexts(): string[] {
  const texts: string[] = []
  const collect = (value: unknown) => {
    if (typeof value === 'string') texts.push(value)
    else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner)
  }
  for (const folder of ['eval', 'grader', 'sft']) {
    for (const file of readdirSync(join(data!, folder))) {
      const lines = readFileSync(join(data!, folder, file), 'utf8').split('\n')
      for (const line of lines) if (line !== '') collect(JSON.parse(line))
    }
  }
  return texts
}

/** Every code point of the Basic Multilingual Plane and some beyond, as a word, beside spaces, digits and marks. */
function codePointTexts(): string[] {
  const texts: string[] = []
  for (let code = 0; code < 0x30000; code += STRIDE * (code < 0x10000 ? 1 : 17)) {
    const c = String.fromCodePoint(code)
    texts.push(`${c}a${c}b ${c} 1${c}'${c}\n${c}\u0323\u0301x${c}${c}`)
  }
  return texts
}

for (const model of models) {
  t.test(model, async (t) => {
    const path = join(tokenizerFolder(model), 'tokenizer.json')
    const ours = await loadTokenizer(tokenizerFolder(model))
    const reference = Tokenizer.fromFile(path)
    const encode = (text: string) => ours.encode(text)

    t.same(await differences(reference, randomTexts(1, Math.ceil(10_000 / STRIDE)), encode), [], 'random text')
    t.same(await differences(reference, codePointTexts(), encode), [], 'every character')
    if (data !== undefined) {
      const texts = sharedTexts().filter((_, index) => index % STRIDE === 0)
      t.same(await differences(reference, texts, encode), [], 'shared/data')
    }

    const runs = ['a', 'ab', '数学题目', ' ', '\n', ' \n', '!', '=', '0', "'s", 'é', '\u0301', '👍', '<', '<|', '\u0000']
    const long = runs.flatMap((run) => [1, 2, 3, 5, 64, 65, 129, 20_000].map((times) => run.repeat(times)))
    t.same(await differences(reference, long, encode), [], 'long runs')

    const definition = JSON.parse(readFileSync(path, 'utf8')) as { added_tokens: { content: string; special: boolean }[] }
    const asText = withoutSpecialTokens(definition)
    const special = definition.added_tokens.filter((token) => token.special).map(({ content }) => content)
    const spelled = [...special.map((token) => `say ${token} now${token}`), ...randomTexts(2, Math.ceil(2000 / STRIDE))]
    const encodeAsText = (text: string) => {
      const spelledAt = Array.from(ours.spelledTokens.mark(text, '\ufdd0').matchAll(/\ufdd0/g), ({ index }, n) => index - n)
      return ours.encodeSegments([{ text, spelledAt }])[0]!
    }
    t.same(await differences(asText, spelled, encodeAsText), [], 'special tokens that are spelled out are text')

    for (const text of [...spelled.slice(0, 50), ...randomTexts(3, 300)]) {
      const [ids] = await referenceIds(reference, [text])
      t.equal(ours.decode(ids!), await reference.decode(ids!, false))
    }
    const random = new Random(4, 0)
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 1 + random.below(8) }, () => random.below(ours.vocabSize))
      t.equal(ours.decode(ids), await reference.decode(ids, false), 'ids that no text has, with broken UTF-8')
    }
  })
}

const stories = sharedPath('data', 'models', 'stories260K')
t.test('stories260K, which the library encodes', { skip: stories === undefined && 'shared/data is absent' }, async (t) => {
  const ours = await loadTokenizer(stories!)
  const reference = Tokenizer.fromFile(join(stories!, 'tokenizer.json'))
  const texts = [...randomTexts(5, Math.ceil(5000 / STRIDE)), ...sharedTexts().slice(0, 500)]
  t.same(await differences(reference, texts, (text) => ours.encode(text)), [])
})

t.test('more different words than the cache holds', async (t) => {
  const ours = await loadTokenizer(tokenizerFolder('qwen2_5'))
  const random = new Random(6, 0)
  const word = () =>
    Array.from({ length: 2 + random.below(PreTokenCache.longest + 4) }, () => random.pick([...'abcdefghijklmnop'])).join('')
  const words = Array.from({ length: 90_000 }, word)
  const first = words.map((text) => ours.encode(text).join())
  t.same(
    words.slice(-70_000).map((text) => ours.encode(text).join()),
    first.slice(-70_000),
  )
  const reference = Tokenizer.fromFile(join(tokenizerFolder('qwen2_5'), 'tokenizer.json'))
  t.same(await differences(reference, words.slice(0, 3000), (text) => ours.encode(text)), [])
})

t.test('added tokens of all kinds', async (t) => {
  const contents = ['<a>', '<ab>', 'ab', 'a', 'b ', 'é', 'e\u0301', '<é>', 'aa', 'aba', '\u0301', '<|x|>', 'x|']
  const other = [' ', '  ', '\n', '\t', 'z', '_', '1', '\u00a0']
  const folder = t.testdir()
  const random = new Random(8, 0)
  for (let round = 0; round < 150; round++) {
    const { tokenizerJson } = byteLevelTokenizer()
    const { vocab } = tokenizerJson.model as { vocab: Record<string, number> }
    const hasNormalizer = random.below(2) === 0
    tokenizerJson.normalizer = hasNormalizer ? { type: 'NFC' } : null
    let next = 256
    const chosen = new Set(Array.from({ length: 1 + random.below(5) }, () => random.pick(contents)))
    tokenizerJson.added_tokens = Array.from(chosen, (content) => {
      const normalized = random.below(2) === 0
      const special = random.below(2) === 0 && !(normalized && hasNormalizer)
      const [single_word, lstrip, rstrip] = [random.below(3) === 0, random.below(3) === 0, random.below(3) === 0]
      return { id: vocab[content] ?? next++, content, single_word, lstrip, rstrip, normalized, special }
    })
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerJson))
    const ours = await loadTokenizer(folder)
    const reference = Tokenizer.fromString(JSON.stringify(tokenizerJson))
    const texts = Array.from({ length: 30 }, () =>
      Array.from({ length: 1 + random.below(9) }, () => random.pick([...contents, ...other])).join(''),
    )
    t.same(await differences(reference, texts, (text) => ours.encode(text)), [], JSON.stringify(tokenizerJson.added_tokens))
    const ids = ours.encode(texts[0]!)
    t.equal(ours.decode(ids), await reference.decode(ids, false))
  }
})
