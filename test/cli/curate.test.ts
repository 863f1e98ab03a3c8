import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { Random } from '../../lib/random/random.js'
import { allTests, whySlowTestsAreSkipped } from '../command-line.js'
import { writePlantedPool } from '../lib/curate/planted-pool.js'
import { asOptions, runCli, spawnCli, startCli } from './run-cli.js'

/** The digest of every file in a folder, by its path. */
function digests(folder: string): Record<string, string> {
  const files = (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort()
  return Object.fromEntries(
    files.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  )
}

const settingsFor = (folder: string, output: string) =>
  asOptions({
    ...{ input: join(folder, 'pool.jsonl'), against: join(folder, 'evaluation.jsonl'), output_dir: join(folder, output) },
    ...{ count: 100, spread: 'topics', levels: 20 },
  })

t.test('the same rows and settings give the same bytes, and finished stages are used again', async (t) => {
  const folder = t.testdir()
  writePlantedPool(folder, 3000, 5)
  const run = (output: string, more: string[] = []) => runCli(['curate', ...settingsFor(folder, output), ...more])
  const { code, stdout, stderr } = await run('first')
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(
    stdout,
    /^pool +2,9\d\d → +2,[78]\d\d {2}.*duplicate.*malformed\ndecontamination .*contaminated\nquality .*wrong answer\nselection .* 100 {2}/,
  )
  t.match(stdout, /score +kept .*\n +dropped .*\nlength +kept /)
  t.match(stdout, /rows could not be read: .*1-pool\/malformed\.jsonl/)
  t.match(stdout, /chosen +100 rows in .*first\/curated\.jsonl: limo-native train --dataset/)
  const expected = digests(join(folder, 'first'))
  t.ok(Object.keys(expected).includes('5-selection/level-5.jsonl'))
  t.notOk(
    Object.keys(expected).some((name) => /tmp|digest/.test(name)),
    'nothing temporary',
  )

  mkdirSync(join(folder, 'elsewhere'))
  const relative = asOptions({
    input: '../pool.jsonl',
    against: '../evaluation.jsonl',
    output_dir: '../second',
    count: 100,
    spread: 'topics',
    levels: 20,
  })
  t.equal((await runCli(['curate', ...relative], { cwd: join(folder, 'elsewhere') })).code, 0)
  t.same(digests(join(folder, 'second')), expected, 'in another folder, from another')
  t.equal((await run('first')).stdout.match(/\(done before\)/g)?.length, 4)
  t.same(digests(join(folder, 'first')), expected)
  rmSync(join(folder, 'first', '3-decontamination'), { recursive: true })
  t.equal((await run('first')).stdout.match(/\(done before\)/g)?.length, 3)
  t.same(digests(join(folder, 'first')), expected, 'one stage was made again')

  const kept = join(folder, 'first', '5-selection', 'kept.jsonl')
  writeFileSync(kept, readFileSync(kept, 'utf8').split('\n').slice(0, 3).join('\n'))
  t.equal((await run('first')).stdout.match(/\(done before\)/g)?.length, 3)
  t.same(digests(join(folder, 'first')), expected, 'a stage whose files were changed is made again')

  const changed = await run('first', ['--count', '50'])
  t.equal(changed.stdout.match(/\(done before\)/g)?.length, 3, 'only the selection has another setting')
  t.equal((await run('first', ['--seed', '7'])).stdout.match(/\(done before\)/g), null)
  const fewer = await run('first', ['--stages', 'pool,quality'])
  t.equal(fewer.code, 0)
  t.ok(existsSync(join(folder, 'first', '3-decontamination')), 'stages that are not of this run stay')

  const again = await runCli([
    'curate',
    '--input',
    join(folder, 'second', 'curated.jsonl'),
    '--output_dir',
    join(folder, 'third'),
  ])
  t.match(again, { code: 0, stdout: /^pool +100 → +100 {2}\nquality +100 → +100 {2}\nselection +100 → +100 / })
})

t.test('killed between two states of what is on disk and started again, it gives the same bytes', async (t) => {
  const folder = t.testdir()
  writePlantedPool(folder, 1000, 6)
  t.equal((await runCli(['curate', ...settingsFor(folder, 'whole')])).code, 0)
  const expected = digests(join(folder, 'whole'))
  // Of the first stage, a later one, and of what comes after all of them.
  for (const moment of ['rename:1', 'removed:1', 'removed:3', 'file:1', 'file:2']) {
    const killed = await spawnCli(['curate', ...settingsFor(folder, 'killed')], { env: { LIMO_FAIL_AT: moment } })
    t.equal(killed.signal, 'SIGKILL', moment)
    t.equal((await runCli(['curate', ...settingsFor(folder, 'killed')])).code, 0)
    t.same(digests(join(folder, 'killed')), expected, `killed at ${moment}`)
    rmSync(join(folder, 'killed'), { recursive: true })
  }
})

const skip = !allTests && whySlowTestsAreSkipped
t.test('killed at any moment and started again, it gives the same bytes', { skip, timeout: 600_000 }, async (t) => {
  const folder = t.testdir()
  writePlantedPool(folder, 3000, 6)
  const startedAt = performance.now()
  t.equal((await spawnCli(['curate', ...settingsFor(folder, 'whole')])).code, 0)
  const wholeMs = performance.now() - startedAt
  const expected = digests(join(folder, 'whole'))
  const random = new Random(9)
  let killed = 0
  for (let moment = 0; moment < 12; moment++) {
    // From the first moments of the process to the last ones.
    const output = `killed-${moment % 4}`
    const running = startCli(['curate', ...settingsFor(folder, output)])
    await setTimeout(wholeMs * ((moment + random.below(1000) / 1000) / 12))
    running.kill('SIGKILL')
    if ((await running.result).signal === 'SIGKILL') killed += 1
  }
  t.ok(killed >= 6, `${killed} runs were killed`)
  for (let run = 0; run < 4; run++) {
    t.equal((await runCli(['curate', ...settingsFor(folder, `killed-${run}`)])).code, 0)
    t.same(digests(join(folder, `killed-${run}`)), expected)
  }
})

t.test('two runs do not work in one folder', async (t) => {
  const folder = t.testdir()
  writePlantedPool(folder, 8000, 8)
  const first = startCli(['curate', ...settingsFor(folder, 'out')])
  await first.waitFor(/pool/)
  const second = await runCli(['curate', ...settingsFor(folder, 'out')])
  t.match(second, { code: 1, stderr: /expected to work in .*out alone but process \d+ on \S+ does.*OUTPUT_EXISTS/ })
  t.equal((await first.result).code, 0)
  t.notOk(readdirSync(join(folder, 'out')).some((name) => name.includes('lock')))
})

t.test('Ctrl-C ends it cleanly', async (t) => {
  const folder = t.testdir()
  writePlantedPool(folder, 20_000, 7)
  const running = startCli(['curate', ...settingsFor(folder, 'out')])
  await running.waitFor(/pool/)
  running.kill('SIGINT')
  const { code, stdout } = await running.result
  t.equal(code, 130)
  t.match(stdout, /Stages that are done stay/)
})

t.test('a config file, sources with columns of their own, other formats', async (t) => {
  const folder = t.testdir()
  const row = (question: string) => ({ question, solution: 'It is \\boxed{1}', answer: '1' })
  writeFileSync(join(folder, 'a.jsonl.gz'), gzipSync(`${JSON.stringify(row('first question'))}\r\n`))
  writeFileSync(join(folder, 'b.csv'), 'task,chain,right\n"second, question",It is \\boxed{1},1\nthird,none\n')
  const yaml = `
input:
  - a.jsonl.gz
  - path: b.csv
    columns: {question: task, solution: chain, answer: right}
output_dir: out
quality:
  min_score: 0
  words: {verification: [check]}
selection:
  count: 10
`
  writeFileSync(join(folder, 'curate.yaml'), yaml)
  const { code, stdout, stderr } = await runCli(['curate', 'curate.yaml'], { cwd: folder })
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const curated = readFileSync(join(folder, 'out', 'curated.jsonl'), 'utf8')
    .trim()
    .split('\n')
  t.match(
    curated.map((line) => JSON.parse(line)),
    [
      { question: 'first question', curation: { place: 'a.jsonl.gz:1' } },
      { question: 'second, question', answer: '1', curation: { place: 'b.csv:2' } },
    ],
  )
  t.match(stdout, /1 rows? could not be read/)
  const malformed = readFileSync(join(folder, 'out', '1-pool', 'malformed.jsonl'), 'utf8')
  t.match(JSON.parse(malformed), { code: 'DATA_MALFORMED', message: /^b\.csv:3: /, details: { file: 'b.csv', line: 3 } })
  const strict = await runCli(['curate', 'curate.yaml', '--strict', '--output_dir', 'strict'], { cwd: folder })
  t.match(strict, { code: 1, stderr: /b\.csv:3: .*\[DATA_MALFORMED\]/ })

  const page = readFileSync(join(folder, 'out', 'report.html'), 'utf8')
  t.notMatch(page, /<script|https?:|src=|href=/)
  t.match(page, /<svg[^>]*aria-label="score"/)
})

t.test('texts are escaped in the report, and an empty result says so', async (t) => {
  const folder = t.testdir()
  const row = { question: '<script>alert(1)</script> & "more"', solution: '<b>\\boxed{1}</b>', answer: '<i>2</i>' }
  writeFileSync(join(folder, 'a.jsonl'), JSON.stringify(row))
  const { code, stdout } = await runCli(['curate', '--input', join(folder, 'a.jsonl'), '--output_dir', join(folder, 'out')])
  t.equal(code, 0)
  t.match(stdout, /chosen +no rows: every one was dropped/)
  const nothing = ['--spread', 'topics,difficulty', '--levels', '5', '--count', '3', '--output_dir', join(folder, 'spread')]
  t.match(await runCli(['curate', '--input', join(folder, 'a.jsonl'), ...nothing]), { code: 0, stdout: /chosen +no rows/ })
  const page = readFileSync(join(folder, 'out', 'report.html'), 'utf8')
  t.notMatch(page, /<script|<b>|<i>/)
  t.match(page, '&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;')
})

t.test('what is wrong is said in one line', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'a.jsonl')
  writeFileSync(file, '{"question": "q", "solution": "s"}\n')
  const output = join(folder, 'out')
  const curate = (...args: string[]) => runCli(['curate', ...args], { cwd: folder })
  const withInput = (...args: string[]) => curate('--input', file, '--output_dir', output, ...args)
  const yaml = async (text: string) => {
    writeFileSync(join(folder, 'c.yaml'), `input: a.jsonl\noutput_dir: out\n${text}\n`)
    return curate('c.yaml')
  }
  const cases: [() => ReturnType<typeof curate>, number, RegExp][] = [
    [() => curate(), 2, /expected input but it is not set/],
    [() => curate('--input', file), 2, /expected output_dir/],
    [() => curate('--input', 'absent.jsonl', '--output_dir', output), 1, /absent\.jsonl does not exist.*DATA_NOT_FOUND/],
    [() => withInput('--output_dir', folder), 2, /expected an output_dir apart from the input/],
    [() => withInput('--stages', 'pool,sorting'), 2, /expected a list of pool, difficulty.* for stages/],
    [() => withInput('--stages', 'decontamination'), 2, /expected decontamination\.against/],
    [() => withInput('--count', '0'), 2, /a whole number of at least 1 for selection\.count but received 0/],
    [() => withInput('--count', 'many'), 2, /selection\.count/],
    [() => withInput('--spread', 'colour'), 2, /a list of topics and difficulty/],
    [() => withInput('--against', 'absent/*.jsonl'), 1, /no file matches absent/],
    [() => withInput('--outptu', 'x'), 2, /outptu/],
    [() => curate('absent.yaml'), 2, /absent\.yaml.*CONFIG_NOT_FOUND/],
    [() => curate('--input', file, '--output_dir', join(file, 'out')), 1, /WRITE_FAILED/],
  ]
  for (const [result, code, stderr] of cases) t.match(await result(), { code, stderr }, String(stderr))
  const files: [string, RegExp][] = [
    ['qualty: {min_score: 1}', /unknown key qualty \(c\.yaml:3\): did you mean quality\?/],
    ['quality: {min_scor: 1}', /unknown key quality\.min_scor .*did you mean quality\.min_score\?/],
    ['quality: {min_score: 2}', /a number from 0 to 1 for quality\.min_score but received 2 \(c\.yaml:3\)/],
    ['quality: {weights: {length: 1}}', /weights of at least 0 that add up to 1/],
    ['quality: {scales: {length: 0}}', /numbers above 0/],
    ['quality: {words: {verification: check}}', /lists of words/],
    ['toString: 1', /unknown key toString/],
    ['quality: 5', /keys of its own for quality/],
    ['difficulty: {criteria: [{min: 3, max: 1}]}', /a max of at least min/],
    ['difficulty: {criteria: [{least: 3}]}', /a list of \{model, attempts, min, max\}/],
    ['pool: {similarity: high}', /a number from 0 to 1 for pool\.similarity/],
    ['seed: -1', /a whole number for seed/],
  ]
  for (const [text, stderr] of files) t.match(await yaml(text), { code: 2, stderr }, text)
  t.notOk(existsSync(join(output, 'curated.jsonl')))
})

t.test('help, and the words in force', async (t) => {
  t.match(
    (await runCli(['curate', '--help'])).stdout,
    /choose chains[\s\S]*--against[\s\S]*--levels[\s\S]*curate --input pool\.jsonl/,
  )
  const { code, stdout } = await runCli(['curate', '--print_words'])
  t.equal(code, 0)
  t.match(stdout, /length: weight 0\.3, scale 1700\nverification: weight 0\.2, scale 5\n {2}check, .*检查/)
})
