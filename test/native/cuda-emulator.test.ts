import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cudaTargets, whyNoEmulator } from '../ops/run-op.js'
import { repositoryRoot } from '../shared-files.js'

const programOf = (name: string) => join(repositoryRoot, 'build', 'Release', name)

const start = (name: string, args: string[], env: Record<string, string> = {}) =>
  spawnSync(programOf(name), args, { encoding: 'utf8', env: { ...process.env, LIMO_EMULATED_CAPABILITY: '90', ...env } })

/** Kernels with planted mistakes (test/native/cuda-emulator/), built where the emulator is. */
const run = (args: string[], env: Record<string, string> = {}) => start('limo_emulator_faults', args, env)
const skip = (cudaTargets[0]?.device !== 'cuda-emulated' || !existsSync(programOf('limo_emulator_faults'))) && whyNoEmulator

t.test('mistakes in kernels are caught, and the same kernels without them run', { skip }, async (t) => {
  const names = run([]).stdout.trim().split('\n')
  t.ok(names.length > 30, `${names.length} mistakes`)
  for (const name of names) {
    const faulty = run([name])
    t.equal(faulty.status, 0, `${name}: ${faulty.stdout.trim()}`)
    const correct = run([name, 'correct'])
    t.equal(correct.status, 0, `${name} put right: ${correct.stdout.trim()}`)
  }
})

t.test('a launch can be made to fail', { skip }, async (t) => {
  const { status, stdout } = run(['missing-syncthreads', 'correct'], { LIMO_EMULATED_FAILED_LAUNCH: '1' })
  t.equal(status, 1)
  t.match(stdout, /cudaErrorLaunchFailure/)
  t.equal(run(['missing-syncthreads', 'correct'], { LIMO_EMULATED_FAILED_LAUNCH: '2' }).status, 0, 'not the first one')
})

t.test('a device of compute capability 8.0 has neither TMA nor wgmma', { skip }, async (t) => {
  for (const name of ['stage-released-early', 'missing-wgmma-wait']) {
    const { status, stdout } = run([name, 'correct'], { LIMO_EMULATED_CAPABILITY: '80' })
    t.equal(status, 1)
    t.match(stdout, /expected a device of compute capability 9\.0/)
  }
})

/** The kernels for sm_90a against their formulas; LIMO_ATTENTION_FAULT plants a mistake. */
const runAttention = (env: Record<string, string>) => start('limo_attention_faults', [], env)

t.test('attention for sm_90a agrees with its formulas, whatever the schedule', { skip }, async (t) => {
  for (const seed of ['0', '1', '2']) {
    const { status, stdout } = runAttention({ LIMO_EMULATED_SEED: seed })
    t.equal(status, 0, `seed ${seed}: ${stdout.trim().split('\n').at(-1)}`)
  }
})

t.test('mistakes in attention for sm_90a are caught', { skip }, async (t) => {
  for (const fault of [1, 2, 3, 4, 5, 6])
    t.equal(runAttention({ LIMO_ATTENTION_FAULT: `${fault}` }).status, 1, `mistake ${fault}`)
})
