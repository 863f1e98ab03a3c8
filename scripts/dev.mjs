// npm run dev -- [--emulator] FILE …: the loop for a change: builds what changed, for this processor alone, compiles TypeScript
// incrementally, runs the test files named. With --emulator on the emulated CUDA device too.
import { findTests, formatCounts, runTests } from './run-tests.mjs'
import { buildAddon, buildEmulator, compileTypes } from './steps.mjs'
import { ownBuild } from './tools.mjs'

const names = process.argv.slice(2).filter((name) => name !== '--emulator')
const withEmulator = process.argv.includes('--emulator')
if (names.length === 0) {
  console.error('usage: npm run dev -- [--emulator] test/ops/linear.test.ts …')
  process.exit(2)
}
const settings = ownBuild()
buildAddon(settings)
if (withEmulator) buildEmulator(settings)
compileTypes()
const totals = await runTests(findTests(names), { env: withEmulator ? { LIMO_TEST_EMULATOR: '1' } : {} })
console.log(formatCounts(totals))
process.exit(totals.failed === 0 ? 0 : 1)
