// npm test [-- FILE …]: compiles and runs the tests.
import { spawnSync } from 'node:child_process'
import { runTap } from './tap-run.mjs'

const compiled = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc'], { stdio: 'inherit' })
process.exit(compiled.status !== 0 ? 1 : await runTap(process.argv.slice(2)))
