// npm test [-- FILE …]: builds what has changed and runs the tests: all that a change usually breaks, on portable kernels and this
// processor's best. npm run test:all [-- FILE …]: every instruction set, the emulated CUDA device, and tests that take minutes.
import { findTests, forgetCounts, formatCounts, runTests } from './run-tests.mjs'
import { buildAddon, buildEmulator, compileTypes } from './steps.mjs'
import { ownBuild, wholeBuild } from './tools.mjs'

const all = process.argv.includes('--all') || process.env.LIMO_TEST === 'all'
const names = process.argv.slice(2).filter((name) => name !== '--all')
const settings = all ? wholeBuild() : ownBuild()

forgetCounts()
buildAddon(settings)
if (all) buildEmulator(settings)
compileTypes()
const totals = await runTests(findTests(names), { env: all ? { LIMO_TEST: 'all' } : {}, isWhole: names.length === 0 })
if (!all) console.log('left to npm run test:all: other instruction sets, the emulated CUDA device, and tests that take minutes')
console.log(formatCounts(totals))
process.exit(totals.failed === 0 ? 0 : 1)
