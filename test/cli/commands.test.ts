import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readHeader } from '../../lib/checkpoint/safetensors.js'
import { loadTrainConfig, trainKeys } from '../../lib/config/train-config.js'
import { openDevice } from '../../lib/native/device.js'
import { readMetrics } from '../../lib/train/metrics.js'
import { prepareRun } from '../../lib/train/prepare.js'
import { TrainSession } from '../../lib/train/train-session.js'
import { repositoryRoot } from '../shared-files.js'
import { tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, runCli } from './run-cli.js'

t.test('an option given twice: the last one counts', async (t) => {
  const { code, stdout } = await runCli(['plan', '--json', '--output_dir', t.testdir(), '--max_steps', '4', '--max_steps', '1'])
  t.equal(code, 0)
  t.equal(JSON.parse(stdout).totalSteps, 1)
})

t.test('plan without a config leaves nothing behind', async (t) => {
  const before = existsSync('limo-quickstart')
  const { code, stdout } = await runCli(['plan'])
  t.equal(code, 0)
  t.match(stdout, /what fits/)
  t.equal(existsSync('limo-quickstart'), before)
})

t.test('help of every command, and the version', async (t) => {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))
  t.match(await runCli(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  const top = await runCli(['--help'])
  for (const command of ['train', 'plan', 'inspect', 'init', 'doctor']) {
    t.match(top.stdout, `limo-native ${command}`)
    const { code, stdout, stderr } = await runCli([command, '--help'])
    t.same({ code, stderr }, { code: 0, stderr: '' }, command)
    t.match(stdout, /--debug/)
  }
  const { stdout } = await runCli(['train', '--help'])
  for (const key of ['learning_rate', 'gradient_accumulation_steps', 'resume_from_checkpoint', 'loss_reduction']) {
    t.match(stdout, new RegExp(`--${key} .*`), `train --help lists ${key}`)
  }
})

t.test('wrong usage exits with 2 and one line', async (t) => {
  const folder = t.testdir({ 'train.yaml': 'model_name_or_path: model\nlearning_rat: 1e-5\n', 'broken.yaml': 'a: [1\n' })
  const cases: [string[], RegExp][] = [
    [
      ['trian'],
      /expected train, generate, eval, plan, inspect, curate, data, config, init, .*doctor, build but received "trian": did you mean train\?/,
    ],
    [['init'], /limo-native init --help/],
    [['data', 'chek'], /unknown word behind the command: chek \(limo-native data --help lists/],
    [['init', 'new', '--preset', 'huge'], /expected tiny or small for --preset but received huge/],
    [['init', 'new', '--words', 'a.jsonl', '--config', 'b'], /words.*config.*mutually exclusive/],
    [['init', 'new', '--seed', '1.5'], /whole number for --seed but received "1\.5"/],
    [['train', 'absent.yaml'], /absent\.yaml: ENOENT.*\[CONFIG_NOT_FOUND\]/],
    [['train', 'broken.yaml'], /broken\.yaml.*\[CONFIG_MALFORMED\]/s],
    [['train', 'train.yaml'], /unknown key learning_rat \(train\.yaml:2\): did you mean learning_rate\? \[CONFIG_UNKNOWN_KEY\]/],
    [['train', '--learning-rat', '1'], /unknown key learning_rat \(command line\): did you mean learning_rate\?/],
    [['train', '--learning_rate', 'fast'], /expected a number of at least 0 for learning_rate but received "fast"/],
    [['train', '--finetuning_type', 'lora'], /expected full or freeze for finetuning_type but received "lora"/],
    [['train', '--model_name_or_path', 'm'], /expected output_dir but it is not set\. Add/],
    [['inspect', '--output_dir', 'q', '--row', '99999'], /expected --row from 1 to \d+ but received "99999"/],
    [['inspect', '--output_dir', 'q', '--row', 'x'], /expected --row from 1 to \d+ but received "x"/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await runCli(args, { cwd: folder })
    t.equal(code, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^limo-native: .*\[CONFIG_[A-Z_]+\]\n$/s)
    t.notMatch(stderr, /\n +at /, 'no stack trace')
  }
  const none = await runCli([], { cwd: folder })
  t.equal(none.code, 2)
  t.match(none.stderr, /limo-native train \[config\].*expected a command/s, 'without a command the help is shown')

  const debug = await runCli(['train', 'train.yaml', '--debug'], { cwd: folder })
  t.equal(debug.code, 2)
  t.match(debug.stderr, /ConfigError: unknown key learning_rat.*\n +at .*train-config\.[jt]s/s, '--debug prints the stack')
})

t.test('doctor', async (t) => {
  const { code, stdout, stderr } = await runCli(['doctor'])
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, new RegExp(`Node +${process.version} `))
  t.match(stdout, /addon +loads/)
  t.match(stdout, /instruction sets +portable.*; in use: (portable|avx2|avx512|avx512bf16|amx|neon|neonbf16)$/m)
  t.match(stdout, /cpu device +opens with \d+ threads/)
  t.match(stdout, /cuda device +not available: .+/, 'with the reason')
  const forced = await runCli(['doctor'], { env: { LIMO_CPU: 'portable' } })
  t.match(forced.stdout, /in use: portable/)
  const unknown = await runCli(['doctor'], { env: { LIMO_CPU: 'mmx' } })
  t.match(unknown, { code: 1, stdout: /mmx/ }, 'an instruction set that does not exist')
})

t.test('config', async (t) => {
  const folder = t.testdir()
  const { code, stdout, stderr } = await runCli(['config'])
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const path = join(folder, 'train.yaml')
  writeFileSync(path, stdout)
  const asPrinted = await loadTrainConfig(path)
  t.match(asPrinted.config, { learningRate: 5e-6, numTrainEpochs: 15, bf16: true, gradientAccumulationSteps: 64 })
  // What stands behind a # is what a key is when it is left out.
  const isKey = new Set<string>(trainKeys.map(({ key }) => key))
  const uncommented = stdout.replaceAll(/^# (\w+)(: .+)$/gm, (line, key, rest) => (isKey.has(key) ? `${key}${rest}` : line))
  writeFileSync(path, uncommented)
  t.same((await loadTrainConfig(path)).config, asPrinted.config)
  const named = Array.from(uncommented.matchAll(/^(?:# )?(\w+):( |$)/gm), ([, name]) => name!).filter((name) => isKey.has(name))
  t.same(
    named,
    trainKeys.map(({ key }) => key),
    'every key, in the order of the help',
  )

  const { properties, additionalProperties } = JSON.parse((await runCli(['config', '--schema'])).stdout)
  t.equal(additionalProperties, false)
  for (const { key, description } of trainKeys) t.equal(properties[key].description, description)
  t.match(properties, {
    recompute: { enum: ['none', 'full', 'auto'] },
    bf16: { type: 'boolean' },
    learning_rate: { type: 'number' },
  })
  t.notOk('type' in properties.dataset, 'a text or a list')
  t.match((await runCli(['train', '--help'])).stdout, /Memory and devices \(keys of the config file too\):\n +--recompute/)
})

t.test('init', async (t) => {
  const folder = t.testdir()
  const inFolder = (args: string[]) => runCli(['init', ...args], { cwd: folder })
  const bytesOf = (...path: string[]) => readFileSync(join(folder, ...path))

  const { code, stdout, stderr } = await inFolder(['tiny'])
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /tiny: qwen2, 822,400 parameters, random weights/)
  t.same(readdirSync(join(folder, 'tiny')).sort(), [
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ])

  const half = bytesOf('tiny', 'config.json').toString().replace('float32', 'bfloat16')
  writeFileSync(join(folder, 'half.json'), half)
  const named = await inFolder(['half', '--config', 'half.json'])
  t.match(named.stdout, /random weights in float32\nhalf\.json names bfloat16; new weights are float32 all the same\n/)

  writeFileSync(join(folder, 'chains.jsonl'), '{"question": "How many pens?", "solution": "Ones: 2+3=5, so 5."}\n'.repeat(2))
  const wordy = await inFolder(['wordy', '--words', 'chains.jsonl'])
  t.match(wordy, {
    code: 0,
    stdout: /^\d+ tokens are words of these files, and parts of words\nwordy: qwen2, 8\d\d,\d{3} parameters/,
  })
  t.match(await inFolder(['new', '--words', 'chains.jsonl', '--preset', 'small']), { code: 0 })
  t.match(await inFolder(['newer', '--words', 'absent.jsonl']), { code: 1, stderr: /absent\.jsonl.*\[DATA_NOT_FOUND\]/ })
  t.notOk(existsSync(join(folder, 'newer')))
  const { model, added_tokens } = JSON.parse(bytesOf('wordy', 'tokenizer.json').toString())
  const words = Object.keys(model.vocab).slice(256)
  for (const word of ['Ġmany', 'Ones', 'system', 'user', 'assistant', 'Ġreason']) t.ok(words.includes(word), word)
  t.match(JSON.parse(bytesOf('wordy', 'config.json').toString()), {
    vocab_size: Math.ceil((256 + words.length + 3) / 8) * 8,
    eos_token_id: added_tokens[2].id,
  })

  const before = bytesOf('tiny', 'model.safetensors')
  const again = await inFolder(['tiny', '--seed', '7'])
  t.match(again, { code: 1, stderr: /tiny does\. Choose another name\. \[OUTPUT_EXISTS\]/ })
  t.ok(bytesOf('tiny', 'model.safetensors').equals(before), 'an existing folder is left alone')

  await inFolder(['same', '--preset', 'tiny', '--seed', '42'])
  t.ok(bytesOf('same', 'model.safetensors').equals(before), 'the seed fixes every bit')
  await inFolder(['other', '--seed', '7'])
  t.notOk(bytesOf('other', 'model.safetensors').equals(before))

  const config = {
    ...{ architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', vocab_size: 300, hidden_size: 32, intermediate_size: 48 },
    ...{ num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16, initializer_range: 0.5 },
  }
  writeFileSync(join(folder, 'own.json'), JSON.stringify(config))
  await inFolder(['own', '--config', 'own.json', '--tokenizer', 'tiny', '--scheme', 'huggingface'])
  t.match(JSON.parse(String(bytesOf('own', 'config.json'))), config)
  t.ok(bytesOf('own', 'tokenizer.json').equals(bytesOf('tiny', 'tokenizer.json')), 'tokenizer files are copied unchanged')
  const { entries } = await readHeader(join(folder, 'own', 'model.safetensors'))
  t.same(entries.get('lm_head.weight')!.shape, [300, 32])
  const lm = entries.get('lm_head.weight')!
  const values = new Float32Array(Uint8Array.from(bytesOf('own', 'model.safetensors').subarray(lm.byteOffset)).buffer, 0, 9600)
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)
  t.ok(Math.abs(deviation - 0.5) < 0.5 * 0.03, `huggingface: N(0, initializer_range), ${deviation}`)

  await inFolder(['copy', '--config', 'own'])
  t.ok(bytesOf('copy', 'tokenizer.json').equals(bytesOf('own', 'tokenizer.json')), 'a folder gives its tokenizer too')

  writeFileSync(join(folder, 'gpt2.json'), JSON.stringify({ ...config, model_type: 'gpt2' }))
  t.match(await inFolder(['g', '--config', 'gpt2.json']), { code: 2, stderr: /gpt2.*\[MODEL_UNSUPPORTED\]/ })
  t.match(await inFolder(['g', '--config', 'absent']), { code: 2, stderr: /absent.*\[CONFIG_NOT_FOUND\]/ })
  for (const args of [
    ['~/limo-native-no/such/m', '--tokenizer', '~/absent'],
    ['h', '--tokenizer=~/absent'],
  ])
    t.match(await inFolder(args), { code: 2, stderr: `${homedir()}/absent` }, 'also where no shell has seen a ~')
  t.notOk(existsSync(join(folder, '~')))
  t.match(await inFolder(['$HOME/m']), { code: 2, stderr: /without a shell's variables/ })
  t.match(await inFolder(['g', '--tokenizer', '.']), { code: 2, stderr: /a folder with a tokenizer\.json/ })
  t.notOk(existsSync(join(folder, 'g')), 'a refused folder is not made')
})

t.test('plan says what is allocated, exactly', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { ...tinySettings(inputs, join(folder, 'out')), val_size: 3 }
  for (const recompute of ['none', 'full'] as const) {
    const args = ['plan', ...asOptions({ ...settings, recompute })]
    const { code, stdout, stderr } = await runCli([...args, '--json'])
    t.same({ code, stderr }, { code: 0, stderr: '' })
    const plan = JSON.parse(stdout)
    t.match(plan, {
      totalSteps: 6,
      stepsPerEpoch: 6,
      examples: 21,
      parameters: 8976,
      recomputedLayers: recompute === 'full' ? 2 : 0,
    })
    t.ok(plan.maxTokens <= 1024 && plan.tokensPerStep <= 4 * plan.longest)

    const { config } = await loadTrainConfig(undefined, { ...settings, recompute })
    const run = await prepareRun(config)
    const device = await openDevice('cpu', { threads: settings.threads })
    const session = await TrainSession.create(device, run.plan)
    const arenas = Object.values(session.arenas).reduce((sum, { bytes }) => sum + bytes, 0)
    t.equal(plan.totalBytes, arenas + device.info.scratchBytes, 'the arenas and the threads’ working memory')
    for (const [name, { bytes }] of Object.entries(session.arenas)) t.equal(plan.bytes[name], bytes, name)
    await device.close()

    const text = await runCli(args)
    t.match(text.stdout, new RegExp(`total .* ${plan.totalBytes.toLocaleString('en-US')} bytes`))
    t.match(text.stdout, /model +qwen2, 8,976 parameters, 2 layers/)
  }
  const { stdout } = await runCli(['plan', ...asOptions(settings), '--program'])
  for (const program of ['# microStep', '# evaluate', '# update']) t.match(stdout, program)
  t.match(stdout, /^ +\d+ forward layer 0 +attention +out= layers\.0\.attention\[T, 16\]@activations\+\d+/m)
  t.notOk(existsSync(join(folder, 'out')), 'plan writes nothing')

  // Weights are not read: the folder may be without them.
  const bare = join(folder, 'bare')
  mkdirSync(bare)
  for (const name of readdirSync(inputs.modelFolder).filter((file) => !file.endsWith('.safetensors')))
    copyFileSync(join(inputs.modelFolder, name), join(bare, name))
  t.equal((await runCli(['plan', ...asOptions({ ...settings, model_name_or_path: bare })])).code, 0)

  const small = await runCli(['plan', ...asOptions({ ...settings, memory_limit: '9MB' })])
  t.match(small, { code: 1, stderr: /expected a run within 8\.58 MiB but it takes \d+\.\d+ MiB\. .*\[OUT_OF_MEMORY\]/ })
  t.match(small.stdout, /limit +8\.58 MiB {2}9,000,000 bytes — it does not fit/, 'the table is there all the same')
  t.match(small.stdout, /what fits[\s\S]* a card of 24 GB +fits, 0 of /)
  const least = JSON.parse(
    (await runCli(['plan', ...asOptions({ ...settings, recompute: 'full', memory_limit: '1TB' }), '--json'])).stdout,
  )
  const tight = await runCli(['plan', ...asOptions({ ...settings, memory_limit: least.totalBytes - 1 })])
  t.match(tight.stdout, /what would fit\n.*(bf16: true|cutoff_len: \d+ fits)/, 'ways that were measured')

  for (const format of ['--json', '--program']) {
    const { code, stdout, stderr } = await runCli(['plan', ...asOptions({ ...settings, memory_limit: '9MB' }), format])
    t.match({ code, stderr }, { code: 1, stderr: /OUT_OF_MEMORY/ }, `${format} tells by its exit code too`)
    if (format === '--json') t.match(JSON.parse(stdout), { fits: false, memoryLimit: 9_000_000 })
  }
  t.match(least, { fits: true, memoryLimit: 1e12 })

  // What is advised is followed: it fits, and examples are lost where it says so.
  const shorter = { ...settings, val_size: 0, recompute: 'full', cutoff_len: 320, over_length: 'drop' }
  const { totalBytes } = JSON.parse((await runCli(['plan', ...asOptions(shorter), '--json'])).stdout)
  const within = { ...settings, val_size: 0, recompute: 'none', memory_limit: totalBytes }
  const advised = await runCli(['plan', ...asOptions(within)])
  const [, cutoff, longer] = /recompute: auto and cutoff_len: (\d+) fits.*; (\d+) of 24 examples are longer/.exec(advised.stdout)!
  const followed = { ...within, recompute: 'auto', cutoff_len: Number(cutoff), over_length: 'drop' }
  const fitting = JSON.parse((await runCli(['plan', ...asOptions(followed), '--json'])).stdout)
  t.match(fitting, { fits: true })
  t.equal(fitting.examples, 24 - Number(longer))
  const barely = { ...settings, recompute: 'none', memory_limit: least.totalBytes }
  const { stdout: enough } = await runCli(['plan', ...asOptions(barely)])
  t.match(enough, /what would fit\n {2}recompute: auto fits/)
  t.notMatch(enough, 'cutoff_len:')

  for (const wrong of ['0', '-1', 'abc', 'Infinity'])
    t.match(await runCli(['plan', ...asOptions(settings), '--tokens_per_second', wrong]), {
      ...{ code: 2, stdout: '', stderr: /expected a number above 0 for --tokens_per_second/ },
    })
  const timed = await runCli(['plan', ...asOptions(settings), '--tokens_per_second', '10'])
  t.match(timed.stdout, /time +\d.* at 10 tokens a second/)
  t.match(timed.stdout, /disk +\d+.* a checkpoint, .* kept, and the model/)
})

t.test('inspect', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const tokens = { input_ids: [10, 11, 12, 13, 14], labels: [-100, -100, 12, 13, -100] }
  const mixed = join(folder, 'mixed.jsonl')
  writeFileSync(mixed, `${JSON.stringify(tokens)}\n${readFileSync(inputs.dataset, 'utf8')}`)
  const inspect = (...more: string[]) =>
    runCli(['inspect', ...asOptions({ ...tinySettings(inputs, join(folder, 'out')), dataset: mixed }), ...more])

  const { code, stdout, stderr } = await inspect('--row', '2', '--ids')
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const chain = JSON.parse(readFileSync(inputs.dataset, 'utf8').split('\n')[0]!)
  t.ok(
    stdout.includes(`\n<|im_start|>user\n${chain.question}<|im_end|>\n<|im_start|>assistant\n⟦${chain.solution}<|im_end|>⟧\n`),
    'the rendered text, the response and its end of turn scored',
  )
  const length = Buffer.byteLength(`user\n${chain.question}\nassistant\n${chain.solution}\n`) + 4
  const scored = Buffer.byteLength(chain.solution) + 1
  t.match(stdout, `the loss is taken on ${scored} of ${length} tokens`)
  t.match(stdout, /input_ids {2}257 117 115 101 114 10 .* ⟦[^⟦]* 258⟧ 10\n/)
  t.match(stdout, /^place +mixed\.jsonl:2\n/, 'the summary comes first')
  t.match(stdout, /packed +epoch 1, step \d+, micro-batch \d+ of \d+: .* tokens/)
  t.match(stdout, / → mixed\.jsonl:2 +tokens \d+…\d+, positions from 0/)
  t.notMatch(stdout, '\x1b', 'no colour but on a terminal')

  const tokenized = await inspect('--ids') // the first row
  t.match(tokenized.stdout, /already tokenized/)
  t.match(tokenized.stdout, /input_ids {2}10 11 ⟦12 13⟧ 14\n/)
  t.match(tokenized.stdout, /the loss is taken on 2 of 5 tokens/)
  t.notMatch((await inspect()).stdout, /input_ids/)

  const solution = `${'because '.repeat(1000)}\\boxed{3}`
  writeFileSync(mixed, `${JSON.stringify({ question: 'Why?', solution })}\n`)
  const folded = await inspect()
  t.match(folded.stdout, /⟦because because [a-z ]+\n… [\d,]+ characters \(--full\) …\n[a-z ]+\\boxed\{3\}<\|im_end\|>⟧/)
  t.ok(folded.stdout.length < 4000, 'a long text is shown without its middle')
  t.ok((await inspect('--full')).stdout.includes(solution))
  for (const range of ['900:20', '90000:'])
    t.match(await inspect('--tokens', range), { code: 2, stderr: /with FROM below TO and below the record's \d+ tokens/ })
  writeFileSync(mixed, `${JSON.stringify(tokens)}\n${readFileSync(inputs.dataset, 'utf8')}`)

  const long = await inspect('--row', '2', '--cutoff_len', '100')
  t.match(long, { code: 0, stdout: /over cutoff_len 100: policy error/ }, 'a record that is too long is still worth a look')
  t.match(await inspect('--row', '26'), { code: 2, stderr: /expected --row from 1 to 25 but received "26"/ })
  t.match(await inspect('--row', '0'), { code: 2, stderr: /received "0"/ })
  t.notOk(existsSync(join(folder, 'out')), 'inspect writes nothing')
})

t.test('inspect shows what training does with val_size and with files of one name', async (t) => {
  const folder = t.testdir({ more: {} })
  const inputs = await writeTinyInputs(folder)
  copyFileSync(inputs.dataset, join(folder, 'more', 'chains.jsonl'))
  const settings = {
    ...tinySettings(inputs, join(folder, 'out')),
    dataset: `${inputs.dataset},${join(folder, 'more', 'chains.jsonl')}`,
    ...{ val_size: 8, max_samples: 10, ids: false },
  }
  const { ids: _, ...keys } = settings
  const { batches, examples } = await prepareRun((await loadTrainConfig(undefined, keys)).config)
  t.equal(examples.count, 12)
  const shown: string[] = []
  for (let row = 1; row <= 20; row++) {
    const { code, stdout, stderr } = await runCli(['inspect', ...asOptions(settings), '--row', String(row)])
    t.equal(code, 0, stderr)
    shown.push(/^packed +(?:never: (held out for evaluation)|epoch 1, step (\d+))/m.exec(stdout)!.slice(1).join(''))
  }
  t.equal(shown.filter((what) => what === 'held out for evaluation').length, 8)
  const stepsInOrder = Array.from({ length: examples.count }, (_, index) => {
    const holds = (step: number) => batches.step(step).microBatches.some((micro) => micro.exampleIndices.includes(index))
    return [1, 2, 3].find(holds)
  })
  t.same(shown.filter((what) => what !== 'held out for evaluation').map(Number), stepsInOrder)
})

const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0
t.test('on a terminal', { skip: !hasScript && 'the command script is absent' }, async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const options = { ...tinySettings(inputs, 'out'), save_strategy: 'steps', save_steps: 2 }
  const onTerminal = (command: string, settings: Parameters<typeof asOptions>[0]): string => {
    const main = join(repositoryRoot, 'dist', 'lib', 'cli', 'main.js')
    const line = [process.execPath, main, command, ...asOptions(settings).map((word) => `'${word}'`)].join(' ')
    const env = { ...process.env, TERM: 'xterm', NODE_OPTIONS: '', NO_COLOR: undefined, CI: undefined }
    return String(spawnSync('script', ['-qec', line, '/dev/null'], { cwd: folder, env }).stdout)
  }
  t.match(onTerminal('inspect', options), '\x1b[32m⟦', 'inspect marks scored parts in colour')

  const train = onTerminal('train', options)
  t.match(train, /[█░]+ step 6\/6 {2}loss \d\.\d{4} {2}grad norm \d\.\d{3} {2}lr \S+ {2}\S+ tokens\/s {2}0 s left/)
  t.match(train, /step 4 {2}saved out\/checkpoint-4/)
  // The end is written below the progress line, and the cursor is back.
  t.notMatch(train.slice(train.lastIndexOf('\x1b7'), train.lastIndexOf('\x1b8')), '\n', 'the cursor goes back to the same line')
  t.ok(train.lastIndexOf('\x1b[?25h') > train.lastIndexOf('\x1b[?25l'), 'the cursor is shown again')
  t.ok(train.lastIndexOf('Trained 6 steps') > train.lastIndexOf('\x1b8'))
})

t.test("LIMO's own YAML", async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { chains: 6 })
  // As it is published, but for the paths of model, data and output.
  const yaml = `
### model
model_name_or_path: ${inputs.modelFolder}

### method
stage: sft
do_train: true
finetuning_type: full
deepspeed: examples/deepspeed/ds_z3_config.json

### dataset
dataset: limo
dataset_dir: ${folder}
template: qwen
cutoff_len: 16384
overwrite_cache: true
preprocessing_num_workers: 16

### output
output_dir: ${join(folder, 'out')}
logging_steps: 10
save_strategy: epoch
plot_loss: true
overwrite_output_dir: true

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 1
learning_rate: 5.0e-6
num_train_epochs: 15
lr_scheduler_type: cosine
warmup_ratio: 0.0
bf16: true
flash_attn: fa2
ddp_timeout: 180000000
`
  writeFileSync(join(folder, 'dataset_info.json'), JSON.stringify({ limo: { file_name: 'chains.jsonl', columns: limoColumns } }))
  writeFileSync(join(folder, 'train_limo.yaml'), yaml)
  const { code, stdout, stderr } = await runCli(['train', 'train_limo.yaml', '--max_steps', '7'], { cwd: folder })
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /note: deepspeed: one process needs no sharding/)
  t.match(stdout, /note: ignored, without effect here: .*ddp_timeout.*flash_attn.*overwrite_cache/)
  const config = JSON.parse(readFileSync(join(folder, 'out', 'config.json'), 'utf8'))
  t.equal(config.torch_dtype, 'bfloat16', 'bf16: true writes a bfloat16 model')
  t.match(stdout, /steps +7 of 1 example, 6 an epoch/)
  const rows = await readMetrics(join(folder, 'out'))
  t.same(
    rows.map(({ step }) => step),
    [7],
  )
  t.ok(existsSync(join(folder, 'out', 'checkpoint-6')), 'save_strategy epoch')
  t.match(JSON.parse(readFileSync(join(folder, 'out', 'config.json'), 'utf8')).model_type, 'qwen2')
})

const limoColumns = { prompt: 'question', response: 'solution' }

t.test('several datasets, max_samples of each', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  copyFileSync(inputs.dataset, join(folder, 'more.jsonl'))
  const settings = { ...tinySettings(inputs, join(folder, 'out')), dataset: `${inputs.dataset},${join(folder, 'more.jsonl')}` }
  const { stdout } = await runCli(['plan', ...asOptions({ ...settings, max_samples: 5 }), '--json'])
  t.equal(JSON.parse(stdout).examples, 10)
})

t.test('the embedded default', async (t) => {
  const folder = t.testdir()
  const { code, stdout, stderr } = await runCli(['train', '--max_steps', '2', '--logging_steps', '1'], { cwd: folder })
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /generated arithmetic chains, in limo-quickstart\//)
  t.match(stdout, /The model is in limo-quickstart/)
  t.match(stdout, /What to try next:/)
  const [, command] = /npx limo-native (inspect .*--row 1)/.exec(stdout)!
  const next = await runCli(command!.split(' '), { cwd: folder })
  t.equal(next.code, 0, `what it proposes works: ${next.stderr}`)

  const other = t.testdir({ notes: 'mine' })
  const refused = await runCli(['train', '--output_dir', other])
  t.match(refused, { code: 1, stderr: /expected an empty folder for the quickstart but .*\[OUTPUT_EXISTS\]/ })
  t.same(readdirSync(other), ['notes'])
})
