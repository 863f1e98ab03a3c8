import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readMetrics } from '../../lib/train/metrics.js'
import { tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, runCli } from './run-cli.js'

t.test('inspect: token by token, and after training with losses', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = asOptions({ ...tinySettings(inputs, join(folder, 'out')), learning_rate: 0 })
  const inspect = (...more: string[]) => runCli(['inspect', ...settings, '--row', '2', ...more])

  const tokens = await inspect('--tokens', '0:3')
  t.match(tokens, { code: 0, stderr: '' })
  t.match(tokens.stdout, / {7}0 +257 {2}template +"<\|im_start\|>"\n {7}1 +117 {2}template +"u"\n {7}2 .*\n$/)
  t.notMatch(tokens.stdout, /input_ids/, 'the lines take the place of the ids')
  t.match(
    (await inspect('--tokens')).stdout,
    / 257 {2}template[\s\S]* 258 {2}template {9}\s+"<\|im_end\|>"\n[\s\S]* \d+ {2}assistant {2}yes +"[\s\S]* 258 {2}template {3}yes +"<\|im_end\|>"\n/,
  )

  const untrained = await inspect('--loss')
  t.match(untrained, { code: 1, stderr: /expected a trained model in out \(output_dir\).*train first, or name another/ })
  t.match(await inspect('--loss', join(folder, 'absent')), { code: 2, stderr: /absent.*MODEL_NOT_FOUND/ })
  t.match(await inspect('--tokens', 'x'), { code: 2, stderr: /expected --tokens FROM:TO/ })
  t.match(await inspect('--tokens', '900:20'), {
    code: 2,
    stderr: /with FROM below TO and below the record.s \d+ tokens but received "900:20"/,
  })
  t.match(await inspect('--tokens', '99999:'), { code: 2, stderr: /below the record.s \d+ tokens/ })
  t.match(await inspect('--html', join(folder, 'no', 'page.html')), {
    code: 1,
    stderr: /cannot write .*page\.html.*WRITE_FAILED/,
  })

  // Nothing is learnt, one record a step: the loss of a step is the mean over the tokens of one record.
  const train = await runCli(['train', ...settings, '--per_device_train_batch_size', '1', '--disable_shuffling', 'true'])
  t.equal(train.code, 0, train.stderr)
  const page = join(folder, 'row.html')
  const { code, stdout, stderr } = await inspect('--loss', '--html', page)
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const mean = Number(/^loss +([\d.]+) a token/m.exec(stdout)![1])
  const [, second] = (await readMetrics(join(folder, 'out'))) as { loss: number }[]
  t.ok(Math.abs(mean - second!.loss) < 1e-4, `${mean} is the loss of its step, ${second!.loss}`)
  t.equal(stdout.match(/^ +\d+ +\d\.\d{3} {2}/gm)!.length, 10, 'the ten hardest tokens')

  const html = readFileSync(page, 'utf8')
  t.match(html, /<h1>chains\.jsonl:2<\/h1>/)
  t.match(html, /class="assistant scored heat" title="\d+: id \d+, assistant, scored, loss \d\.\d{3}" style="--heat:\d+%"/)
  t.notMatch(html, /<script|https?:|src=|href=/, 'one file without links')
  const text = [...html.match(/<pre>([\s\S]*)<\/pre>/)![1]!.matchAll(/<span[^>]*>([^<]*)<\/span>/g)]
    .map(([, part]) => part)
    .join('')
  const [, row] = readFileSync(inputs.dataset, 'utf8').split('\n')
  const expected = `<|im_start|>user\n${JSON.parse(row!).question}<|im_end|>\n`
  t.ok(text.replaceAll('↵', '').replaceAll('&lt;', '<').replaceAll('&gt;', '>').startsWith(expected), 'the text itself')
})

t.test('inspect behind rows that are left out', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { chains: 3 })
  const rows = readFileSync(inputs.dataset, 'utf8').trim().split('\n')
  rows.splice(1, 0, JSON.stringify({ ...JSON.parse(rows[0]!), weight: 0 }))
  writeFileSync(inputs.dataset, `${rows.join('\n')}\n`)
  const settings = asOptions(tinySettings(inputs, join(folder, 'out')))
  const inspect = (row: string) => runCli(['inspect', ...settings, '--row', row])
  for (const row of ['1', '3', '4'])
    t.match((await inspect(row)).stdout, new RegExp(`packed .*chains\\.jsonl:${row}\\b`, 's'), row)
  t.match(await inspect('2'), { code: 1, stderr: /chains\.jsonl:2: .*says itself.*DATA_NOTHING_SCORED/ })
})

t.test('inspect of a record beside a broken one', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  writeFileSync(inputs.dataset, `${readFileSync(inputs.dataset, 'utf8')}{"question": "a", "solution": ""}\n`)
  const { code, stdout } = await runCli(['inspect', ...asOptions(tinySettings(inputs, join(folder, 'out'))), '--row', '2'])
  t.equal(code, 0)
  t.match(stdout, /packed +not known: chains\.jsonl:25: expected text in turn 2/)
  writeFileSync(inputs.dataset, `{\n${readFileSync(inputs.dataset, 'utf8')}`)
  const second = await runCli(['inspect', ...asOptions(tinySettings(inputs, join(folder, 'out'))), '--row', '2'])
  t.match(second, { code: 0, stdout: /place +chains\.jsonl:2\n/ }, 'a malformed row is passed over')
  const first = await runCli(['inspect', ...asOptions(tinySettings(inputs, join(folder, 'out'))), '--row', '1'])
  t.match(first, { code: 1, stderr: /chains\.jsonl:1: .*not valid JSON/ })
})

t.test('data check', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const check = (...more: string[]) => runCli(['data', 'check', ...more])
  const good = await check('--model_name_or_path', inputs.modelFolder, '--dataset', inputs.dataset)
  t.match(good, {
    code: 0,
    stderr: '',
    stdout: /^checked +24 examples of 1 file\ntokens +[\d,]+, [\d,]+ of them scored\nlength +.*\nfound +0 errors, 0 warnings\n$/,
  })

  const bad = join(folder, 'bad.jsonl')
  const [row] = readFileSync(inputs.dataset, 'utf8').split('\n')
  writeFileSync(bad, `${row}\n${row}\n`)
  t.match(await check('--dataset', bad), {
    code: 0,
    stdout: /warning {2}bad\.jsonl:2: .*bad\.jsonl:1 again.*\[DUPLICATE\][\s\S]*0 errors, 1 warning\n[\s\S]*not tokenized/,
  })
  t.match(await check('--dataset', bad, '--strict'), { code: 1 })
  writeFileSync(bad, `${row}\n{\n`)
  t.match(await check('--dataset', bad), { code: 1, stdout: /error {2}bad\.jsonl:2: .*\[DATA_MALFORMED\]/ })
  const json = (await check('--dataset', bad, '--json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(json, [
    { severity: 'error', code: 'DATA_MALFORMED', details: { line: 2 } },
    { summary: { examples: 1, errors: 1, warnings: 0 } },
  ])

  t.match(await runCli(['data']), { code: 2, stderr: /expected a command after data: check/ })
  t.match(await check(), { code: 2, stderr: /expected dataset/ })
  t.notOk(existsSync(join(folder, 'limo-quickstart')))
})
