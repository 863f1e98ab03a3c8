/* Starts workers that call the addon without a pause and terminates each at a random moment. Run as a process of its own. */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { openDevice } from '../../lib/native/device.js'

const WORKERS = 30

async function callWithoutPause(): Promise<never> {
  const device = await openDevice('cpu', { threads: 2 })
  const arena = device.allocate(1 << 20)
  const out = { arena: 0, offset: 0, dtype: 'f32' as const, shape: [1 << 16] }
  const op = { op: 'zero', operands: { out }, attributes: {} }
  const program = device.compile({ maxTokens: 0, maxSequences: 0, ops: [op, op], inputs: {}, outputs: {} }, [arena])
  parentPort!.postMessage('under way')
  for (;;) await Promise.all([program.run(), arena.read(0, 1000), arena.write(0, new Uint8Array(1000)), program.run()])
}

if (isMainThread) {
  for (let n = 0; n < WORKERS; n++) {
    const worker = new Worker(fileURLToPath(import.meta.url))
    await once(worker, 'message')
    await setTimeout(Math.random() * 20)
    await worker.terminate()
  }
  console.log('all ended')
} else await callWithoutPause()
