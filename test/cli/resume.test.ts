import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { presets } from '../../lib/model/presets.js'
import { Random } from '../../lib/random/random.js'
import { readMetrics } from '../../lib/train/metrics.js'
import { allTests, whySlowTestsAreSkipped } from '../command-line.js'
import { microConfig, type TinyInputs, tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, type CliResult, runCli, spawnCli, startCli } from './run-cli.js'

type Settings = Record<string, string | number | boolean>

function trainArguments(inputs: TinyInputs, outputDir: string, settings: Settings = {}): string[] {
  return ['train', ...asOptions({ ...tinySettings(inputs, outputDir), ...settings })]
}

const checkpointsIn = (outputDir: string): string[] =>
  (existsSync(outputDir) ? readdirSync(outputDir) : [])
    .filter((name) => name.startsWith('checkpoint-'))
    .sort((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1]))

/** Everything that a run leaves and that must not depend on when it was stopped: weights, moments, metrics but for times. */
async function traceOf(outputDir: string) {
  const rows = await readMetrics(outputDir)
  return {
    model: readFileSync(join(outputDir, 'model.safetensors')),
    optimizer: readFileSync(join(outputDir, 'training-state', 'optimizer.safetensors')),
    metrics: rows.map((row) => ({ ...row, elapsedMs: 0, tokensPerSecond: 0, peakBytes: 0 })),
  }
}
type Trace = Awaited<ReturnType<typeof traceOf>>

function expectSameBits(t: Tap, got: Trace, expected: Trace, what: string): void {
  t.ok(got.model.equals(expected.model), `${what}: the weights have the same bits`)
  t.ok(got.optimizer.equals(expected.optimizer), `${what}: the moments have the same bits`)
  t.same(got.metrics, expected.metrics, `${what}: the metrics are the same but for times`)
}
type Tap = Pick<typeof t, 'ok' | 'same' | 'equal' | 'match' | 'comment' | 'notMatch'>

function expectError(t: Tap, { code, stderr }: CliResult, errorCode: string, message: RegExp): void {
  t.equal(code, errorCode.startsWith('CONFIG') ? 2 : 1, `${errorCode}: exit code`)
  t.match(stderr, new RegExp(`\\[${errorCode}\\]\\n$`))
  t.match(stderr, message)
  t.equal(stderr.trim().split('\n').length, 1, `${errorCode}: one line`)
}

/** Moments that lib/failpoint.ts names, between two states of what is on disk: of a run of six steps and two checkpoints. */
const moments = ['step:2', 'metrics:5', 'file:4', 'rename:1', 'renamed:2', 'file:17']

/** Each moment by itself: all there are, or some. */
function* momentsOf(): Generator<string> {
  if (!allTests) return yield* moments
  for (const name of ['step', 'metrics', 'file', 'rename', 'renamed'])
    for (let count = 1; ; count++) if (yield `${name}:${count}`) break
}

t.test('killed between two states of what is on disk and resumed = never stopped', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { max_steps: 6, save_strategy: 'steps', save_steps: 3, val_size: 2, eval_steps: 4, weight_decay: 0.1 }
  const straight = await runCli(trainArguments(inputs, join(folder, 'straight'), settings))
  t.equal(straight.code, 0, straight.stderr)
  const expected = await traceOf(join(folder, 'straight'))
  const outputDir = join(folder, 'killed')
  const each = momentsOf()
  for (let next = each.next(); !next.done; ) {
    const moment: string = next.value
    rmSync(outputDir, { recursive: true, force: true })
    const killed = await spawnCli(trainArguments(inputs, outputDir, settings), { env: { LIMO_FAIL_AT: moment } })
    const isOver = killed.signal !== 'SIGKILL'
    if (isOver) t.ok(allTests && killed.code === 0, `${moment} is never reached: ${killed.stderr}`)
    const resume = checkpointsIn(outputDir).length > 0 ? { resume_from_checkpoint: true } : { overwrite_output_dir: true }
    const resumed = await runCli(trainArguments(inputs, outputDir, { ...settings, ...resume }))
    t.equal(resumed.code, 0, resumed.stderr)
    expectSameBits(t, await traceOf(outputDir), expected, `killed at ${moment}`)
    const left = readdirSync(outputDir, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(tmp|old)-/.test(name))
    t.same(left, [], 'what it left is tidied')
    next = each.next(isOver)
  }
})

t.test('killed while a checkpoint takes the place of another of its name', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { max_steps: 6, save_strategy: 'steps', save_steps: 3 }
  const outputDir = join(folder, 'out')
  t.equal((await runCli(trainArguments(inputs, outputDir, settings))).code, 0)
  const expected = await traceOf(outputDir)
  const fromThird = trainArguments(inputs, outputDir, { ...settings, resume_from_checkpoint: join(outputDir, 'checkpoint-3') })
  // The first rename is that of the metrics.
  for (const moment of ['rename:2', 'aside:1', 'renamed:2']) {
    t.equal((await spawnCli(fromThird, { env: { LIMO_FAIL_AT: moment } })).signal, 'SIGKILL', moment)
    t.equal((await runCli(trainArguments(inputs, outputDir, { ...settings, resume_from_checkpoint: true }))).code, 0)
    expectSameBits(t, await traceOf(outputDir), expected, `killed at ${moment}`)
    t.same(checkpointsIn(outputDir), ['checkpoint-3', 'checkpoint-6'])
  }
})

/** Random kills; the moments above are sharper. LIMO_KILLS=300 for a night. */
const KILLS = Number(process.env.LIMO_KILLS ?? 6)

const skipRandomKills = !allTests && whySlowTestsAreSkipped
t.test('killed at random moments and resumed = never stopped', { skip: skipRandomKills }, async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 30 })
  // 28 steps an epoch: epochs, evaluations and checkpoints fall on different steps.
  const settings = {
    ...{ max_steps: 40, save_strategy: 'steps', save_steps: 3, per_device_train_batch_size: 2 },
    weight_decay: 0.1,
  }
  const evaluation = { val_size: 2, eval_steps: 7 }
  const straight = join(folder, 'straight')
  const startedAt = performance.now()
  // A process, whose start is part of the time.
  const { code, stderr } = await spawnCli(trainArguments(inputs, straight, { ...settings, ...evaluation }))
  const wholeMs = performance.now() - startedAt
  t.equal(code, 0, stderr)
  const expected = await traceOf(straight)
  t.equal(expected.metrics.length, 40 + 6, 'every step and evaluation is there once')

  const random = new Random(2026)
  const outputDir = join(folder, 'killed')
  const resumable = () => checkpointsIn(outputDir).length > 0
  const run = () =>
    trainArguments(inputs, outputDir, {
      ...{ ...settings, ...evaluation },
      ...(resumable() ? { resume_from_checkpoint: true } : { overwrite_output_dir: true }),
    })
  let kills = 0
  for (let attempt = 0; kills < KILLS; attempt++) {
    if (attempt === 10 * KILLS) throw new Error('too many runs ended before they could be killed')
    // While it starts, trains, writes a checkpoint or publishes the model.
    const delayMs = (0.2 + 0.75 * (random.uint32() / 2 ** 32)) * wholeMs
    const from = checkpointsIn(outputDir).at(-1) ?? 'the beginning'
    const cli = startCli(run())
    const timer = setTimeout(() => cli.kill('SIGKILL'), delayMs)
    const result = await cli.result
    clearTimeout(timer)
    if (result.signal === 'SIGKILL') {
      kills++
      t.comment(
        `kill ${kills}: from ${from}, after ${Math.round(delayMs)} ms, at ${checkpointsIn(outputDir).at(-1) ?? 'no checkpoint'}`,
      )
      continue
    }
    t.equal(result.code, 0, result.stderr)
    expectSameBits(t, await traceOf(outputDir), expected, `after ${kills} kills`)
    rmSync(outputDir, { recursive: true })
  }
  const last = await runCli(run())
  t.equal(last.code, 0, last.stderr)
  expectSameBits(t, await traceOf(outputDir), expected, 'after the last kill')
  t.same(
    readdirSync(outputDir).filter((name) => /\.(tmp|old)-/.test(name)),
    [],
    'what killed runs left is tidied',
  )

  const again = await runCli(trainArguments(inputs, outputDir, { ...settings, ...evaluation, resume_from_checkpoint: true }))
  t.equal(again.code, 0, 'resuming a finished run finishes at once')
  expectSameBits(t, await traceOf(outputDir), expected, 'a finished run resumed')
})

t.test('Ctrl-C finishes the step, saves, and can be resumed to the same bits', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 12 })
  const settings = { per_device_train_batch_size: 2, num_train_epochs: 4 }
  const straight = join(folder, 'straight')
  const outputDir = join(folder, 'interrupted')
  await runCli(trainArguments(inputs, straight, settings))

  for (const [signal, resume] of [['SIGINT', {}] as const, ['SIGTERM', { resume_from_checkpoint: true }] as const]) {
    const cli = startCli(trainArguments(inputs, outputDir, { ...settings, ...resume }))
    await cli.waitFor(/step \d+\/24/)
    cli.kill(signal)
    const { code, stdout, stderr } = await cli.result
    t.equal(code, 130, `${signal}: exit code`)
    t.equal(stderr, '')
    t.match(stdout, /Finishing this step and saving. Press Ctrl-C again to stop at once\./)
    t.match(stdout, /Stopped after step \d+ and saved\. Go on with .* --resume_from_checkpoint true/)
    t.notMatch(stdout, /The model is in/)
    const [, step] = /Stopped after step (\d+)/.exec(stdout)!
    t.ok(checkpointsIn(outputDir).includes(`checkpoint-${step}`), 'although save_strategy is no')
    t.notOk(existsSync(join(outputDir, 'model.safetensors')), 'no finished model yet')
    t.equal((await readMetrics(outputDir)).at(-1)!.step, Number(step), 'the metrics end at this step')
  }
  const { code, stderr } = await runCli(trainArguments(inputs, outputDir, { ...settings, resume_from_checkpoint: true }))
  t.equal(code, 0, stderr)
  expectSameBits(t, await traceOf(outputDir), await traceOf(straight), 'interrupted twice')
})

t.test('Ctrl-C before the first step saves nothing and says so', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { chains: 817 })
  const outputDir = join(folder, 'out')
  // Tokenizing ten thousand chains takes a second or so; the signal comes after the command listens.
  const list = Array.from({ length: 12 }, () => inputs.dataset).join(',')
  const cli = startCli(
    trainArguments({ ...inputs, dataset: list }, outputDir, { lr_scheduler_type: 'constant', warmup_steps: 1 }),
  )
  await cli.waitFor(/note: lr_scheduler_type/)
  await new Promise((resolve) => setTimeout(resolve, 50))
  cli.kill('SIGINT')
  const { code, stdout, stderr } = await cli.result
  t.equal(code, 130, stderr)
  t.match(stdout, /Stopped before a step was done; there was nothing to save\./)
  t.notMatch(stderr, /at .*\.js/)
  t.same(checkpointsIn(outputDir), [])
})

t.test('a second Ctrl-C ends the process at once', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 128 })
  // A step of 128 chains takes two seconds or more.
  const cli = startCli(trainArguments(inputs, join(folder, 'out'), { per_device_train_batch_size: 128, max_steps: 3 }))
  await cli.waitFor(/step 1\/3/)
  cli.kill('SIGINT')
  await cli.waitFor(/Finishing this step/)
  await wait(600)
  const secondAt = performance.now()
  cli.kill('SIGINT')
  const { code, signal, stdout } = await cli.result
  t.comment(`ended ${Math.round(performance.now() - secondAt)} ms after the second signal`)
  t.same({ code, signal }, { code: 130, signal: null })
  t.notMatch(stdout, /Stopped after|step 2\/3/)
  t.match(stdout, /Stopped at once: nothing was saved\./)
  t.same(checkpointsIn(join(folder, 'out')), [])
})

t.test('a signal that arrives twice is one, and a second SIGTERM does not lose what was done', async (t) => {
  for (const [first, second] of [
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
  ] as const) {
    const folder = t.testdir()
    const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 128 })
    const outputDir = join(folder, 'out')
    const cli = startCli(trainArguments(inputs, outputDir, { per_device_train_batch_size: 64, max_steps: 6, logging_steps: 100 }))
    await cli.waitFor(/step 1\/6/)
    cli.kill(first)
    cli.kill(second)
    if (second === 'SIGTERM') {
      await wait(600)
      cli.kill(second)
    }
    const { code, stdout } = await cli.result
    t.equal(code, 130, stdout)
    t.equal(checkpointsIn(outputDir).length, 1, `${first} twice: it has saved`)
    const rows = readFileSync(join(outputDir, 'metrics.jsonl'), 'utf8').trim().split('\n')
    t.equal(`checkpoint-${JSON.parse(rows.at(-1)!).step}`, checkpointsIn(outputDir)[0], 'the last step is logged')
  }
})

t.test('what cannot be resumed is refused, and nothing is changed', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const outputDir = join(folder, 'out')
  const settings = { save_strategy: 'steps', save_steps: 2 }
  const nothing = await runCli(trainArguments(inputs, outputDir, { resume_from_checkpoint: true }))
  expectError(t, nothing, 'CHECKPOINT_NOT_FOUND', /Start without resume_from_checkpoint/)
  t.notOk(existsSync(outputDir), 'a folder is not made in vain')

  t.equal((await runCli(trainArguments(inputs, outputDir, settings))).code, 0)
  const before = await traceOf(outputDir)

  expectError(t, await runCli(trainArguments(inputs, outputDir)), 'OUTPUT_EXISTS', /holds a run .*--resume_from_checkpoint true/)
  const inModel = await runCli(trainArguments(inputs, inputs.modelFolder, { overwrite_output_dir: true }))
  expectError(t, inModel, 'OUTPUT_EXISTS', /other than the model's folder/)
  for (const settings of [{ overwrite_output_dir: true }, { resume_from_checkpoint: true }]) {
    const fromOwn = { ...inputs, modelFolder: join(outputDir, 'checkpoint-4') }
    const result = await runCli(trainArguments(fromOwn, outputDir, settings))
    expectError(t, result, 'OUTPUT_EXISTS', /other than that of the checkpoint to start from/)
  }
  const intoModel = { resume_from_checkpoint: join(outputDir, 'checkpoint-4') }
  expectError(t, await runCli(trainArguments(inputs, inputs.modelFolder, intoModel)), 'OUTPUT_EXISTS', /the model's folder/)

  const resume = { ...settings, resume_from_checkpoint: true }
  const changed = await runCli(trainArguments(inputs, outputDir, { ...resume, learning_rate: 2e-3, num_train_epochs: 2 }))
  expectError(t, changed, 'CHECKPOINT_MISMATCH', /learningRate: 0.001 then, 0.002 now; total steps: 6 then, 12 now/)
  const otherModel = join(folder, 'other-model')
  cpSync(inputs.modelFolder, otherModel, { recursive: true })
  writeFileSync(join(otherModel, 'config.json'), JSON.stringify({ ...microConfig, rope_theta: 10_000 }))
  const withOther = await runCli(trainArguments({ ...inputs, modelFolder: otherModel }, outputDir, resume))
  expectError(t, withOther, 'CHECKPOINT_MISMATCH', /ropeTheta: 1000 then, 10000 now/)
  const otherRows = join(folder, 'other.jsonl')
  await writeOtherRows(inputs.dataset, otherRows)
  const otherData = await runCli(trainArguments({ ...inputs, dataset: otherRows }, outputDir, resume))
  expectError(t, otherData, 'CHECKPOINT_MISMATCH', /digest of the examples/)
  expectSameBits(t, await traceOf(outputDir), before, 'refused')

  const altered = join(outputDir, 'checkpoint-6', 'training-state', 'optimizer.safetensors')
  const bytes = readFileSync(altered)
  bytes[bytes.length - 1]! ^= 1
  rmSync(altered)
  appendFileSync(altered, bytes)
  const oneBit = await runCli(trainArguments(inputs, outputDir, resume))
  expectError(t, oneBit, 'CHECKPOINT_CORRUPT', /checkpoint-6.training-state.optimizer\.safetensors: .*Resume from an earlier/)
  expectSameBits(t, await traceOf(outputDir), before, 'after a corrupt checkpoint was refused')

  const earlier = await runCli(
    trainArguments(inputs, outputDir, { ...resume, resume_from_checkpoint: join(outputDir, 'checkpoint-4') }),
  )
  t.equal(earlier.code, 0, earlier.stderr)
  t.match(earlier.stdout, /resuming +after step 4 from .*checkpoint-4/)
  expectSameBits(t, await traceOf(outputDir), before, 'resumed from an earlier checkpoint by name')

  truncateSync(join(outputDir, 'checkpoint-6', 'model.safetensors'), 100)
  const cut = await runCli(trainArguments(inputs, outputDir, resume))
  t.match(cut.stdout, /from .*checkpoint-4/, 'true takes the newest checkpoint that is whole')
  expectSameBits(t, await traceOf(outputDir), before, 'resumed from the newest whole one')
})

async function writeOtherRows(source: string, target: string): Promise<void> {
  const [first, ...rest] = readFileSync(source, 'utf8').trim().split('\n')
  appendFileSync(target, [...rest, first, ''].join('\n'))
}

t.test('a run that is over is made longer, with its moments', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const outputDir = (name: string) => join(folder, name)
  const saving = { logging_steps: 1, save_strategy: 'steps' }
  const train = async (name: string, settings: Settings, code = 0) => {
    const result = await runCli(trainArguments(inputs, outputDir(name), { ...saving, ...settings }))
    t.equal(result.code, code, result.stderr)
    return result
  }
  const longer = { max_steps: 7, resume_from_checkpoint: true, lengthen: true }
  // The rate is the same at every step: nothing depends on the length, so the bits are those of the longer run.
  const constant = { lr_scheduler_type: 'constant', weight_decay: 0.1 }
  await train('straight', { ...constant, max_steps: 7 })
  await train('constant', { ...constant, max_steps: 4 })
  await train('constant', { ...constant, ...longer })
  expectSameBits(t, await traceOf(outputDir('constant')), await traceOf(outputDir('straight')), 'lengthened')

  const cosine = { lr_scheduler_type: 'cosine' }
  await train('cosine', { ...cosine, max_steps: 4 })
  cpSync(outputDir('cosine'), outputDir('again'), { recursive: true })
  expectError(t, await train('cosine', { ...cosine, ...longer, lengthen: false }, 1), 'CHECKPOINT_MISMATCH', /lengthen: true/)
  expectError(t, await train('cosine', { ...cosine, ...longer, max_steps: 3 }, 1), 'CHECKPOINT_MISMATCH', /4 then, 3 now/)
  expectError(
    t,
    await train('new', { ...cosine, ...longer, resume_from_checkpoint: false }, 2),
    'CONFIG_INVALID_VALUE',
    /resume_from_checkpoint together with it for lengthen/,
  )
  const { stdout } = await train('cosine', { ...cosine, ...longer })
  t.match(stdout, /lengthened from 4 to 7 steps.*step 5 has the learning rate 0\.\d+, not 0,/)
  const rows = await readMetrics(outputDir('cosine'))
  const rates = rows.map((row) => ('learningRate' in row ? row.learningRate : NaN))
  const { learning_rate: highest } = tinySettings(inputs, '')
  const expected = [1, 2, 3, 4, 5, 6, 7].map(
    (step) => (highest / 2) * (1 + Math.cos((Math.PI * (step - 1)) / (step > 4 ? 7 : 4))),
  )
  for (const [i, rate] of expected.entries()) t.ok(Math.abs(rates[i]! - rate) < 1e-12, `learning rate of step ${i + 1}`)

  // Killed on the way, it goes on by the same command or as any run does.
  const killed = await spawnCli(trainArguments(inputs, outputDir('again'), { ...saving, save_steps: 1, ...cosine, ...longer }), {
    env: { LIMO_FAIL_AT: 'step:2' },
  })
  t.equal(killed.signal, 'SIGKILL')
  await train('again', { ...cosine, max_steps: 7, resume_from_checkpoint: true })
  expectSameBits(t, await traceOf(outputDir('again')), await traceOf(outputDir('cosine')), 'killed while it was lengthened')
})

t.test('when checkpoints are written, and how many stay', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  // 6 steps an epoch, 12 in all.
  const cases: { settings: Settings; expected: number[] }[] = [
    { settings: { save_strategy: 'steps', save_steps: 5 }, expected: [5, 10, 12] },
    { settings: { save_strategy: 'steps', save_steps: 2, save_total_limit: 2 }, expected: [10, 12] },
    { settings: { save_strategy: 'epoch' }, expected: [6, 12] },
    { settings: { save_strategy: 'no' }, expected: [] },
  ]
  let first: Trace | undefined
  for (const [index, { settings, expected }] of cases.entries()) {
    const outputDir = join(folder, `out-${index}`)
    const { code, stderr } = await runCli(trainArguments(inputs, outputDir, { num_train_epochs: 2, ...settings }))
    t.equal(code, 0, stderr)
    t.same(
      checkpointsIn(outputDir),
      expected.map((step) => `checkpoint-${step}`),
      JSON.stringify(settings),
    )
    const trace = await traceOf(outputDir)
    first ??= trace
    expectSameBits(t, trace, first, JSON.stringify(settings))
  }
  // Anew over the first run, shorter: its checkpoints and rows must not be taken for those of this one.
  const over = join(folder, 'out-0')
  const { code } = await runCli(trainArguments(inputs, over, { overwrite_output_dir: true, save_strategy: 'epoch' }))
  t.equal(code, 0)
  t.same(checkpointsIn(over), ['checkpoint-6'])
  t.equal((await readMetrics(over)).length, 6)
})

t.test('evaluation on held out records', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const outputDir = join(folder, 'out')
  const { code, stdout, stderr } = await runCli(
    trainArguments(inputs, outputDir, { val_size: 0.2, eval_steps: 2, logging_steps: 4, per_device_eval_batch_size: 3 }),
  )
  t.equal(code, 0, stderr)
  t.match(stdout, /data +19 examples/)
  const rows = await readMetrics(outputDir)
  // 19 of 24 records are left: 5 steps of up to 4. The end is evaluated and logged whatever the strides are.
  t.same(
    rows.map((row) => ('evalLoss' in row ? `eval ${row.step}` : `step ${row.step}`)),
    ['eval 2', 'step 4', 'eval 4', 'step 5', 'eval 5'],
  )
  for (const row of rows) if ('evalLoss' in row) t.ok(row.evalLoss > 5 && row.evalLoss < 6, `about ln 264: ${row.evalLoss}`)
  t.match(stdout, /step 2 {2}evaluation loss 5\.\d{4}\n/)
  const answers = { val_size: 2, eval_steps: 1, max_steps: 1, predict_with_generate: true, max_new_tokens: 5 }
  const answered = await runCli(trainArguments(inputs, join(folder, 'answered'), answers))
  t.match(
    answered.stdout,
    /, 0\.0% of the answers right, 100\.0% of them cut off by max_new_tokens\n {2}chains\.jsonl:\d+: .*\(the answer is \d+\)/,
  )
})
