import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseTrainConfig } from '../../../lib/config/train-config.js'
import { checkData, type DataProblem } from '../../../lib/data/check-data.js'
import { loadExamples } from '../../../lib/data/load-examples.js'
import { sharedPath, tokenizerFolder } from '../../shared-files.js'

const good = { question: 'What is 1 + 1?', solution: 'It is \\boxed{2}.', answer: '2' }
const model = { folder: tokenizerFolder('qwen2_5'), vocabSize: 151936 }

async function check(test: Test, files: Record<string, string | Buffer>, { settings = {}, withModel = true } = {}) {
  const folder = test.testdir()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  const { config } = parseTrainConfig({ dataset: Object.keys(files), dataset_dir: folder, ...settings }, 'test')
  const problems: DataProblem[] = []
  const onProblem = (problem: DataProblem) => problems.push(problem)
  const result = await checkData(config, config.dataset!, { model: withModel ? model : undefined, onProblem })
  const ofRows = problems.filter(({ severity }) => severity !== 'note')
  return { result, problems, brief: ofRows.map(({ code, details }) => [code, details.line ?? details.record ?? 0]) }
}

const lines = (...rows: (object | string)[]) =>
  rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join('')

t.test('every problem, in the order of the rows', async (t) => {
  const file = lines(
    good,
    '{"question": ',
    { ...good, solution: '' },
    [1],
    { input_ids: [1, 2], labels: [1] },
    { input_ids: [1, 2], labels: [-100, -100] },
    { input_ids: [1, 2e5], labels: [-100, 2] },
    { ...good, question: 'a\uFFFDb' },
    { ...good, question: 'b', solution: '<think>\nIt is \\boxed{2}' },
    { ...good, question: 'c', solution: 'It is 2.' },
    good,
    { ...good, question: 'e <|im_end|>' },
    { ...good, question: 'f', answer: '3' },
    { ...good, question: 'd', solution: 'so '.repeat(100) },
  )
  const { brief, result, problems } = await check(t, { 'a.jsonl': file }, { settings: { cutoff_len: 100 } })
  t.same(brief, [
    ['DATA_MALFORMED', 2],
    ['DATA_EMPTY_TURN', 3],
    ['DATA_INVALID_RECORD', 4],
    ['DATA_INVALID_RECORD', 5],
    ['DATA_NOTHING_SCORED', 6],
    ['TOKEN_OUT_OF_RANGE', 7],
    ['REPLACEMENT_CHARACTER', 8],
    ['UNCLOSED_THINK', 9],
    ['NO_ANSWER', 10],
    ['DUPLICATE', 11],
    ['SPELLED_TOKEN', 12],
    ['OTHER_ANSWER', 13],
    ['NO_ANSWER', 14],
    ['DATA_OVER_LENGTH', 14],
  ])
  t.match(result, { files: 1, examples: 8, errors: 7, warnings: 7 })
  const ofRows = problems.filter(({ severity }) => severity !== 'note')
  t.ok(
    ofRows.every(({ message }) => /^a\.jsonl:\d+: expected .* but .*\. \S/.test(message)),
    'what, where, and what to do',
  )
  t.ok(result.tokens!.longest > 100 && result.tokens!.total > result.tokens!.scored)
})

t.test('the policy decides whether a long example is an error', async (t) => {
  const long = { ...good, solution: 'so '.repeat(100) + good.solution }
  for (const [over_length, code] of [
    ['error', 'DATA_OVER_LENGTH'],
    ['drop', 'OVER_LENGTH'],
    ['truncate', 'OVER_LENGTH'],
  ]) {
    const files = { 'a.jsonl': lines(long, good) }
    const { problems } = await check(t, files, { settings: { cutoff_len: 100, over_length } })
    t.match(problems, [{ code, severity: code === 'OVER_LENGTH' ? 'warning' : 'error', details: { line: 1, tokens: Number } }])
    t.equal(problems.length, 1)
  }
})

t.test('what the check passes, training takes; what training refuses, the check says', async (t) => {
  const long = { ...good, solution: 'so '.repeat(100) }
  const longPrompt = { ...good, question: 'so '.repeat(100) }
  const tokens = { input_ids: [5, 6, 7, 8, 9, 10, 11, 12], labels: [-100, -100, -100, -100, -100, -100, 1, 2] }
  const many = Array.from({ length: 4 }, (_, index) => ({ ...good, question: `What is ${index}?` }))
  const cases: [string, object[], Record<string, unknown>, string | undefined][] = [
    ['fine', many, {}, undefined],
    ['the prompt alone is too long', [good, longPrompt], { cutoff_len: 60, over_length: 'truncate' }, 'DATA_NOTHING_SCORED'],
    ['the end is too long', [good, long], { cutoff_len: 60, over_length: 'truncate' }, undefined],
    ['tokens with all labels cut off', [tokens], { cutoff_len: 6, over_length: 'truncate' }, 'DATA_NOTHING_SCORED'],
    ['tokens with some labels left', [tokens], { cutoff_len: 7, over_length: 'truncate' }, undefined],
    ['all are dropped', [long, longPrompt], { cutoff_len: 60, over_length: 'drop' }, 'DATA_EMPTY'],
    ['some are dropped', [good, long], { cutoff_len: 60, over_length: 'drop' }, undefined],
    ['too long', [good, long], { cutoff_len: 60 }, 'DATA_OVER_LENGTH'],
    ['all are held out', many, { val_size: 4 }, 'DATA_EMPTY'],
    ['some are held out', many, { val_size: 3 }, undefined],
    ['a rest that is not read', [good, longPrompt], { cutoff_len: 60, max_samples: 1 }, undefined],
  ]
  for (const [name, rows, settings, code] of cases) {
    const { result, problems } = await check(t, { 'a.jsonl': lines(...rows) }, { settings })
    t.same(
      problems.filter(({ severity }) => severity === 'error').map((problem) => problem.code),
      code === undefined ? [] : [code],
      `data check: ${name}`,
    )
    t.equal(result.errors, code === undefined ? 0 : 1)
    const folder = t.testdir({ 'a.jsonl': lines(...rows) })
    const { config } = parseTrainConfig({ dataset: 'a.jsonl', dataset_dir: folder, tokenized_path: folder, ...settings }, 'test')
    const loading = loadExamples(config, 'a.jsonl', { modelFolder: model.folder, vocabSize: model.vocabSize })
    if (code === undefined) await t.resolves(loading, `train: ${name}`)
    else await t.rejects(loading, { code }, `train: ${name}`)
  }
})

t.test('notes of whole files', async (t) => {
  const extra = { ...good, id: 7, tags: ['x'], source: '' }
  const other = { ...extra, question: 'another' }
  const files = {
    'a.jsonl': lines(extra, other),
    'b.jsonl': lines({ ...extra, question: 'b' }),
    'c.jsonl': lines({ ...good, question: 'c' }),
  }
  const { problems, result } = await check(t, files)
  t.match(problems, [{ severity: 'note', code: 'UNREAD_COLUMNS', details: { file: /a\.jsonl$/ } }])
  t.equal(problems[0]!.message, 'a.jsonl and 1 more file: columns that are not read: id, tags.')
  t.match(result, { errors: 0, warnings: 0 }, 'a note is neither an error nor a warning')

  const folder = t.testdir({ 'a.jsonl': lines(good, { ...good, question: 'b' }) })
  const qwen3 = { folder: tokenizerFolder('qwen3'), vocabSize: 151936 }
  for (const [enable_thinking, count] of [
    [undefined, 1],
    [false, 0],
  ] as const) {
    const { config } = parseTrainConfig(
      { dataset: 'a.jsonl', dataset_dir: folder, tokenized_path: folder, enable_thinking },
      'test',
    )
    const notes: DataProblem[] = []
    await checkData(config, 'a.jsonl', { model: qwen3, onProblem: (problem) => notes.push(problem) })
    t.equal(notes.length, count)
    if (count === 1)
      t.match(notes[0], {
        code: 'TEMPLATE_ADDS',
        message: /a\.jsonl: .*"<think>\\n\\n<\/think>\\n\\n" before.*enable_thinking: false/,
      })
    const load = () => loadExamples(config, 'a.jsonl', { modelFolder: qwen3.folder, vocabSize: qwen3.vocabSize })
    const [first, cached] = [await load(), await load()]
    t.same(
      first.notes,
      notes.map(({ message }) => message),
      'as training says it',
    )
    t.same(cached.notes, first.notes, 'from the cache too')
  }
})

t.test('rows that say themselves that they are not to be learnt are left out, and counted', async (t) => {
  const turns = (weight: number) => ({
    messages: [
      { role: 'user', content: `${weight} + 1?` },
      { role: 'assistant', content: '\\boxed{2}', weight },
    ],
  })
  const bad = [turns(0), { ...good, weight: 0 }, { input_ids: [1, 2], labels: [1, 2], train: false }]
  for (const [name, rows, settings, left] of [
    ['some', [bad[0], good, ...bad.slice(1)], {}, 3],
    ['before max_samples', [...bad, good, { ...good, question: 'c' }], { max_samples: 1 }, 3],
    ['all text is learnt: turns alone', [...bad, good], { train_on_prompt: true }, 2],
    ['all', bad, {}, 3],
  ] as const) {
    const folder = t.testdir({ 'a.jsonl': lines(...rows.map((row) => row as object)) })
    const { config } = parseTrainConfig({ dataset: 'a.jsonl', dataset_dir: folder, tokenized_path: folder, ...settings }, 'test')
    const problems: DataProblem[] = []
    const { examples } = await checkData(config, 'a.jsonl', { model, onProblem: (problem) => problems.push(problem) })
    const loading = loadExamples(config, 'a.jsonl', { modelFolder: model.folder, vocabSize: model.vocabSize })
    const note = `a.jsonl: ${left} rows are left out`
    t.match(problems.find(({ code }) => code === 'NOT_LEARNT')?.message, note, name)
    const error = problems.find(({ severity }) => severity === 'error')
    if (name === 'all') {
      t.match(error, { code: 'DATA_EMPTY', message: /nothing of its rows \(3\) is to be learnt/ })
      await t.rejects(loading, { code: 'DATA_EMPTY', message: error!.message })
      continue
    }
    t.equal(error, undefined)
    const { train, notes } = await loading
    t.equal(train.count, examples, name)
    t.match(notes, [note], 'training says it too')
  }
})

t.test('responses without the box that their system turn asks for are counted', async (t) => {
  const row = (solution: string, more = {}) => ({ question: solution, solution, ...more })
  const rows = [
    row('#### 1'),
    row('#### 2'),
    row('\\boxed{3}'),
    row('5', { system: 'Be brief.' }),
    row('6', { thinking: '\\boxed{6}' }),
  ]
  const noteOf = async (settings: Record<string, unknown>, withModel = false) => {
    const { problems } = await check(t, { 'a.jsonl': lines(...rows) }, { settings, withModel })
    return problems.filter(({ code }) => code === 'NO_BOX').map(({ message }) => message)
  }
  t.match(await noteOf({}), [/^a\.jsonl: 2 of 4 responses have no \\boxed\{\}, which their system turn asks for/])
  t.equal((await noteOf({})).length, 1)
  t.same(await noteOf({ default_system: 'Think.' }), [])
})

t.test('rows with keys of their own each do not fill the memory, or the screen', async (t) => {
  const rows = Array.from({ length: 300 }, (_, index) => ({ ...good, question: `${index}`, [`key${index}`]: 1 }))
  const { problems } = await check(t, { 'a.jsonl': lines(...rows) }, { withModel: false })
  t.equal(problems.length, 1)
  t.match(problems[0]!.message, /not read: key0, .*key11, and many more\.$/)
})

t.test('a broken file does not hide those after it, nor an empty one', async (t) => {
  const files = {
    'cut.json': `[${JSON.stringify(good)}, {"question"`,
    'empty.jsonl': '',
    'b.csv': 'question,solution\n1,2,3\nq,s\n',
    'c.jsonl': lines(good),
  }
  const { brief, result } = await check(t, files)
  t.same(brief, [
    ['DATA_MALFORMED', 1],
    ['DATA_EMPTY', 0],
    ['DATA_MALFORMED', 2],
    ['DUPLICATE', 1],
  ])
  t.match(result, { files: 4, examples: 3, errors: 3, warnings: 1 })
})

t.test('what training would read: max_samples, and eval_dataset', async (t) => {
  const bad = { ...good, solution: '' }
  const files = { 'a.jsonl': lines(good, bad, { ...good, question: 'b' }, bad) }
  const first = await check(t, files, { settings: { max_samples: 3 } })
  t.same([first.brief, first.result.examples], [[['DATA_EMPTY_TURN', 2]], 2])
  const both = { 'a.jsonl': lines(good), 'eval.jsonl': lines(bad) }
  const held = await check(t, both, { settings: { dataset: 'a.jsonl', eval_dataset: 'eval.jsonl' } })
  t.match(held.problems, [{ code: 'DATA_EMPTY_TURN', message: /^eval\.jsonl:1/ }])
})

t.test('without a model, rows are only parsed', async (t) => {
  const { brief, result } = await check(t, { 'a.jsonl': lines(good, { ...good, solution: '' }) }, { withModel: false })
  t.same(brief, [['DATA_EMPTY_TURN', 2]])
  t.same(result, { files: 1, examples: 1, errors: 1, warnings: 0 })
})

t.test('what concerns all rows is thrown', async (t) => {
  await t.rejects(check(t, { 'a.jsonl': lines(good) }, { settings: { template: 'none' } }), { code: 'TEMPLATE_NOT_FOUND' })
  const { config } = parseTrainConfig({ dataset: 'absent.jsonl' }, 'test')
  await t.rejects(checkData(config, 'absent.jsonl', { onProblem: () => {} }), { code: 'DATA_NOT_FOUND' })
})

const sft = sharedPath('data', 'sft')
t.test('real files have no errors', { skip: sft === undefined && 'shared/data is absent' }, async (t) => {
  for (const [name, examples] of [
    ['long-chains.jsonl', 150],
    ['gsm8k-train.jsonl', 2000],
  ] as const) {
    const { config } = parseTrainConfig({ dataset: join(sft!, name) }, 'test')
    const problems: DataProblem[] = []
    const result = await checkData(config, config.dataset!, { model, onProblem: (problem) => problems.push(problem) })
    t.match(result, { files: 1, examples, errors: 0, warnings: 0 }, name)
    t.same(
      problems.filter(({ severity }) => severity !== 'note'),
      [],
    )
  }
})
