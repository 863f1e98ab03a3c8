// npm run contracts: writes lib/graph/ops/contracts.ts, the contract of every operation, as the addon tells it from the headers in
// native/ops. To be run after a header has changed and the addon was built; test/graph/contracts.test.ts compares.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { runScript } from './steps.mjs'

const file = 'lib/graph/ops/contracts.ts'
const { describeOps } = createRequire(import.meta.url)('../build/Release/limo_native.node')
const contracts = Object.fromEntries(
  describeOps().map(({ name, operands, attributes, workingMemory }) => [
    name,
    {
      name,
      operands: Object.fromEntries(operands.map(({ name, ...rule }) => [name, rule])),
      attributes,
      ...(workingMemory.length > 0 && { workingMemory: workingMemory.map(({ access: _, ...rule }) => rule) }),
    },
  ]),
)
writeFileSync(
  file,
  `import type { OpContract } from '../op.js'

/** Generated from the headers in native/ops by \`npm run contracts\`: change them, not this. */
export const contracts = ${JSON.stringify(contracts)} as const satisfies Record<string, OpContract>
`,
)
runScript('node_modules/@biomejs/biome/bin/biome', ['check', '--write', file])
