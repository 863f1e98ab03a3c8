import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readExamples } from '../../../lib/data/example-cache.js'
import type { TokenizeWork } from '../../../lib/data/tokenize-batch.js'
import { openTokenized } from '../../../lib/data/tokenized-file.js'
import { sharedPath, tokenizerFolder } from '../../shared-files.js'

const rows = Array.from({ length: 30 }, (_, index) => ({ question: `What is ${index} + 1?`, solution: `\\boxed{${index + 1}}` }))
const work: TokenizeWork = { modelFolder: tokenizerFolder('qwen2_5'), defaultSystem: '', vocabSize: 151936 }

function setUp(test: Test) {
  const folder = test.testdir({ cache: {}, 'a.jsonl': rows.map((row) => `${JSON.stringify(row)}\n`).join('') })
  const [file, cache] = [join(folder, 'a.jsonl'), join(folder, 'cache')]
  /** Whether the examples came from the cache. */
  const isHit = async (changes: Partial<TokenizeWork> = {}, path = file, maxSamples?: number) => {
    let made = false
    const onProgress = () => {
      made = true
    }
    const options = { folder: cache, workers: 0, ...(maxSamples && { maxSamples }), onProgress }
    await readExamples(path, { ...work, ...changes }, options)
    return !made
  }
  return { folder, file, cache, isHit }
}

t.test('the same content under any name is read from the cache; whatever changes an id is not', async (t) => {
  const { folder, file, cache, isHit } = setUp(t)
  t.notOk(await isHit(), 'first')
  t.ok(await isHit(), 'again')
  const copy = join(folder, 'copy.jsonl')
  copyFileSync(file, copy)
  t.ok(await isHit({}, copy), 'a copy')
  const [examples, named] = await Promise.all([file, copy].map((path) => readExamples(path, work, { folder: cache, workers: 0 })))
  t.equal(examples!.infoOf(2).place, 'a.jsonl:3')
  t.equal(named!.infoOf(2).place, 'copy.jsonl:3', 'places name the file at hand')

  t.notOk(await isHit({ defaultSystem: 'Be brief.' }))
  t.notOk(await isHit({ template: 'qwen' }))
  t.notOk(await isHit({ maskHistory: true }))
  t.notOk(await isHit({ trainOnPrompt: true }))
  t.notOk(await isHit({ enableThinking: false }))
  t.notOk(await isHit({ vocabSize: 152064 }), 'ids are checked against the vocabulary')
  t.notOk(
    await isHit({
      columns: {
        formatting: 'alpaca',
        columns: { prompt: 'question', response: 'solution' },
        tags: { role: '', content: '', roles: {}, call: '' },
      },
    }),
  )
  t.notOk(await isHit({}, file, 10), 'fewer rows')
  const model = join(folder, 'model')
  cpSync(work.modelFolder!, model, { recursive: true })
  t.ok(await isHit({ modelFolder: model }), 'another folder with the same tokenizer')
  appendFileSync(join(model, 'tokenizer_config.json'), '\n')
  t.notOk(await isHit({ modelFolder: model }), 'a tokenizer file has changed')

  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('What is 7', 'What is 8'))
  t.notOk(await isHit(), 'a changed file')
  writeFileSync(file, text)
  t.ok(await isHit(), 'changed back')
})

t.test('what is on disk gives back what was made', async (t) => {
  const { cache, file, isHit } = setUp(t)
  const tokens = { input_ids: [5, 6, 7, 8, 9], labels: [-100, 6, -100, 8, 9] }
  const other = { input_ids: [5, 6, 7], labels: [5, 1, 7] }
  appendFileSync(file, `${JSON.stringify(tokens)}\n${JSON.stringify(other)}\n`)
  await isHit()
  const examples = await readExamples(file, work, { folder: cache, workers: 0 })
  t.equal(examples.count, 32)
  t.match(examples.read(30), { place: 'a.jsonl:31', scoredTokens: 3 })
  t.same(Array.from(examples.read(30).inputIds), tokens.input_ids)
  t.same(Array.from(examples.read(30).labels), tokens.labels)
  t.same(Array.from(examples.read(31).labels), [-100, 1, 7], 'labels that are not the ids')
  t.same(
    [examples.infoOf(31).length, examples.infoOf(31).scoredTokens, examples.infoOf(31).answerEnd, examples.infoOf(31).record],
    [3, 2, 0, 31],
  )
  t.ok(examples.infoOf(0).answerEnd > 0)

  // A large set is not read into memory: every example comes from disk when it is asked for.
  const onDisk = await openTokenized(join(cache, readdirSync(cache)[0]!), file, { memoryBytes: 0 })
  for (let index = 0; index < examples.count; index++) {
    t.same(onDisk!.read(index), examples.read(index))
    t.same(onDisk!.infoOf(index).place, examples.infoOf(index).place)
  }
})

t.test('a damaged entry is made again, and nothing half-written is taken', async (t) => {
  const { cache, isHit } = setUp(t)
  await isHit()
  const [entry] = readdirSync(cache)
  const damages: [string, (file: string) => void][] = [
    ['tokens.bin', (file) => truncateSync(file, 100)],
    ['index.bin', (file) => appendFileSync(file, 'x')],
    ['manifest.json', (file) => writeFileSync(file, '{')],
  ]
  for (const [name, damage] of damages) {
    damage(join(cache, entry!, name))
    t.notOk(await isHit(), name)
    t.ok(await isHit(), `${name}: then it is there`)
  }
  t.same(readdirSync(cache), [entry], 'nothing else is left')
})

t.test('what no run has used for a month goes, and so does what a killed process left', async (t) => {
  const { cache, isHit } = setUp(t)
  await isHit()
  const [entry] = readdirSync(cache)
  const old = new Date(Date.now() - 40 * 86_400_000)
  mkdirSync(join(cache, 'temporary-old'))
  mkdirSync(join(cache, 'temporary-new'))
  mkdirSync(join(cache, 'mine'))
  utimesSync(join(cache, 'temporary-old'), old, old)
  utimesSync(join(cache, 'mine'), old, old)
  await isHit({ defaultSystem: 'x' })
  t.ok(readdirSync(cache).includes(entry!))
  t.same(
    readdirSync(cache)
      .filter((name) => !/^[0-9a-f]{64}$/.test(name))
      .sort(),
    ['mine', 'temporary-new'],
  )
  utimesSync(join(cache, entry!, 'manifest.json'), old, old)
  await isHit({ defaultSystem: 'y' })
  t.notOk(readdirSync(cache).includes(entry!))
})

t.test('the first row that is wrong is thrown, and nothing is kept of the file', async (t) => {
  const { cache, file } = setUp(t)
  appendFileSync(file, '{"question": "a", "solution": ""}\nnot JSON\n')
  const read = (options: object = {}) => readExamples(file, work, { folder: cache, workers: 0, ...options })
  await t.rejects(read(), { name: 'DataError', code: 'DATA_EMPTY_TURN', details: { file, line: 31 } })
  t.same(readdirSync(cache), [])
  t.equal((await read({ maxSamples: 30 })).count, 30, 'rows after max_samples are not looked at')
  await t.rejects(read({ maxSamples: 31 }), { code: 'DATA_EMPTY_TURN' })
})

t.test('a folder that cannot be written', async (t) => {
  const { file } = setUp(t)
  const read = readExamples(file, work, { folder: join(file, 'cache'), workers: 0 })
  await t.rejects(read, { code: 'WRITE_FAILED', message: /cannot write tokenized examples into .*tokenized_path/ })
  const isFile = readExamples(file, work, { folder: file, workers: 0 })
  await t.rejects(isFile, { code: 'WRITE_FAILED', message: /cannot write tokenized examples into .*tokenized_path/ })
})

const sft = sharedPath('data', 'sft')
t.test(
  'worker threads give the same examples in the same order',
  { skip: sft === undefined && 'shared/data is absent' },
  async (t) => {
    const folder = t.testdir({ threads: {}, none: {} })
    // Large enough for two threads, in lines and in an array.
    const chains = readFileSync(join(sft!, 'long-chains.jsonl'), 'utf8').trim().split('\n')
    const file = join(folder, 'chains.json')
    const all = Array.from({ length: 13 }, (_, copy) =>
      chains.map((line) => JSON.stringify({ ...JSON.parse(line), copy })),
    ).flat()
    writeFileSync(file, `[${all.join(',\n')}]`)
    const read = (workers: number, cache: string) => readExamples(file, work, { folder: join(folder, cache), workers })
    const [threaded, alone] = [await read(2, 'threads'), await read(0, 'none')]
    t.equal(threaded.count, 1950)
    t.equal(threaded.manifest.digest, alone.manifest.digest)
    t.same(threaded.read(1949), alone.read(1949))
    t.equal(threaded.infoOf(1949).place, 'chains.json record 1950')

    writeFileSync(file, `[${all.join(',\n').replace('"copy":2', '"copy":2,"solution":""')}]`)
    const failure = { code: 'DATA_EMPTY_TURN', details: { file, record: 301 } }
    await t.rejects(read(2, 'threads'), failure, 'an error comes from a thread as from here')
    const aborted = readExamples(file, work, { folder: join(folder, 'none'), workers: 2, signal: AbortSignal.abort() })
    await t.rejects(aborted, { name: 'AbortError' })
  },
)
