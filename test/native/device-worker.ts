import { parentPort, workerData } from 'node:worker_threads'
import { openDevice } from '../../lib/native/device.js'
import { ENDLESS, longProgram } from './long-program.js'

// A worker thread with a device of its own: runs a short program and posts its output, or starts a run that does not end.
const device = await openDevice('cpu', { threads: 2 })
const { program, arena, x } = longProgram(device, workerData === 'short' ? 3 : ENDLESS)
if (workerData === 'short') {
  parentPort!.postMessage((await program.run({ inputs: { x } })).y)
  await device.close()
} else {
  const run = program.run({ inputs: { x } })
  // More jobs behind it, which the end of the worker drops.
  const queued = [arena.read(0, 1000), arena.write(0, x), program.run({ inputs: { x } })]
  parentPort!.postMessage('running')
  await Promise.all([run, ...queued])
}
