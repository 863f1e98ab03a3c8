import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { generateChains } from '../../lib/quickstart/chains.js'
import { sharedPath } from '../shared-files.js'
import { writeTinyInputs } from '../tiny-inputs.js'
import { runCli, spawnCli } from './run-cli.js'

const evaluations = sharedPath('data', 'eval')

async function inputs(folder: string, problems = 12) {
  const { modelFolder } = await writeTinyInputs(folder)
  const data = join(folder, 'sums.jsonl')
  const rows = generateChains({ count: problems, seed: 3 }).map(({ question, answer }) =>
    JSON.stringify({ problem: question, answer: Number(answer) }),
  )
  writeFileSync(data, `${rows.join('\n')}\n`)
  return { modelFolder, data }
}

const rowsOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

t.test('LIMO’s protocol, its files, and the same again', async (t) => {
  const folder = t.testdir()
  const { modelFolder, data } = await inputs(folder)
  const output = join(folder, 'out')
  const args = ['eval', '--model', modelFolder, '--data', data, '--max-new-tokens', '12', '--output', output]
  const { code, stdout, stderr } = await runCli(args)
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /^benchmark +problems +answers +accuracy/)
  t.match(stdout, /sums +12 +48 +0\.0%/, 'four answers to each problem of a set of fewer than 50')
  t.same(readdirSync(output).sort(), ['evaluation.json', 'report.html', 'results.jsonl', 'summary.json'])
  const rows = rowsOf(join(output, 'results.jsonl'))
  t.equal(rows.length, 48)
  t.match(rows[5], {
    benchmark: 'sums',
    index: 1,
    sample: 1,
    question: String,
    answer: String,
    completion: String,
    correct: false,
  })
  t.same(
    rows.map(({ index, sample }) => 4 * index + sample),
    rows.map((_, row) => row),
    'in the order of the problems',
  )
  t.match(JSON.parse(readFileSync(join(output, 'evaluation.json'), 'utf8')).benchmarks[0], {
    system: /reason step by step/,
    sampling: { temperature: 0.6, maxNewTokens: 12 },
    samples: 4,
  })
  const page = readFileSync(join(output, 'report.html'), 'utf8')
  const { started } = JSON.parse(readFileSync(join(output, 'evaluation.json'), 'utf8'))
  t.ok(Math.abs(Date.parse(started) - Date.now()) < 10 * 60_000, started)
  t.ok(page.includes(`${started.slice(0, 10)} ${started.slice(11, 19)} UTC`), 'when it was begun')
  t.ok(page.includes(`<td>${modelFolder}, in f32, prompt and answer of at most`), 'the model')
  t.match(page, /<td>sums<\/td><td class="number">4<\/td><td class="number">0\.6<\/td>/, 'the settings')
  t.match(page, /System prompt: <q>Please reason step by step/)
  t.match(page, /<h2>sums<\/h2>/)
  const problem = rows[4].question.slice(0, 20)
  t.equal(page.split(`2: ${problem}`).length, 2, 'a problem is one line, whatever the number of answers')
  t.match(
    page,
    /<summary><span class="marks" aria-label="0 of 4 right">(<span class="(quiet|wrong)"[^>]*>[…○✗]<\/span>){4}<\/span>/,
  )
  t.notMatch(page, /<script|https?:/, 'nothing from elsewhere')

  const before = readFileSync(join(output, 'results.jsonl'))
  t.equal((await runCli(args)).code, 0)
  t.same(readFileSync(join(output, 'results.jsonl')), before)
  const other = await runCli([...args, '--seed', '1'])
  t.match(other, { code: 1, stderr: /holds another one/ })
  const json = await runCli([...args, '--json'])
  t.match(JSON.parse(json.stdout), [
    { benchmark: 'sums', problems: 12, samples: 4, passAtK: { 1: 0, 2: 0, 4: 0 }, cutOff: Number },
  ])
})

t.test('two evaluations compared', async (t) => {
  const folder = t.testdir()
  const { modelFolder, data } = await inputs(folder, 6)
  const at = (name: string) => join(folder, name)
  const run = (output: string, ...more: string[]) => [
    ...['eval', '--model', modelFolder, '--data', data, '--max-new-tokens', '4', '--output', at(output), ...more],
  ]
  for (const [output, ...more] of [['a'], ['b', '--temperature', '1']] as const)
    t.equal((await runCli(run(output, ...more))).code, 0)
  // Three of the problems are solved in b, one of them only sometimes.
  const results = rowsOf(join(at('b'), 'results.jsonl'))
  const changed = results.map((row) => ({ ...row, correct: row.index < 2 || (row.index === 4 && row.sample === 0) }))
  writeFileSync(join(at('b'), 'results.jsonl'), changed.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const { code, stdout, stderr } = await runCli(['eval', '--compare', at('a'), at('b')])
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const lines = stdout.split('\n')
  t.match(lines[0], /^a {2}.*\/a: .*model, 20\d\d-\d\d-\d\d \d\d:\d\d UTC$/)
  t.match(lines[2], /^note {2}sums: temperature 0\.6 in .*a, 1 in .*b$/)
  t.match(stdout, /\nbenchmark +problems +a +± error +b +± error +b − a +± error +gained +lost\n/)
  t.match(stdout, /\nsums +6 +0\.0% +0\.0 +37\.5% +20\.2 +\+37\.5 +20\.2 +3 +0\n/)
  t.match(
    stdout,
    /\ngained in sums: 3\n {2}1 {2}0 of 4 → 4 of 4 {2}.*\n {2}2 {2}0 of 4 → 4 of 4 {2}.*\n {2}5 {2}0 of 4 → 1 of 4 {2}.*\n$/,
  )
  const back = await runCli(['eval', '--compare', at('b'), at('a'), '--json'])
  t.match(JSON.parse(back.stdout), { benchmarks: [{ difference: -0.375, gained: [], lost: { length: 3 } }] })
})

t.test('killed at any time and started again it gives the same bytes', async (t) => {
  const folder = t.testdir()
  const { modelFolder, data } = await inputs(folder, 30)
  const run = (output: string, ...more: string[]) => [
    ...['eval', '--model', modelFolder, '--data', data, '--max-new-tokens', '300', '--threads', '1'],
    ...['--batch-size', '3', '--output', join(folder, output), ...more],
  ]
  t.equal((await runCli(run('whole'))).code, 0)
  for (const answers of [1, 3, 5]) {
    const killed = await spawnCli(run('killed'), { env: { LIMO_FAIL_AT: `result:${answers}` } })
    t.equal(killed.signal, 'SIGKILL', `killed after ${answers} answers more`)
  }
  // As a kill in the middle of a write leaves it.
  const pending = join(folder, 'killed', 'results.part.jsonl')
  const torn = readFileSync(pending)
  writeFileSync(pending, torn.subarray(0, torn.length - 7))
  t.equal((await runCli(run('killed', '--batch-size', '8'))).code, 0)
  const textOf = (output: string, name: string) => readFileSync(join(folder, output, name), 'utf8')
  for (const name of ['results.jsonl', 'summary.json']) t.equal(textOf('killed', name), textOf('whole', name), name)
  const pages = ['killed', 'whole'].map((output) => {
    const { started } = JSON.parse(textOf(output, 'evaluation.json'))
    const begun = started.replace('T', ' ').replace('Z', '')
    t.match(textOf(output, 'report.html'), `<td>${begun} UTC</td>`, 'the time at which it was begun first')
    return textOf(output, 'report.html').replace(begun, '')
  })
  t.equal(pages[0], pages[1], 'report.html')
})

t.test(
  'every spelling of the columns of the benchmarks',
  { skip: evaluations === undefined && 'shared/data is absent' },
  async (t) => {
    const folder = t.testdir()
    const { modelFolder } = await inputs(folder)
    const names = ['aime', 'amc', 'gsm8k', 'math', 'minerva', 'olympiadbench']
    const data = names.map((name) => `${evaluations}/${name}.jsonl`)
    const output = join(folder, 'out')
    const args = ['eval', '--model', modelFolder, '--data', ...data, '--limit', '2', '--samples', '1', '--temperature', '0']
    const { code, stderr, stdout } = await runCli([...args, '--max-new-tokens', '4', '--output', output])
    t.equal(code, 0, stderr)
    t.match(stdout, /aime +2 +2 .*57\.1%/, 'with LIMO’s published number')
    const answers = rowsOf(join(output, 'results.jsonl')).map(({ answer }) => answer)
    t.same(answers, [
      '204',
      '113',
      '27',
      '36',
      '18',
      '3',
      '\\left( 3, \\frac{\\pi}{2} \\right)',
      'p - q',
      '1.6',
      '4.5e33',
      '2',
      '$\\frac{1}{2 n+2}$',
    ])
  },
)

t.test('completions that were made elsewhere', async (t) => {
  const folder = t.testdir()
  const completions = join(folder, 'in.jsonl')
  const rows = [
    { answer: '1/2', completion: 'so \\boxed{0.5}', id: 7, extra: { kept: true } },
    { answer: 3, response: 'it is 3' },
    { answer: '[2,\\infty)', completion: '\\boxed{(2,\\infty)}' },
  ]
  writeFileSync(completions, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const output = join(folder, 'graded.jsonl')
  const { code, stdout } = await runCli(['eval', '--completions', completions, '--output', output])
  t.equal(code, 0)
  t.match(stdout, /^1 of 3 right \(33\.3%\), 1 without an answer/)
  t.same(rowsOf(output), [
    { ...rows[0], extracted: '0.5', correct: true },
    { ...rows[1], extracted: null, correct: false },
    { ...rows[2], extracted: '(2,\\infty)', correct: false },
  ])
})

t.test('completions that are missing are wrong, and rows that cannot be graded are named', async (t) => {
  const folder = t.testdir()
  const at = (name: string) => join(folder, name)
  const rows = [
    '{"answer": "7", "completion": null}',
    '{"answer": "7"}',
    '{"answer": "7", "completion": ""}',
    '{"answer": "7", "completion": NaN}',
    '{"answer": "7", "completion": null, "response": "\\\\boxed{7}"}',
    '{"answer": 12345678901234567890, "completion": "\\\\boxed{12345678901234567890}", "id": 98765432109876543210}',
    '{"answer": 12345678901234567890, "completion": "\\\\boxed{12345678901234567891}"}',
    '{"answer": null, "completion": "\\\\boxed{7}"}',
    '{"answer": "7", "completion": ["a", "b"]}',
    '{"answer": "7", "completion":',
    '[7]',
    '{"answer": {"a": 1}, "completion": "7"}',
  ]
  writeFileSync(at('in.jsonl'), `${rows.join('\n')}\n`)
  const run = (name: string, ...more: string[]) =>
    runCli(['eval', '--completions', at(name), '--output', at('out.jsonl'), ...more])
  const { code, stdout, stderr } = await run('in.jsonl')
  t.equal(code, 1)
  t.match(stdout, /^2 of 7 right \(28\.6%\), 4 without an answer \(4 of them without a completion\), 5 rows not graded\nwritten/)
  const named = stderr.trim().split('\n')
  t.equal(named.length, 5)
  t.match(named[0], /in\.jsonl:8: expected an answer to grade by but received none/)
  t.match(named[1], /in\.jsonl:9: expected completion to be text but received a list of 2/)
  t.match(named[2], /in\.jsonl:10: .*not valid JSON/)
  t.match(named[3], /in\.jsonl:11: expected a JSON object but received a list of 1/)
  t.match(named[4], /in\.jsonl:12: expected the answer to be text or a number/)
  const graded = rowsOf(at('out.jsonl'))
  t.same(
    graded.map(({ correct }) => correct),
    [false, false, false, false, true, true, false],
  )
  t.same(graded[0], { answer: '7', completion: null, extracted: null, correct: false })
  t.match(graded[5], { answer: '12345678901234567890', id: '98765432109876543210' }, 'no digit of a column is lost')
  const json = await run('in.jsonl', '--json')
  t.same(
    { code: json.code, counts: JSON.parse(json.stdout) },
    {
      code: 1,
      counts: { rows: 7, correct: 2, unanswered: 4, missing: 4, invalid: 5 },
    },
  )

  writeFileSync(at('broken-off.json'), `[${rows[4]},\n${rows[5]},\n{"answer": "7", "compl`)
  const broken = await run('broken-off.json')
  t.match(broken, { code: 1, stdout: /^2 of 2 right \(100\.0%\), 0 without an answer, 1 row not graded/, stderr: /not closed/ })
  writeFileSync(at('many.jsonl'), `${rows[4]}\n${'{"completion": "7"}\n'.repeat(30)}`)
  const many = await run('many.jsonl')
  writeFileSync(at('no-answers.jsonl'), '{"completion": "1"}\n{"completion": "2"}\n')
  t.match(await runCli(['eval', '--completions', at('no-answers.jsonl'), '--output', at('none')]), {
    code: 1,
    stdout: '',
    stderr: /none of the 2 rows of .*no-answers\.jsonl can be graded\. The first: no-answers\.jsonl:1: expected an answer/,
  })
  t.notOk(existsSync(at('none')))
  t.match(many.stderr, /:21: [^\n]*\nand 10 rows more that cannot be graded\n$/)
})

t.test('what is wrong is one sentence', async (t) => {
  const folder = t.testdir({
    'none.jsonl': '',
    'no-answer.jsonl': '{"question": "1+1?"}\n',
    'no-completion.jsonl': '{"answer": 1}\n{"answer": 2}\n',
  })
  const { modelFolder, data } = await inputs(folder)
  const model = ['--model', modelFolder]
  const at = (name: string) => join(folder, name)
  const wrong: [string[], number, RegExp][] = [
    [[], 2, /expected --model DIR and --data FILES, or --completions FILE, or --compare A B/],
    [model, 2, /--model DIR and --data FILES/],
    [[...model, '--data', at('nowhere.jsonl')], 1, /does not exist/],
    [[...model, '--data', at('none.jsonl')], 1, /expected problems in .*none\.jsonl/],
    [[...model, '--data', at('no-answer.jsonl')], 1, /no-answer\.jsonl:1: expected an answer to grade by/],
    [[...model, '--data', data, '--preset', 'mine'], 2, /expected limo for preset but received mine/],
    [[...model, '--data', data, '--samples', '0'], 2, /samples but received 0/],
    [[...model, '--data', data, '--limit', '0'], 2, /--limit but received 0/],
    [[...model, '--data', data, '--batch-size', 'x'], 2, /--batch-size but received NaN/],
    [
      ['--completions', at('no-completion.jsonl'), '--output', at('x')],
      1,
      /no-completion\.jsonl:1: expected a completion .* no other row has one/,
    ],
    [['--compare', at('x')], 2, /expected --compare with two folders alone but received 1/],
    [['--compare', at('x'), at('y'), ...model], 2, /two folders alone but received --model/],
    [['--compare', at('x'), at('y')], 1, /expected an evaluation in .*x but there is no such folder/],
    [['--completions', data], 2, /expected --output FILE/],
    [['--completions', data, ...model, '--output', at('x')], 2, /without --model and --data/],
  ]
  for (const [args, code, message] of wrong) {
    const result = await runCli(['eval', ...args])
    t.equal(result.code, code, args.join(' '))
    t.match(result.stderr, message)
    t.same({ stdout: result.stdout, lines: result.stderr.trim().split('\n').length }, { stdout: '', lines: 1 })
  }
  t.notOk(existsSync(at('x')), 'nothing is left of an output that failed')
})
