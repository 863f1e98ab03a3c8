import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { repositoryRoot } from '../shared-files.js'

/** Kernels with planted mistakes (test/native/cuda-emulator/), built where the emulator is. */
const program = join(repositoryRoot, 'build', 'Release', 'limo_emulator_faults')
const skip = existsSync(program) ? false : 'limo_emulator_faults is not built here'

/** The attention kernels for sm_90a in the emulator, with mistakes that the environment plants. */
const attention = join(repositoryRoot, 'build', 'Release', 'limo_attention_faults')

const run = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env } })

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

t.test('mistakes in attention for sm_90a are caught', { skip }, async (t) => {
  const runAttention = (fault: number) =>
    spawnSync(attention, { encoding: 'utf8', env: { ...process.env, LIMO_ATTENTION_FAULT: `${fault}` } })
  const right = runAttention(0)
  t.match(right.stdout, / 0 failures/)
  t.equal(right.status, 0, 'without any it agrees with its formula')
  for (const fault of [1, 2, 3, 4, 5, 6]) t.equal(runAttention(fault).status, 1, `mistake ${fault}`)
})
