// npm run test:arm64 [-- FILE …]: compiles the addon for 64-bit ARM and runs the tests of the operations on it under an emulator of the
// processor (qemu), on portable, NEON and NEON with bfloat16. Node for ARM comes from the npm registry. Debian: g++-aarch64-linux-gnu,
// qemu-user-static.

import { testArm64, whyNoArm64 } from './arm64.mjs'
import { formatCounts } from './run-tests.mjs'
import { compileTypes } from './steps.mjs'

const reason = whyNoArm64()
if (reason !== undefined) {
  console.error(`expected ${reason}`)
  process.exit(1)
}
compileTypes()
const names = process.argv.slice(2)
const totals = await testArm64(names.length > 0 ? names : ['test/ops/'], { all: true })
console.log(formatCounts(totals))
process.exit(totals.failed === 0 ? 0 : 1)
