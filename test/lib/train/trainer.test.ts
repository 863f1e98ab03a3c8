import { createHash } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { readHeader } from '../../../lib/checkpoint/safetensors.js'
import { loadTrainConfig, type TrainConfig } from '../../../lib/config/train-config.js'
import { presets } from '../../../lib/model/presets.js'
import { openDevice } from '../../../lib/native/device.js'
import { readMetrics, type StepMetrics } from '../../../lib/train/metrics.js'
import { prepareRun } from '../../../lib/train/prepare.js'
import { type TrainEvent, train } from '../../../lib/train/trainer.js'
import { roundToBf16 } from '../../ops/bf16.js'
import { readTensors, relativeL2 } from '../../tensor-files.js'
import { microConfig, type TinyInputs, tinySettings, writeTinyInputs } from '../../tiny-inputs.js'

async function configOf(inputs: TinyInputs, outputDir: string, settings: Record<string, unknown> = {}): Promise<TrainConfig> {
  return (await loadTrainConfig(undefined, { ...tinySettings(inputs, outputDir), ...settings })).config
}

async function eventsOf(run: AsyncIterable<TrainEvent>): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

const named = ({ type, ...event }: TrainEvent) => ('step' in event ? `${type} ${event.step}` : type)
const weightsOf = (folder: string) => readFileSync(join(folder, 'model.safetensors'))

t.test('events come in order, with everything that metrics.jsonl has', async (t) => {
  const folder = t.testdir()
  const outputDir = join(folder, 'out')
  const settings = { max_steps: 5, val_size: 2, eval_steps: 2, save_strategy: 'steps', save_steps: 4, logging_steps: 2 }
  const events = await eventsOf(train(await configOf(await writeTinyInputs(folder), outputDir, settings)))
  t.same(events.map(named), [
    ...['start', 'step 1', 'step 2', 'evaluation 2', 'step 3', 'step 4', 'evaluation 4', 'checkpoint 4'],
    ...['step 5', 'evaluation 5', 'checkpoint 5', 'end 5'],
  ])
  const [start] = events
  t.match(start, { resumedFrom: undefined, resumedStep: 0, run: { batches: { totalSteps: 5 } } })
  t.match(start, { summary: { examples: 22, totalSteps: 5, parameters: 8976, fits: true } })
  t.ok(JSON.stringify(start).length < 1500 && !JSON.stringify(events).includes('"programs"'), 'events are small as JSON')
  t.match(events.at(-1), { outputDir, interrupted: false })
  t.match(
    events.filter(({ type }) => type === 'checkpoint'),
    [4, 5].map((step) => ({ folder: join(outputDir, `checkpoint-${step}`) })),
  )

  const steps = events.filter((event) => event.type === 'step')
  t.same(
    steps.map(({ logged }) => logged),
    [false, true, false, true, true],
  )
  const logged = steps.filter(({ logged }) => logged).map(({ type: _, logged: __, totalSteps: ___, ...row }) => row)
  const rows = (await readMetrics(outputDir)).filter((row): row is StepMetrics => 'loss' in row)
  t.same(rows, logged)
  for (const row of rows) {
    t.match(row, { step: Number, epoch: Number, loss: Number, gradNorm: Number, learningRate: Number, scoredTokens: Number })
    t.ok(row.tokens > row.scoredTokens && row.peakBytes > 1e6 && row.elapsedMs >= 0 && row.tokensPerSecond > 0)
  }
})

t.test('eval_on_start evaluates the untrained model, once, and changes nothing else', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { max_steps: 2, val_size: 2, eval_steps: 2, logging_steps: 1, learning_rate: 1e-2 }
  const run = async (output: string, more: Record<string, unknown>) =>
    eventsOf(train(await configOf(inputs, join(folder, output), { ...settings, ...more })))
  const without = await run('without', {})
  const events = await run('with', { eval_on_start: true })
  t.same(events.map(named), ['start', 'evaluation 0', ...without.map(named).slice(1)])
  const losses = events.flatMap((event) => (event.type === 'evaluation' ? [event.evalLoss] : []))
  t.ok(losses[0]! > losses[1]!, `${losses}: it has learnt`)
  t.match((await readMetrics(join(folder, 'with')))[0], { step: 0, epoch: 0, evalLoss: losses[0] })
  t.same(weightsOf(join(folder, 'with')), weightsOf(join(folder, 'without')))

  const saving = { save_strategy: 'steps', save_steps: 1 }
  const stopped = train(await configOf(inputs, join(folder, 'stopped'), { ...settings, ...saving, eval_on_start: true }))
  for await (const event of stopped) if (event.type === 'checkpoint') break
  const resumed = await run('stopped', { eval_on_start: true, resume_from_checkpoint: true })
  t.same(resumed.map(named).slice(0, 3), ['start', 'step 2', 'evaluation 2'], 'not again after a stop')
  t.same(
    (await readMetrics(join(folder, 'stopped'))).map(({ step }) => step),
    [0, 1, 2, 2],
  )
  const never = await run('never', { eval_on_start: true, val_size: 0, eval_strategy: 'no' })
  t.notOk(never.some(({ type }) => type === 'evaluation'))
})

t.test('a signal ends the run after a step, and it goes on from there', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  await eventsOf(train(await configOf(inputs, join(folder, 'straight'))))

  const stop = new AbortController()
  const outputDir = join(folder, 'stopped')
  const seen: string[] = []
  for await (const event of train(await configOf(inputs, outputDir), { signal: stop.signal })) {
    seen.push(named(event))
    if (event.type === 'step' && event.step === 2) stop.abort()
    if (event.type === 'end') t.ok(event.interrupted)
  }
  t.same(seen, ['start', 'step 1', 'step 2', 'checkpoint 2', 'end 2'])
  t.notOk(existsSync(join(outputDir, 'model.safetensors')))

  const resumed = await eventsOf(train(await configOf(inputs, outputDir, { resume_from_checkpoint: true })))
  t.match(resumed[0], { type: 'start', resumedStep: 2, resumedFrom: join(outputDir, 'checkpoint-2') })
  t.equal(named(resumed[1]!), 'step 3')
  const times = (await readMetrics(outputDir)).map((row) => (row as StepMetrics).elapsedMs)
  t.same(
    times.toSorted((a, b) => a - b),
    times,
    'time goes on as well',
  )
  t.ok(weightsOf(outputDir).equals(weightsOf(join(folder, 'straight'))), 'the same bits as a run that was not stopped')

  const atOnce = train(await configOf(inputs, join(folder, 'never')), { signal: AbortSignal.abort() })
  await t.rejects(eventsOf(atOnce), { name: 'AbortError' }, 'before the start there is nothing to save')
  t.notOk(existsSync(join(folder, 'never')))
})

t.test('a checkpoint of another folder does not open a folder that holds a run', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const saving = { save_strategy: 'steps', save_steps: 3 }
  for (const name of ['a', 'b']) await eventsOf(train(await configOf(inputs, join(folder, name), saving)))
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  const fromA = { ...saving, resume_from_checkpoint: join(a, 'checkpoint-3') }
  const before = readdirSync(b)
  await t.rejects(eventsOf(train(await configOf(inputs, b, fromA))), { code: 'OUTPUT_EXISTS', message: /holds a run/ })
  t.same(readdirSync(b), before)

  symlinkSync(a, join(folder, 'link'))
  const linked = await eventsOf(train(await configOf(inputs, join(folder, 'link'), fromA)))
  t.match(linked[0], { resumedStep: 3 }, 'a folder is known through a link')

  await eventsOf(train(await configOf(inputs, b, { ...fromA, overwrite_output_dir: true })))
  t.same(
    readdirSync(b).filter((name) => name.startsWith('checkpoint')),
    ['checkpoint-6'],
    'the checkpoints of the run before are gone',
  )
  t.same(
    (await readMetrics(b)).map(({ step }) => step),
    [4, 5, 6],
    'and so are its rows',
  )
  t.ok(weightsOf(b).equals(weightsOf(a)))
  const fresh = join(folder, 'fresh')
  await eventsOf(train(await configOf(inputs, fresh, fromA)))
  t.ok(weightsOf(fresh).equals(weightsOf(a)), 'a new folder takes it without a question')
})

t.test('a damaged checkpoint is not passed over in silence', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const outputDir = join(folder, 'out')
  const saving = { save_strategy: 'steps', save_steps: 2, max_steps: 4 }
  const [start] = await eventsOf(train(await configOf(inputs, outputDir, saving)))
  t.match(start, { notes: [] })
  truncateSync(join(outputDir, 'checkpoint-4', 'model.safetensors'), 9)
  const resume = { ...saving, resume_from_checkpoint: true }
  const [resumed] = await eventsOf(train(await configOf(inputs, outputDir, resume)))
  t.match(resumed, { resumedStep: 2, notes: [/checkpoint-4 is damaged and was passed over \(model\.safetensors: expected/] })
  for (const name of ['checkpoint-2', 'checkpoint-4']) truncateSync(join(outputDir, name, 'config.json'), 9)
  await t.rejects(eventsOf(train(await configOf(inputs, outputDir, resume))), {
    code: 'CHECKPOINT_NOT_FOUND',
    message: /checkpoint-4 is damaged .*checkpoint-2 is damaged .* Start without .* and with --overwrite_output_dir true/,
  })
})

t.test('a run resumed with another instruction set says so', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const outputDir = join(folder, 'out')
  const resume = await configOf(inputs, outputDir, { resume_from_checkpoint: true, save_strategy: 'steps' })
  const { LIMO_CPU } = process.env
  t.teardown(() => {
    if (LIMO_CPU === undefined) delete process.env.LIMO_CPU
    else process.env.LIMO_CPU = LIMO_CPU
  })
  process.env.LIMO_CPU = 'portable'
  await eventsOf(train(await configOf(inputs, outputDir, { save_strategy: 'steps' })))
  const [same] = await eventsOf(train(resume))
  t.match(same, { notes: [] })
  if (LIMO_CPU === undefined) delete process.env.LIMO_CPU
  else process.env.LIMO_CPU = LIMO_CPU
  const device = await openDevice('cpu')
  const { instructionSet } = device.info
  await device.close()
  const [other] = await eventsOf(train(resume))
  const message = new RegExp(`checkpoint-6 was made with portable and this run computes with ${instructionSet}: the last bits`)
  t.match(other, { notes: instructionSet === 'portable' ? [] : [message] })

  // As an earlier release wrote it.
  const statePath = join(outputDir, 'checkpoint-6', 'training-state', 'state.json')
  const { instructionSet: _, ...state } = JSON.parse(readFileSync(statePath, 'utf8'))
  const text = JSON.stringify(state)
  writeFileSync(statePath, text)
  const manifestPath = join(outputDir, 'checkpoint-6', 'manifest.json')
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'))
  const sha256 = createHash('sha256').update(text).digest('hex')
  manifest.files['training-state/state.json'] = { bytes: text.length, sha256 }
  writeFileSync(manifestPath, JSON.stringify(manifest))
  const [earlier] = await eventsOf(train(resume))
  t.match(earlier, { resumedStep: 6, notes: [] })
})

t.test('examples beyond the positions of the model are noted', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: { ...microConfig, max_position_embeddings: 300 } })
  const [start] = await eventsOf(train(await configOf(inputs, join(folder, 'out'), { max_steps: 1 })))
  const note =
    /^\d+ examples are longer than the model's max_position_embeddings of 300 \(the longest has \d+ tokens, chains\.jsonl:\d+ is/
  t.match(start, { notes: [note], run: { notes: [note] } })
})

t.test('with freeze only what is named is trained and kept, and a resumed run has the same bits', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  for (const bf16 of [false, true]) {
    const settings = {
      ...{ bf16, learning_rate: 0.01, finetuning_type: 'freeze', freeze_trainable_layers: 1 },
      ...{ freeze_trainable_modules: 'mlp', freeze_extra_modules: 'norm', max_steps: 4, save_strategy: 'steps', save_steps: 2 },
      ...{ val_size: 2, eval_steps: 2, predict_with_generate: true, predict_samples: 1, max_new_tokens: 3 },
    }
    const outputDir = join(folder, `straight-${bf16}`)
    await eventsOf(train(await configOf(inputs, outputDir, settings)))
    const before = await readTensors(join(inputs.modelFolder, 'model.safetensors'))
    const after = await readTensors(join(outputDir, 'model.safetensors'))
    const rounded = (values: Float32Array) => (bf16 ? roundToBf16(values) : values)
    const changed = [...after].filter(([name, values]) => values.some((value, i) => value !== rounded(before.get(name)!)[i]))
    const last = Math.max(...[...after.keys()].map((name) => Number(/layers\.(\d+)/.exec(name)?.[1] ?? 0)))
    const named = ['gate', 'up', 'down'].map((part) => `model.layers.${last}.mlp.${part}_proj.weight`)
    t.same(new Set(changed.map(([name]) => name)), new Set([...named, 'model.norm.weight']))
    const { entries } = await readHeader(join(outputDir, 'checkpoint-2', 'training-state', 'optimizer.safetensors'))
    t.equal(entries.size, 4 * (bf16 ? 3 : 2), 'moments, and in bfloat16 master weights, of the four weights')

    const stopped = join(folder, `stopped-${bf16}`)
    mkdirSync(stopped)
    cpSync(join(outputDir, 'checkpoint-2'), join(stopped, 'checkpoint-2'), { recursive: true })
    const resume = { ...settings, resume_from_checkpoint: true }
    await eventsOf(train(await configOf(inputs, stopped, resume)))
    t.ok(weightsOf(stopped).equals(weightsOf(outputDir)), 'the same bits')
    const other = { ...resume, freeze_trainable_layers: 2, max_steps: 4, output_dir: stopped }
    await t.rejects(eventsOf(train(await configOf(inputs, stopped, other))), {
      code: 'CHECKPOINT_MISMATCH',
      message: /freeze: \{"extraModules":\["norm"\],"layers":1,"modules":\["mlp"\]\} then/,
    })
  }
})

t.test('a few lines of metrics are no run that is in the way, many are, and are not proposed to be resumed', async (t) => {
  const folder = t.testdir()
  const config = await configOf(await writeTinyInputs(folder), join(folder, 'out'))
  for await (const event of train(config)) if (event.type === 'step') break
  t.same(readdirSync(join(folder, 'out')), ['metrics.jsonl'])
  for await (const event of train(config)) if (event.type === 'step') break
  const row = readFileSync(join(folder, 'out', 'metrics.jsonl'), 'utf8').split('\n')[0]
  writeFileSync(join(folder, 'out', 'metrics.jsonl'), `${row}\n`.repeat(2000))
  await t.rejects(eventsOf(train(config)), {
    code: 'OUTPUT_EXISTS',
    message: /holds a run \(metrics\.jsonl\): write over it with --overwrite_output_dir true or choose another output_dir$/,
  })
})

t.test('files of someone else are not replaced by the trained model', async (t) => {
  const folder = t.testdir({ out: { 'notes.txt': '', LICENSE: 'mine', 'manifest.json': '{"name": "my web app"}' } })
  const inputs = await writeTinyInputs(folder)
  writeFileSync(join(inputs.modelFolder, 'LICENSE'), 'of the model')
  const outputDir = join(folder, 'out')
  const license = () => readFileSync(join(outputDir, 'LICENSE'), 'utf8')
  await t.rejects(eventsOf(train(await configOf(inputs, outputDir))), {
    code: 'OUTPUT_EXISTS',
    message: /files that the trained model would replace but .*out has LICENSE, manifest\.json: choose another output_dir/,
    details: { foreign: ['LICENSE', 'manifest.json'] },
  })
  t.same(readdirSync(outputDir).sort(), ['LICENSE', 'manifest.json', 'notes.txt'])
  await eventsOf(train(await configOf(inputs, outputDir, { overwrite_output_dir: true })))
  t.equal(license(), 'of the model')
  await t.rejects(eventsOf(train(await configOf(inputs, outputDir))), { message: /holds a run/ }, 'now it is a run of ours')

  const beside = join(folder, 'beside')
  mkdirSync(beside)
  writeFileSync(join(beside, 'notes.txt'), 'mine')
  await eventsOf(train(await configOf(inputs, beside)))
  t.equal(readFileSync(join(beside, 'notes.txt'), 'utf8'), 'mine', 'other files are no obstacle')
})

t.test('a run without a config', async (t) => {
  for (const config of [undefined, null] as never[])
    await t.rejects(eventsOf(train(config)), { name: 'ConfigError', code: 'CONFIG_INVALID_VALUE', message: /loadTrainConfig/ })
})

t.test('a config that a program has changed is checked', async (t) => {
  const folder = t.testdir()
  const outputDir = join(folder, 'out')
  const config = await configOf(await writeTinyInputs(folder), outputDir)
  const wrong: [object, string, RegExp][] = [
    [{ learningRate: 'abc' }, 'CONFIG_INVALID_VALUE', /expected a number of at least 0 for learningRate but received "abc"/],
    [{ learningRate: NaN }, 'CONFIG_INVALID_VALUE', /learningRate/],
    [{ learningRate: undefined }, 'CONFIG_INVALID_VALUE', /learningRate but received/],
    [{ evalStrategy: 'sometimes' }, 'CONFIG_INVALID_VALUE', /evalStrategy/],
    [{ minLrRate: 2 }, 'CONFIG_INVALID_VALUE', /a number from 0 to 1 for minLrRate/],
    [{ freeze: { layers: 1 } }, 'CONFIG_INVALID_VALUE', /freeze/],
    [{ perDeviceTrainBatchSize: 0 }, 'CONFIG_INVALID_VALUE', /perDeviceTrainBatchSize/],
    [{ learning_rate: 1 }, 'CONFIG_UNKNOWN_KEY', /unknown setting learning_rate: did you mean learningRate\?/],
    [{ learningRat: 1 }, 'CONFIG_UNKNOWN_KEY', /did you mean learningRate\?/],
  ]
  for (const [change, code, message] of wrong) {
    const changed = { ...config, ...change } as typeof config
    await t.rejects(eventsOf(train(changed)), { name: 'ConfigError', code, message }, JSON.stringify(change))
    await t.rejects(prepareRun(changed), { name: 'ConfigError', code }, 'planned')
  }
  t.notOk(existsSync(outputDir))
  const { maxSteps: _, ...without } = config
  await prepareRun({ ...without, warmupSteps: 3, learningRate: 1e-4 })
})

t.test('leaving the loop ends the run', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  for (let round = 0; round < 3; round++) {
    let steps = 0
    for await (const event of train(await configOf(inputs, join(folder, 'out'), { overwrite_output_dir: true }))) {
      if (event.type === 'step' && ++steps === 2) break
    }
    t.equal((await readMetrics(join(folder, 'out'))).length, 2)
  }
  await t.rejects(async () => {
    for await (const event of train(await configOf(inputs, join(folder, 'thrown'))))
      if (event.type === 'step') throw new Error('mine')
  }, /mine/)
  t.same(readdirSync(join(folder, 'thrown')), ['metrics.jsonl'], 'nothing is saved')
  const threads = threadCount()
  for (let round = 0; round < 3; round++) {
    const again = await configOf(inputs, join(folder, 'out'), { overwrite_output_dir: true })
    for await (const event of train(again)) if (event.type === 'step') break
  }
  t.ok(threadCount() <= threads, 'the threads of its device are gone')
})

/** Threads of this process; 0 where the system does not say. */
function threadCount(): number {
  return existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0
}

t.test('the event loop stays free', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { configJson: presets.tiny!, chains: 64 })
  // Four steps of some hundred milliseconds; two threads compete with the event loop for the processors there are.
  const config = await configOf(inputs, join(folder, 'out'), { per_device_train_batch_size: 32, num_train_epochs: 2 })
  const gaps: number[] = []
  let stepMs = 0
  let last = performance.now()
  let idleAtStart = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    gaps.push(performance.now() - last)
    last = performance.now()
  }, 10)
  for await (const event of train(config)) {
    if (event.type === 'start') {
      gaps.length = 0
      last = performance.now()
      idleAtStart = performance.eventLoopUtilization()
    } else if (event.type === 'step') stepMs = event.elapsedMs / event.step
  }
  const { utilization } = performance.eventLoopUtilization(idleAtStart)
  clearInterval(timer)
  gaps.sort((a, b) => a - b)
  const median = gaps[Math.floor(gaps.length / 2)]!
  const p95 = gaps[Math.floor(gaps.length * 0.95)]!
  t.comment(
    `10 ms timer while steps take ${stepMs.toFixed(0)} ms: median ${median.toFixed(1)}, 95% ${p95.toFixed(1)}, ` +
      `worst ${gaps.at(-1)!.toFixed(1)} ms; the event loop is busy for ${(100 * utilization).toFixed(1)}% of the time`,
  )
  // Steps that blocked would make gaps as long as a step, and a loop that is always busy. A timer that is late because other
  // programs have the processors is not of our making, so the bounds on single timers are wide.
  t.ok(utilization < 0.3, 'the event loop waits most of the time')
  t.ok(gaps.length > 20 && median < 20, `half of ${gaps.length} timers on time`)
  t.ok(p95 < Math.max(50, stepMs / 2), `nearly all of them within a fraction of a step: ${p95} ms`)
})

t.test('packing, micro-batches and recomputation do not change the result; the reduction does', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const trained = async (name: string, settings: Record<string, unknown>) => {
    const outputDir = join(folder, name)
    const events = await eventsOf(train(await configOf(inputs, outputDir, { disable_shuffling: true, ...settings })))
    const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
    return { losses, weights: await readTensors(join(outputDir, 'model.safetensors')), bytes: weightsOf(outputDir) }
  }
  const packed = await trained('packed', { cutoff_len: 1024 })
  const same = {
    unpacked: { packing: false },
    '1 x 4': { packing: false, per_device_train_batch_size: 1, gradient_accumulation_steps: 4 },
    '2 x 2': { per_device_train_batch_size: 2, gradient_accumulation_steps: 2, cutoff_len: 600 },
  }
  for (const [name, settings] of Object.entries(same)) {
    const other = await trained(name.replaceAll(' ', ''), settings)
    for (const [step, loss] of packed.losses.entries()) {
      // Sums of some hundred float32 losses in another order.
      t.ok(Math.abs(other.losses[step]! - loss) <= 1e-5 * loss, `${name}: loss of step ${step + 1}`)
    }
    for (const [tensor, weights] of packed.weights) {
      // A key's bias has gradients that are almost nothing but rounding, which AdamW divides by their own size.
      if (tensor.endsWith('k_proj.bias')) continue
      const error = relativeL2(other.weights.get(tensor)!, weights)
      t.ok(error <= 1e-4, `${name}: ${tensor}: ${error}`)
    }
  }
  t.ok(
    (await trained('recomputed', { cutoff_len: 1024, recompute: 'full' })).bytes.equals(packed.bytes),
    'recomputed: the same bits',
  )
  t.ok((await trained('1-thread', { cutoff_len: 1024, threads: 1 })).bytes.equals(packed.bytes), 'one thread: the same bits')

  const sample = await trained('sample', { loss_reduction: 'sample' })
  t.not(sample.losses[0], packed.losses[0], 'another mean of the same losses')
  t.ok(Math.abs(sample.losses[0]! - packed.losses[0]!) < 0.1 * packed.losses[0]!)
})

t.test('a loss that is not finite ends the run and names the examples', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder, { chains: 8 })
  const outputDir = join(folder, 'out')
  const settings = { per_device_train_batch_size: 2, num_train_epochs: 1, save_strategy: 'steps', save_steps: 1 }
  await eventsOf(train(await configOf(inputs, outputDir, { ...settings, max_steps: 2 })))
  const before = weightsOf(join(outputDir, 'checkpoint-2'))

  const broken = { ...inputs, modelFolder: join(folder, 'broken') }
  mkdirSync(broken.modelFolder)
  for (const name of readdirSync(inputs.modelFolder)) copyFileSync(join(inputs.modelFolder, name), join(broken.modelFolder, name))
  const path = join(broken.modelFolder, 'model.safetensors')
  const bytes = readFileSync(path)
  const { entries } = await readHeader(path)
  bytes.writeFloatLE(Infinity, entries.get('model.norm.weight')!.byteOffset)
  writeFileSync(path, bytes)
  const failing = eventsOf(train(await configOf(broken, join(folder, 'failed'), settings)))
  const places = [/chains\.jsonl:\d/, /chains\.jsonl:\d/]
  await t.rejects(failing, {
    code: 'NON_FINITE',
    message: /finite loss at step 1 but received \S+ \(examples chains\.jsonl:\d, chains\.jsonl:\d\)/,
    details: { step: 1, places },
  })
  t.same(readdirSync(join(folder, 'failed')), ['metrics.jsonl'], 'nothing of it is saved')

  // A run that diverges later leaves its earlier checkpoints.
  const diverging = { ...settings, learning_rate: 1e30, lr_scheduler_type: 'constant', max_grad_norm: 0, num_train_epochs: 5 }
  const seen: string[] = []
  await t.rejects(
    async () => {
      for await (const event of train(await configOf(inputs, join(folder, 'diverged'), diverging))) seen.push(named(event))
    },
    { code: 'NON_FINITE' },
  )
  const saved = seen.filter((event) => event.startsWith('checkpoint')).length
  t.ok(saved >= 1, 'the first step was still finite')
  t.same(readdirSync(join(folder, 'diverged')).filter((name) => name.startsWith('checkpoint')).length, saved)
  t.ok(weightsOf(join(outputDir, 'checkpoint-2')).equals(before))
})

t.test(
  'two runs into one folder: the second is refused, whatever it asks for, and the first is as it would be alone',
  async (t) => {
    const folder = t.testdir()
    const inputs = await writeTinyInputs(folder)
    await eventsOf(train(await configOf(inputs, join(folder, 'alone'))))
    const config = await configOf(inputs, join(folder, 'out'))
    const first = train(config)
    await first.next()
    for (const settings of [{ overwriteOutputDir: true }, { resumeFromCheckpoint: true as const }, {}]) {
      const second = eventsOf(train({ ...config, ...settings }))
      await t.rejects(second, { code: 'OUTPUT_EXISTS', message: /to work in .*out alone but process \d+ on .+ does/ })
    }
    await eventsOf(first)
    t.ok(weightsOf(join(folder, 'out')).equals(weightsOf(join(folder, 'alone'))))
    t.notOk(readdirSync(join(folder, 'out')).some((name) => name.includes('lock')))
    t.equal((await eventsOf(train({ ...config, overwriteOutputDir: true }))).at(-1)!.type, 'end', 'afterwards it may')
  },
)

t.test('two runs at once, and a run in a worker, give what each alone gives', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  await eventsOf(train(await configOf(inputs, join(folder, 'alone'))))
  const alone = weightsOf(join(folder, 'alone'))

  const both = ['a', 'b'].map(async (name) => eventsOf(train(await configOf(inputs, join(folder, name)))))
  const counts = (await Promise.all(both)).map((events) => events.length)
  t.same(counts, [8, 8])
  for (const name of ['a', 'b']) t.ok(weightsOf(join(folder, name)).equals(alone), `run ${name}`)

  const config = await configOf(inputs, join(folder, 'worker'))
  const entry = new URL('../../../lib/index.js', import.meta.url).href
  const source = `
    import(${JSON.stringify(entry)}).then(async ({ train }) => {
      const { parentPort, workerData } = require('node:worker_threads')
      for await (const event of train(workerData)) if (event.type === 'step') parentPort.postMessage(event.step)
    })`
  const worker = new Worker(source, { eval: true, workerData: config })
  const steps: number[] = []
  worker.on('message', (step: number) => steps.push(step))
  await eventsOf(train(await configOf(inputs, join(folder, 'beside'))))
  const code = await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  t.equal(code, 0)
  t.same(steps, [1, 2, 3, 4, 5, 6])
  t.ok(weightsOf(join(folder, 'worker')).equals(alone), 'in the worker')
  t.ok(weightsOf(join(folder, 'beside')).equals(alone), 'beside the worker')

  // A worker that is terminated while it trains takes nothing with it.
  const doomed = new Worker(source, {
    eval: true,
    workerData: { ...config, outputDir: join(folder, 'doomed'), numTrainEpochs: 100 },
  })
  await new Promise((resolve, reject) => doomed.once('message', resolve).once('error', reject))
  await doomed.terminate()
  await eventsOf(train(await configOf(inputs, join(folder, 'after'))))
  t.ok(weightsOf(join(folder, 'after')).equals(alone), 'after a worker was terminated')
})
