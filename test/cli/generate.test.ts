import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { sharedPath } from '../shared-files.js'
import { writeTinyInputs } from '../tiny-inputs.js'
import { runCli } from './run-cli.js'

const stories = sharedPath('data', 'models', 'stories260K')
const skip = stories === undefined && 'shared/data is absent'

t.test('generate prints the golden text, byte for byte', { skip }, async (t) => {
  const greedy = ['generate', '--model', stories!, '--prompt', '', '--temperature', '0', '--max-new-tokens', '200']
  const { code, stdout, stderr } = await runCli(greedy)
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.equal(stdout, readFileSync(join(stories!, 'expected_greedy_n200.txt'), 'utf8'))
})

t.test('several answers, as JSON, the same for the same seed', { skip }, async (t) => {
  const args = [
    'generate',
    '--model',
    stories!,
    '--prompt',
    'Tim',
    '--temperature',
    '1',
    '--max-new-tokens',
    '20',
    '--samples',
    '3',
    '--json',
  ]
  const [first, again, other] = await Promise.all([runCli(args), runCli(args), runCli([...args, '--seed', '1'])])
  t.equal(first.stdout, again.stdout)
  t.not(first.stdout, other.stdout)
  const rows = first.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(rows, [
    { sample: 0, finishReason: 'length', completionTokens: 20 },
    { sample: 1, text: String },
    { sample: 2, promptTokens: Number },
  ])
  const { stdout } = await runCli(args.slice(0, -1))
  const texts = rows.map(({ text }, i) => `--- answer ${i + 1} of 3\n${text}\n`)
  t.equal(stdout, texts.join('\n'), 'as text, each below a line of its own')
})

t.test('a conversation goes through the chat template', async (t) => {
  const folder = t.testdir()
  const { modelFolder } = await writeTinyInputs(folder)
  const messages = join(folder, 'messages.json')
  writeFileSync(messages, JSON.stringify([{ role: 'user', content: 'What is 1 + 1?' }]))
  const options = ['generate', '--model', modelFolder, '--max-new-tokens', '5', '--json']
  const [fromFile, question] = await Promise.all([
    runCli([...options, '--messages', messages]),
    runCli([...options, '--question', 'What is 1 + 1?']),
  ])
  t.equal(fromFile.code, 0, fromFile.stderr)
  t.equal(fromFile.stdout, question.stdout)
  // <|im_start|>user\n … <|im_end|>\n<|im_start|>assistant\n, a byte a token.
  t.match(JSON.parse(fromFile.stdout), { promptTokens: 1 + 'user\nWhat is 1 + 1?'.length + 1 + 1 + 1 + 'assistant\n'.length })
})

t.test('what is wrong is one sentence', async (t) => {
  const folder = t.testdir({ 'bad.json': '{"messages": 5}', 'torn.json': '[{' })
  const { modelFolder } = await writeTinyInputs(folder)
  const wrong: [string[], number, RegExp][] = [
    [[], 2, /one of --prompt, --question and --messages but received none/],
    [['--prompt', 'a', '--question', 'b'], 2, /one of --prompt, .* but received 2/],
    [['--prompt', 'a', '--system', 'b'], 2, /--system together with --question/],
    [['--prompt', 'a', '--temperature', '-1'], 2, /at least 0 for --temperature but received -1/],
    [['--prompt', 'a', '--top-p', '1.5'], 2, /--top-p but received 1.5/],
    [['--prompt', 'a', '--max-new-tokens', 'many'], 2, /--max-new-tokens but received NaN/],
    [['--prompt', 'a', '--samples', '0'], 2, /--samples but received 0/],
    [['--prompt', 'a', '--stop', ''], 2, /--stop/],
    [['--prompt', 'a', '--tempature', '1'], 2, /tempature/],
    [['--prompt', 'a', '--device', 'tpu'], 1, /cpu, cuda or cuda:N for the device/],
    [['--prompt', 'x'.repeat(5000)], 1, /fewer than 4096 tokens but received 5000/],
    [['--messages', join(folder, 'none.json')], 1, /cannot read the messages/],
    [['--messages', join(folder, 'torn.json')], 1, /expected JSON/],
    [['--messages', join(folder, 'bad.json')], 1, /a list of messages/],
  ]
  for (const [args, code, message] of wrong) {
    const result = await runCli(['generate', '--model', modelFolder, ...args])
    t.equal(result.code, code, args.join(' ').slice(0, 60))
    t.match(result.stderr, message)
    t.same({ stdout: result.stdout, lines: result.stderr.trim().split('\n').length }, { stdout: '', lines: 1 })
  }
  t.match(await runCli(['generate', '--model', join(folder, 'no-model'), '--prompt', 'a']), { code: 2, stderr: /no such folder/ })
})
