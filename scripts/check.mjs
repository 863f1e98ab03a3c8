// npm run check: everything that CI does. Format, lint, types, native build, tests; the last line is "N passed, N failed".
import { spawnSync } from 'node:child_process'
import { countTap } from './tap-run.mjs'

const steps = [
  ['format and lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']],
  // A stale native build must not pass: CMake rebuilds what changed, and warnings are errors.
  ['native build', 'node_modules/cmake-js/bin/cmake-js', ['build', '--out', 'build/cmake', '--CDLIMO_WERROR=ON']],
  // Skips itself where there is no nvcc.
  ['machine code of the CUDA kernels', 'scripts/check-cuda.mjs', []],
  ['types and build', 'node_modules/typescript/bin/tsc', []],
]

let failed = 0
for (const [name, script, args] of steps) {
  console.log(`# ${name}`)
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' })
  if (status !== 0) {
    console.log(`not ok - ${name}`)
    failed += 1
  }
}
console.log('# tests')
// Tests that take minutes are skipped by npm test: a fresh clone, the README's training run, an installed package.
process.env.LIMO_SLOW_TESTS = '1'
const tests = failed > 0 ? { passed: 0, failed: 0, skipped: 0 } : await countTap(process.argv.slice(2))
failed += tests.failed
const skipped = tests.skipped > 0 ? `, ${tests.skipped} skipped` : ''
console.log(`${tests.passed + steps.length - (failed - tests.failed)} passed, ${failed} failed${skipped}`)
process.exit(failed === 0 ? 0 : 1)
