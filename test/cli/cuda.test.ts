import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadTrainConfig } from '../../lib/config/train-config.js'
import { openDevice } from '../../lib/native/device.js'
import { readMetrics, type StepMetrics } from '../../lib/train/metrics.js'
import { prepareRun } from '../../lib/train/prepare.js'
import { TrainSession } from '../../lib/train/train-session.js'
import { cudaTargets, whyNoEmulator } from '../ops/run-op.js'
import { tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, runCli, spawnCli } from './run-cli.js'

/* The CUDA backend as a user meets it: on a machine without a device, and over the emulator. */

const skip = cudaTargets[0]?.device !== 'cuda-emulated' && whyNoEmulator

async function settingsFor(t: Test) {
  return { ...tinySettings(await writeTinyInputs(t.testdir()), join(t.testdirName, 'run')), bf16: true, threads: 1 }
}

t.test('a plan for a CUDA device is what such a device allocates', { skip }, async (t) => {
  const settings = await settingsFor(t)
  const { code, stdout, stderr } = await runCli(['plan', ...asOptions({ ...settings, device: 'cuda' }), '--json'])
  t.same({ code, stderr }, { code: 0, stderr: '' }, 'on a machine that may have none')
  const plan = JSON.parse(stdout)
  const { config } = await loadTrainConfig(undefined, { ...settings, device: 'cuda-emulated' })
  const run = await prepareRun(config)
  const device = await openDevice('cuda-emulated')
  t.teardown(() => device.close())
  const session = await TrainSession.create(device, run.plan)
  for (const [name, { bytes }] of Object.entries(session.arenas)) t.equal(plan.bytes[name], bytes, name)
  t.equal(plan.bytes.scratch, device.info.scratchBytes, 'working memory')
  t.equal(
    plan.totalBytes,
    Object.values(session.arenas).reduce((sum, { bytes }) => sum + bytes, device.info.scratchBytes),
  )
  const text = await runCli(['plan', ...asOptions({ ...settings, device: 'cuda' })])
  t.match(text.stdout, /memory on cuda, bfloat16/)
})

t.test('a run on the emulated device resumes to the bits of one that never stopped', { skip }, async (t) => {
  const settings = {
    ...(await settingsFor(t)),
    device: 'cuda-emulated',
    max_steps: 4,
    save_strategy: 'steps',
    save_steps: 2,
    logging_steps: 1,
  }
  const train = (more: Record<string, string | number | boolean>) => runCli(['train', ...asOptions({ ...settings, ...more })])
  const whole = await train({ output_dir: join(t.testdirName, 'whole') })
  t.equal(whole.code, 0, whole.stderr)
  t.match(whole.stdout, /on cuda-emulated/)
  const planned = await runCli(['plan', ...asOptions(settings), '--json'])
  const [row] = (await readMetrics(join(t.testdirName, 'whole'))) as StepMetrics[]
  t.equal(row!.peakBytes, JSON.parse(planned.stdout).totalBytes, 'memory of the device, not of the process')
  const resumed = await train({
    output_dir: join(t.testdirName, 'resumed'),
    resume_from_checkpoint: join(t.testdirName, 'whole', 'checkpoint-2'),
  })
  t.equal(resumed.code, 0, resumed.stderr)
  const weights = (run: string) => readFile(join(t.testdirName, run, 'model.safetensors'))
  t.ok((await weights('whole')).equals(await weights('resumed')))
})

t.test('a device that fails ends the run with a sentence, and what was saved stays', { skip }, async (t) => {
  const settings = { ...(await settingsFor(t)), device: 'cuda-emulated', save_strategy: 'steps', save_steps: 1, max_steps: 4 }
  const { code, stdout, stderr } = await spawnCli(['train', ...asOptions(settings)], {
    env: { LIMO_EMULATED_FAILED_LAUNCH: '200' },
  })
  t.equal(code, 1)
  t.match(stdout, /saved .*checkpoint-1/)
  t.match(stderr, /^limo-native: .*failed with cudaErrorLaunchFailure.* \[DEVICE_FAILED\]\n$/s)
  t.ok(JSON.parse(await readFile(join(settings.output_dir, 'checkpoint-1', 'config.json'), 'utf8')))
})

t.test('a model that is too large for the device', { skip }, async (t) => {
  const settings = { ...(await settingsFor(t)), device: 'cuda-emulated', memory_limit: '81MiB' }
  const { code, stderr } = await runCli(['train', ...asOptions(settings)])
  t.equal(code, 1)
  t.match(stderr, /expected a run within 81\.0 MiB but it takes .*\[OUT_OF_MEMORY\]/)
})

t.test('doctor says what is missing', async (t) => {
  const { code, stdout } = await runCli(['doctor'])
  t.equal(code, 0, 'a machine without a GPU is as healthy as any')
  t.match(stdout, /^cuda backend +(loads|not there)$/m)
  t.match(stdout, /^cuda(:0| device) +(opens: |not available: ).+/m)
})
