import t from 'tap'
import { contracts } from '../../lib/graph/ops/contracts.js'
import { loadAddon } from '../../lib/native/binding.js'

t.test('the contracts of operations are those of the native headers', async (t) => {
  const native = loadAddon().describeOps()
  t.ok(native.length >= 28)
  const written = native.map(({ name, operands, attributes, workingMemory }) => [
    name,
    {
      name,
      operands: Object.fromEntries(operands.map(({ name, ...rule }) => [name, rule])),
      attributes,
      ...(workingMemory.length > 0 && { workingMemory: workingMemory.map(({ access: _, ...rule }) => rule) }),
    },
  ])
  t.same(contracts, Object.fromEntries(written), 'npm run contracts writes them anew')
  t.same(
    Object.keys(contracts),
    native.map(({ name }) => name),
  )
  for (const { name, operands } of native)
    t.same(
      Object.keys(contracts[name as keyof typeof contracts].operands),
      operands.map(({ name }) => name),
      `operands of ${name}`,
    )
})
