// npm run check: everything that CI does: format, lint, the machine code of the CUDA kernels, builds without a warning, every test, and a
// sample on 64-bit ARM. `--after-tests` takes the count of the `npm test` that has just run, in place of running the tests again.
// The last line is "N passed, N failed".
import { spawnSync } from 'node:child_process'
import { arm64Sample, testArm64, whyNoArm64 } from './arm64.mjs'
import { formatCounts, lastCounts } from './run-tests.mjs'

process.env.LIMO_WERROR = 'ON'
const steps = [
  ['format and lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']],
  // Skips itself where there is no nvcc.
  ['machine code of the CUDA kernels', 'scripts/check-cuda.mjs', []],
]
if (!process.argv.includes('--after-tests')) steps.push(['tests', 'scripts/test.mjs', ['--all']])

const totals = { passed: 0, failed: 0, skipped: 0 }
const add = (counts) => {
  for (const name of Object.keys(totals)) totals[name] += counts[name]
}
for (const [name, script, args] of steps) {
  console.log(`# ${name}`)
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' })
  if (status !== 0) console.log(`not ok - ${name}`)
  // Tests count one by one.
  if (name !== 'tests') add({ passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 })
}
// Of a run that did not get to its tests, as where something does not compile, there are none: that is a failure.
add(lastCounts())

console.log('# operations and training steps on 64-bit ARM, emulated')
const reason = whyNoArm64()
if (reason === undefined) add(await testArm64(arm64Sample, { all: false }))
else {
  console.log(`skipped: expected ${reason}`)
  totals.skipped += 1
}
console.log(formatCounts(totals))
process.exit(totals.failed === 0 ? 0 : 1)
