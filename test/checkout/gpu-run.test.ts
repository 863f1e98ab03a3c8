import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runInShell } from '../command-line.js'
import { cudaTargets, whyNoEmulator } from '../ops/run-op.js'
import { repositoryRoot } from '../shared-files.js'

/* bench/gpu/run.sh, which has ten minutes on a real card once: that it brings results out whatever happens. */

const script = join(repositoryRoot, 'bench', 'gpu', 'run.sh')
const skip = cudaTargets.length === 0 && whyNoEmulator

async function runScript(t: Test, parts: string, env: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), 'limo-gpu-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const out = join(folder, 'out')
  const { code, stdout, stderr } = await runInShell(`bash "${script}" "${out}" ${parts}`, { cwd: repositoryRoot, env })
  const read = (name: string) => (existsSync(join(out, name)) ? readFileSync(join(out, name), 'utf8') : '')
  const rows = read('cuda-emulated.jsonl')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
  return { code, output: stdout + stderr, files: readdirSync(out).sort(), summary: read('summary.txt'), rows }
}

t.test('over the emulated device', { skip, timeout: 5 * 60_000 }, async (t) => {
  const { code, output, files, summary, rows } = await runScript(t, 'build smoke attention step products', {
    LIMO_GPU_DEVICE: 'cuda-emulated',
  })
  t.equal(code, 0, output)
  t.same(files, ['cuda-emulated.jsonl', 'results.tgz', 'summary.txt'], 'few files, however many logs')
  for (const log of ['smoke', 'attention', 'step-tiny', 'products', 'memory-bound']) t.match(summary, `${log}.log: ok`)
  t.match(summary, /cpu device +opens/)
  for (const part of ['build', 'smoke', 'attention', 'step', 'products']) t.match(summary, new RegExp(`${part}: took \\d+ s`))
  const measured = rows.map(({ op, step }) => op ?? step)
  for (const name of ['linear', 'attention', 'adamw', 'tiny']) t.ok(measured.includes(name), name)
  t.ok(
    rows.filter(({ op, step }) => op ?? step).every(({ commit, medianMs, share }) => commit && medianMs > 0 && share >= 0),
    'rows are whole',
  )
})

t.test('a device that fails', { skip, timeout: 5 * 60_000 }, async (t) => {
  for (const launch of ['1', '20']) {
    const env = { LIMO_GPU_DEVICE: 'cuda-emulated', LIMO_EMULATED_FAILED_LAUNCH: launch }
    const { code, output, files, summary } = await runScript(t, 'build attention products', env)
    t.equal(code, 0, output)
    t.match(summary, /attention\.log: failed/, `launch ${launch}`)
    t.match(summary, /products: took \d+ s/, 'the next part is tried all the same')
    t.same(files, ['cuda-emulated.jsonl', 'results.tgz', 'summary.txt'])
  }
})

t.test('without a card, whatever nvidia-smi says', { skip, timeout: 5 * 60_000 }, async (t) => {
  const bin = join(t.testdir(), 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'nvidia-smi'), '#!/bin/sh\necho "NVIDIA H900 (imagined)"\n')
  chmodSync(join(bin, 'nvidia-smi'), 0o755)
  const env = { PATH: `${bin}:${process.env.PATH}`, CUDA_VISIBLE_DEVICES: '' }
  const { code, output, summary } = await runScript(t, 'smoke step check rest sanitize profile', env)
  t.equal(code, 0, output)
  t.match(summary, 'card: NVIDIA H900 (imagined)')
  for (const part of ['smoke', 'step', 'check', 'rest', 'sanitize', 'profile'])
    t.match(summary, new RegExp(`^${part}: skipped: .*not available`, 'm'))

  const wrong = await runScript(t, 'smoke kernel', {})
  t.match(wrong, { code: 2, output: /expected build, smoke, .* or profile but received "kernel"/ })
})
