import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { curate } from '../../../lib/curate/curate.js'
import { loadCurateConfig, parseCurateConfig } from '../../../lib/curate/curate-config.js'
import type { CurateRow } from '../../../lib/curate/curate-row.js'
import { defaultQuality } from '../../../lib/curate/quality-score.js'
import type { StageSummary } from '../../../lib/curate/stage.js'
import { repositoryRoot, sharedPath } from '../../shared-files.js'

const sft = sharedPath('data', 'sft')
const skip = sft === undefined && 'shared/data is absent'
const realRows = (name: string): Record<string, unknown>[] =>
  readFileSync(join(sft!, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

type Kept = CurateRow & { curation: Record<string, Record<string, unknown>> }
type Dropped = CurateRow & { dropped: Record<string, unknown> & { code: string; message: string } }

/** Runs stages on rows, and reads back what the last one kept and dropped. */
async function run(test: Test, rows: unknown[], settings: Record<string, unknown>) {
  const folder = test.testdir()
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const output = join(folder, 'out')
  const summaries: StageSummary[] = []
  for await (const event of curate(parseCurateConfig({ input: join(folder, 'rows.jsonl'), output_dir: output, ...settings }))) {
    if (event.type === 'done') summaries.push(event.summary)
  }
  const names = ['pool', 'difficulty', 'decontamination', 'quality', 'selection']
  const stage = `${names.indexOf(summaries.at(-1)!.stage) + 1}-${summaries.at(-1)!.stage}`
  const lines = <T>(path: string): T[] =>
    readFileSync(join(output, path), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  const dropped = lines<Kept>(`${stage}/dropped.jsonl`).map(
    (row) => ({ ...row, dropped: row.curation.dropped }) as unknown as Dropped,
  )
  return { output, summaries, kept: lines<Kept>(`${stage}/kept.jsonl`), dropped, lines }
}

t.test('pool: real chains with rows of other spellings among them', { skip }, async (t) => {
  const chains = realRows('long-chains.jsonl')
  const [first, second, third] = chains as { question: string; solution: string }[]
  const more = [
    { problem: first!.question.toUpperCase(), generation: first!.solution },
    {
      messages: [
        { role: 'user', content: ` ${second!.question}\n` },
        { role: 'assistant', content: second!.solution },
      ],
    },
    { question: third!.question, solution: 'Another chain. \\boxed{1}' },
    { question: first!.question.replace('Every morning', 'Early every morning'), solution: 'x' },
  ]
  const { kept, dropped, summaries } = await run(t, [...chains, ...more], { stages: ['pool'] })
  t.equal(kept.length, 151, 'another chain for the same question stays')
  t.match(dropped, [
    { dropped: { code: 'duplicate', of: 'rows.jsonl:1' }, curation: { place: 'rows.jsonl:151' } },
    { dropped: { code: 'duplicate', of: 'rows.jsonl:2' }, curation: { place: 'rows.jsonl:152' } },
    { dropped: { code: 'near-duplicate', of: 'rows.jsonl:1', message: /Jaccard similarity 0\.\d+, with the same numbers/ } },
  ])
  t.same(summaries[0]!.facts, { problems: 150 })
  const plain = await run(t, [...chains, ...more], { stages: ['pool'], pool: { near_duplicates: false } })
  t.equal(plain.kept.length, 152)
})

t.test('difficulty: real attempts', { skip }, async (t) => {
  const rows = realRows('attempts.jsonl') as { question: string; attempts: { correct: boolean; model: string }[] }[]
  const [model] = rows[0]!.attempts.map((attempt) => attempt.model)
  const criteria = [
    { model, min: 1, max: 3 },
    { attempts: 4, max: 3 },
  ]
  const { kept, dropped } = await run(t, rows, { stages: ['difficulty'], difficulty: { criteria } })
  const expected = rows.filter(({ attempts }) => {
    const ofModel = attempts.filter((attempt) => attempt.model === model)
    const solved = ofModel.filter(({ correct }) => correct).length
    const solvedEarly = attempts.slice(0, 4).filter(({ correct }) => correct).length
    return ofModel.length > 0 && solved >= 1 && solved <= 3 && attempts.length >= 4 && solvedEarly <= 3
  })
  t.ok(expected.length > 0 && expected.length < rows.length)
  t.same(
    kept.map(({ question }) => question),
    expected.map(({ question }) => question),
  )
  t.equal(kept.length + dropped.length, rows.length)
  t.ok(
    dropped.every(({ dropped: { message } }) =>
      /^(too (hard|easy): solved.* \d+ of \d+ times|expected \d+ recorded)/.test(message),
    ),
  )

  const questions = rows.map(({ question }) => ({ question: question.toUpperCase(), solution: 's' }))
  const apart = { criteria: [{ attempts: 1, min: 1, max: 3 }], attempts_files: join(sft!, 'attempts.jsonl') }
  const joined = await run(t, [...questions, { question: 'Never tried?' }], { stages: ['difficulty'], difficulty: apart })
  const within = await run(t, rows, { stages: ['difficulty'], difficulty: { criteria: apart.criteria } })
  t.equal(joined.kept.length, within.kept.length, 'attempts recorded apart are found by the question')
  t.match(joined.dropped.at(-1), { dropped: { code: 'no attempts' } })
  const kinder = await run(t, [{ question: 'Never tried?' }], { stages: ['difficulty'], difficulty: { missing: 'keep' } })
  t.equal(kinder.kept.length, 1)
})

t.test('decontamination: real questions of evaluation sets', { skip }, async (t) => {
  const against = join(sharedPath('data', 'eval')!, '*.jsonl')
  for (const name of ['attempts.jsonl', 'long-chains.jsonl']) {
    const { kept, dropped } = await run(t, realRows(name), { stages: ['decontamination'], decontamination: { against } })
    t.equal(kept.length, 0, `all of ${name} comes from those sets`)
    for (const { question, dropped: reason } of dropped) {
      if (!question.includes(String(reason.passage)) || !/^(aime|amc|math)\.jsonl:\d+$/.test(String(reason.with)))
        t.fail(question)
    }
  }
  const clean = await run(t, realRows('gsm8k-train.jsonl'), { stages: ['decontamination'], decontamination: { against } })
  t.equal(clean.kept.length, 2000)
  const strict = await run(t, realRows('gsm8k-train.jsonl'), {
    stages: ['decontamination'],
    decontamination: { against, ngram: 8 },
  })
  t.ok(strict.dropped.length > 0 && strict.dropped.length < 100, `${strict.dropped.length} share 8 words`)
  const threshold = { against, ngram: 8, threshold: 5 }
  const lenient = await run(t, realRows('gsm8k-train.jsonl'), { stages: ['decontamination'], decontamination: threshold })
  t.ok(lenient.dropped.length < strict.dropped.length)
  const short = await run(t, [{ question: 'what is THE value of 1 + 1' }, { question: 'A' }], {
    stages: ['decontamination'],
    decontamination: { against: (await run(t, [{ question: 'A?' }], { stages: ['pool'] })).output },
  }).catch((error: unknown) => error)
  t.match(short, { code: 'DATA_NOT_FOUND' }, 'a folder that is no data set')
})

t.test('quality: real chains, scored as a plain count does', { skip }, async (t) => {
  const chains = realRows('long-chains.jsonl') as { question: string; solution: string; answer: string }[]
  const { kept, dropped } = await run(t, chains, { stages: ['quality'] })
  t.equal(kept.length + dropped.length, 150)
  t.ok(dropped.length <= 3, `all chains are correct, and ${dropped.length} spell their answer otherwise`)
  t.ok(dropped.every(({ dropped: { code } }) => code === 'other answer'))
  for (const { solution, curation } of kept.slice(0, 20)) {
    const words = solution!.match(/\p{sc=Han}|[\p{L}\p{N}\p{M}_']+/gu)!.length
    const count = (list: readonly string[]) => {
      // The longest first: "make sure" is one word of the list and holds none of the others.
      const alternatives = list.toSorted((a, b) => b.length - a.length).map((word) => word.replaceAll(' ', '\\s+'))
      return solution!.match(new RegExp(`(?<![\\p{L}\\p{N}])(${alternatives.join('|')})(?![\\p{L}\\p{N}])`, 'giu'))?.length ?? 0
    }
    const { weights, scales, words: lists } = defaultQuality
    const part = (name: 'verification' | 'exploration' | 'connectives') => {
      const english = lists[name].filter((word) => !/\p{sc=Han}/u.test(word))
      return weights[name] * Math.min(1, (1000 * count(english)) / words / scales[name])
    }
    const expected =
      weights.length * Math.min(1, words / scales.length) + part('verification') + part('exploration') + part('connectives')
    t.ok(Math.abs(expected - Number(curation.quality!.score)) < 2e-6)
    t.equal(curation.quality!.length, words)
  }
  const wrong = await run(
    t,
    chains.map((row) => ({ ...row, answer: '-1/7' })),
    { stages: ['quality'] },
  )
  t.equal(wrong.kept.length, 0)
  const unchecked = await run(
    t,
    chains.map((row) => ({ ...row, answer: '-1/7' })),
    { stages: ['quality'], quality: { check_answer: false } },
  )
  t.equal(unchecked.kept.length, 150)
  const gsm8k = await run(t, realRows('gsm8k-train.jsonl'), { stages: ['quality'] })
  t.equal(gsm8k.kept.length, 2000, 'an answer after #### counts')
})

t.test('quality: Chinese chains, attempts as chains, a least score', async (t) => {
  const chinese = '首先，因此我们验证一下，也许可以换一种方法。'.repeat(20)
  const rows = [
    { question: '求值', solution: `${chinese}\\boxed{1}`, answer: '1' },
    {
      question: 'q',
      answer: '2',
      attempts: [
        { correct: true, solution: 'It is \\boxed{2}', model: 'm' },
        { correct: false, solution: '\\boxed{3}' },
        { correct: true },
      ],
    },
    { question: 'r', attempts: [{ correct: false, solution: 'x' }] },
    { question: 's', solution: 'no answer', answer: '1' },
  ]
  const { kept, dropped } = await run(t, rows, { stages: ['quality'] })
  t.match(kept, [
    { curation: { quality: { length: chinese.match(/\p{sc=Han}/gu)!.length + 2 } } },
    { curation: { place: 'rows.jsonl:2 attempt 1' }, model: 'm', solution: 'It is \\boxed{2}' },
  ])
  t.ok((kept[0]!.curation.quality!.verification as number) > 0 && (kept[0]!.curation.quality!.exploration as number) > 0)
  t.notOk('attempts' in kept[1]!)
  t.match(dropped, [{ dropped: { code: 'no chain' } }, { dropped: { code: 'no answer' } }])
  const best = await run(t, rows, { stages: ['quality'], quality: { min_score: 0.3, missing_answer: 'keep' } })
  t.match(best, { kept: { length: 1 }, summaries: [{ reasons: { 'low score': 2, 'no chain': 1 } }] })
})

t.test('selection: the best chain of each problem, of real attempts', { skip }, async (t) => {
  const rows = realRows('attempts.jsonl')
  const settings = { stages: ['pool', 'quality', 'selection'], selection: { count: 5, levels: 10 } }
  const { kept, dropped, lines, summaries } = await run(t, rows, settings)
  const chains = lines<Kept>('4-quality/kept.jsonl')
  const best = new Map<string, number>()
  for (const { question, curation } of chains)
    best.set(question, Math.max(best.get(question) ?? 0, Number(curation.quality!.score)))
  const top = [...best.values()].sort((a, b) => b - a).slice(0, 5)
  t.same(
    kept.map(({ curation }) => Number(curation.quality!.score)).sort((a, b) => b - a),
    top,
  )
  t.equal(new Set(kept.map(({ question }) => question)).size, 5)
  t.equal(kept.length + dropped.length, chains.length)
  const { levels } = summaries.at(-1)!.facts as { levels: { by: string; chains: number; means: number[] } }
  t.match(levels, { by: 'problems', chains: 10 })
  t.same(
    levels.means,
    levels.means.toSorted((a, b) => a - b),
    'from the worst to the best',
  )
  const ofLevel = (level: number) => lines<Kept>(`5-selection/level-${level}.jsonl`).map(({ question }) => question)
  for (const level of [2, 3, 4, 5]) t.same(ofLevel(level), ofLevel(1), 'the same problems in each')
})

t.test('odd rows', async (t) => {
  const same = { question: 'What is 1 + 1?', solution: 'It is \\boxed{2}', answer: 2 }
  const long = { question: 'Say 7.', solution: `${'so then '.repeat(200_000)}\\boxed{7}`, answer: '7' }
  const rows = [
    { ...same, curation: 'mine', dropped: true, source: 5 },
    { ...same, question: '求 1 + 2 的值。', curation: { quality: { score: 1 } }, answer: 2 },
    long,
    ...Array.from({ length: 3000 }, () => same),
    ...Array.from({ length: 500 }, (_, index) => ({ ...same, solution: `Chain ${index}: \\boxed{2}` })),
    ...Array.from({ length: 500 }, (_, index) => ({
      question: `${'word '.repeat(30)}w${'x'.repeat(index % 7)} end`,
      solution: `${index} \\boxed{2}`,
    })),
  ]
  const { kept, summaries } = await run(t, rows, { selection: { spread: ['topics', 'difficulty'], count: 20, levels: 3 } })
  t.match(summaries[0], { reasons: { duplicate: 3000 } })
  t.equal(kept.length, 10, 'one of each question: seven of the last are not alike enough')
  t.match(kept[0], { source: 5, dropped: true, curation: { place: 'rows.jsonl:1' } }, 'columns of its own stay')
})

t.test('columns of other layouts, and those that cannot be read', async (t) => {
  const rows = [
    { instruction: 'Add.', input: '1 and 2', output: '3', source: 'olympiads' },
    { instruction: 'Add.', input: '3 and 4', output: '7' },
    { instruction: 'Add.', input: '', output: '0' },
    { question: 'q', solution: 's', answer: true },
    { question: 'r', solution: 's', answer: ['3', '4'] },
    { question: 't', solution: ['a', 'b'] },
    { question: 'u', solution: 's', answer: 1e24 },
    { question: 'v', answer: `${'x '.repeat(10)}#### 5${' '.repeat(200_000)}` },
    { messages: [{ role: 'assistant', content: 'no question' }] },
    { question: 'w', curation: { difficulty: { solved: 3 }, quality: { score: 'x', length: -5 } } },
    { question: 'y', curation: { difficulty: { solved: [{ solved: 0, attempts: 0 }] } } },
  ]
  const { kept, summaries, output } = await run(t, rows, { stages: ['pool', 'selection'], selection: { spread: ['difficulty'] } })
  t.match(kept, [
    { question: 'Add.\n1 and 2', solution: '3', source: 'olympiads', curation: { place: 'rows.jsonl:1' } },
    { question: 'Add.\n3 and 4' },
    { question: 'Add.' },
    { answer: 'true' },
    { question: 'u', answer: '1e+24' },
    { question: 'v', answer: '5' },
    { question: 'w', curation: { quality: undefined, selection: { group: 'difficulty not known' } } },
    { question: 'y', curation: { selection: { group: 'never tried' } } },
  ])
  t.notOk('input' in kept[0]!)
  t.equal(summaries[0]!.malformed, 3)
  t.match(
    readFileSync(join(output, '1-pool', 'malformed.jsonl'), 'utf8'),
    /expected the answer to be text or a number but received a list of 2/,
  )
  const again = await run(t, kept, { stages: ['selection'] })
  t.match(again.kept[1], { curation: { place: 'rows.jsonl:2', origin: 'rows.jsonl:2' } })
})

t.test('decontamination: short questions, whatever the threshold', async (t) => {
  const folder = t.testdir()
  const questions = ['What is the sum of 2 and 3?', 'How many of the first twenty whole numbers are sums of two squares?']
  writeFileSync(join(folder, 'eval.jsonl'), questions.map((problem) => `${JSON.stringify({ problem })}\n`).join(''))
  const rows = [...questions, `${questions[1]} Explain.`, 'How many whole numbers are there?'].map((question) => ({ question }))
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const decontamination = { against: join(folder, 'eval.jsonl'), threshold: 4 }
  const config = parseCurateConfig({
    input: join(folder, 'rows.jsonl'),
    output_dir: join(folder, 'out'),
    stages: ['decontamination'],
    decontamination,
  })
  for await (const event of curate(config))
    if (event.type === 'done') t.match(event.summary, { kept: 1, reasons: { contaminated: 3 } })
})

t.test('selection: spread over topics and difficulty', async (t) => {
  const topics = { tree: ['tree', 'leaf', 'branch', 'forest'], ship: ['ship', 'harbour', 'sail', 'anchor'] }
  const rows = Object.entries(topics).flatMap(([topic, words], group) =>
    Array.from({ length: 30 }, (_, index) => ({
      question: `${words.map((word, at) => `${word} ${words[(at + index) % 4]}`).join(' ')} ${topic}${index} number ${index}`,
      score: group === 0 ? 0.9 : 0.1 + index / 1000,
      curation: { difficulty: { solved: [{ solved: index % 3, attempts: 3 }] } },
    })),
  )
  const select = (selection: Record<string, unknown>) =>
    run(t, rows, { stages: ['selection'], selection: { count: 12, topics: 2, ...selection } })
  const isTree = ({ question }: CurateRow) => question.includes('tree')
  t.equal((await select({})).kept.filter(isTree).length, 12, 'by score alone')
  t.equal((await select({ spread: ['topics'] })).kept.filter(isTree).length, 6)
  const both = await select({ spread: ['topics', 'difficulty'] })
  t.equal(both.kept.filter(isTree).length, 6)
  const groups = new Map<string, number>()
  for (const { curation } of both.kept)
    groups.set(String(curation.selection!.group), (groups.get(String(curation.selection!.group)) ?? 0) + 1)
  t.same([...groups.values()], [2, 2, 2, 2, 2, 2])
  t.match([...groups.keys()][0], /^topic \d: .*tree.*, solved \d of 3 times$/)
  const levels = await select({ levels: 5 })
  t.match(levels.summaries[0]!.facts.levels, { by: 'pool', chains: 5 })
})

t.test('the config in the docs', async (t) => {
  const docs = readFileSync(join(repositoryRoot, 'docs', 'curation.md'), 'utf8')
  const path = join(t.testdir(), 'curate.yaml')
  writeFileSync(path, /```yaml\n([\s\S]*?)```/.exec(docs)![1]!)
  const config = await loadCurateConfig(path)
  const { input, outputDir, stages, ...rest } = config
  t.same(stages, ['pool', 'difficulty', 'decontamination', 'quality', 'selection'])
  t.match(input, [{ path: 'pool/*.parquet', columns: {} }, { columns: { question: 'task', solution: 'chain', answer: 'right' } }])
  t.equal(outputDir, 'curated')
  // Everything else that it shows is the default, but for what has none.
  const defaults = parseCurateConfig({ input: 'x', output_dir: 'y' })
  t.match(rest, {
    ...{ seed: defaults.seed, strict: defaults.strict, pool: defaults.pool, quality: defaults.quality },
    difficulty: { missing: defaults.difficulty.missing },
    decontamination: { ...defaults.decontamination, against: ['eval/*.jsonl'] },
    selection: { topics: defaults.selection.topics, levels: defaults.selection.levels },
  })
})
