import { TOKENS } from '../../lib/native/addon-types.js'
import { openDevice } from '../../lib/native/device.js'

/* Runs a program until the device fails, and says what everything does after that. */

const device = await openDevice('cuda-emulated')
const arena = device.allocate(1024)
const ids = { arena: 0, offset: 512, dtype: 'i32' as const, shape: [TOKENS] }
const out = { arena: 0, offset: 256, dtype: 'f32' as const, shape: [TOKENS, 2] }
const table = { arena: 0, offset: 0, dtype: 'f32' as const, shape: [4, 2] }
const operands = { out, table, ids }
const program = device.compile(
  { maxTokens: 8, maxSequences: 1, ops: [{ op: 'embedding', operands, attributes: {} }], inputs: { ids }, outputs: { out } },
  [arena],
)

const said: string[][] = []
async function say(what: string, body: () => unknown): Promise<void> {
  try {
    await body()
    said.push([what, 'done'])
  } catch (error) {
    const { code, message } = error as Error & { code: string }
    said.push([what, code, message])
  }
}

const run = () => program.run({ inputs: { ids: Int32Array.of(1) } })
await say('run', run)
await say('run', run)
await say('run', run)
await say('read', () => arena.read(0, 4))
await say('write', () => arena.write(0, new Uint8Array(4)))
await say('allocate', () => device.allocate(4))
await device.close()
console.log(JSON.stringify(said))
