// npm run check: everything that CI does: format, lint, the machine code of the CUDA kernels, builds without a warning, every test, and a
// sample on 64-bit ARM. `--after-tests` takes the count of the `npm test` that has just run, in place of running the tests again.
// The last line is "N passed, N failed".
import { spawn } from 'node:child_process'
import { arm64Sample, testArm64, whyNoArm64 } from './arm64.mjs'
import { formatCounts, lastCounts } from './run-tests.mjs'

process.env.LIMO_WERROR = 'ON'
const totals = { passed: 0, failed: 0, skipped: 0 }
const add = (counts) => {
  for (const name of Object.keys(totals)) totals[name] += counts[name]
}

/** Runs node on a script and prints what it wrote when it has ended; resolves to whether it succeeded. */
async function runStep(name, script, args = []) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  const code = await new Promise((done) => child.on('close', done))
  console.log(`# ${name}\n${output}${code === 0 ? '' : `not ok - ${name}`}`)
  return code === 0
}

// Beside the rest, for it uses one processor. It skips itself where there is no nvcc.
const cuda = runStep('machine code of the CUDA kernels', 'scripts/check-cuda.mjs')
const format = await runStep('format and lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.'])
if (!process.argv.includes('--after-tests')) await runStep('tests', 'scripts/test.mjs', ['--all'])
// Tests count one by one. Of a run that did not get to them, as where something does not compile, there are none: that is a failure.
add(lastCounts())

console.log('# operations and training steps on 64-bit ARM, emulated')
const reason = whyNoArm64()
if (reason === undefined) add(await testArm64(arm64Sample, { all: false }))
else {
  console.log(`skipped: expected ${reason}`)
  totals.skipped += 1
}
for (const succeeded of [format, await cuda]) add({ passed: succeeded ? 1 : 0, failed: succeeded ? 0 : 1, skipped: 0 })
console.log(formatCounts(totals))
process.exit(totals.failed === 0 ? 0 : 1)
