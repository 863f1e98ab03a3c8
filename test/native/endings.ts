import { Worker } from 'node:worker_threads'
import { openDevice } from '../../lib/native/device.js'
import { ENDLESS, longProgram } from './long-program.js'

// A process of its own that ends in the way its argument names while a device works; test/native/device.test.ts looks at how it ends.
const worker = (workerData: string) => new Worker(new URL('./device-worker.js', import.meta.url), { workerData, execArgv: [] })
const started = (of: Worker) => new Promise((resolve) => of.once('message', resolve))

const endings: Record<string, () => Promise<void>> = {
  async 'worker.terminate'() {
    for (let i = 0; i < 5; i++) {
      const running = worker('endless')
      await started(running)
      await new Promise((resolve) => setTimeout(resolve, 7 * i))
      await running.terminate()
    }
    console.log('terminated')
  },
  async 'process.exit'() {
    await startRun()
    setTimeout(() => process.exit(7), 30)
  },
  async 'process.exit with a worker'() {
    await started(worker('endless'))
    process.exit(7)
  },
  async 'uncaught error'() {
    await startRun()
    setTimeout(() => {
      throw new Error('mine')
    }, 30)
  },
  async 'no close'() {
    const { program, x } = longProgram(await openDevice('cpu', { threads: 2 }), 3)
    console.log((await program.run({ inputs: { x } })).y![0])
  },
  async 'pending run'() {
    // Nothing waits for it, and yet it finishes: a run keeps the process alive.
    const { program, x } = longProgram(await openDevice('cpu', { threads: 2 }), 20)
    program.run({ inputs: { x } }).then(() => console.log('finished'))
  },
  async 'too many threads'() {
    await openDevice('cpu', { threads: 1000 }).catch(({ code, message }) => console.log(code, message))
    const device = await openDevice('cpu', { threads: 2 })
    console.log(device.info.threads)
    await device.close()
  },
}

async function startRun(): Promise<void> {
  const { program, arena, x } = longProgram(await openDevice('cpu', { threads: 2 }), ENDLESS)
  program.run({ inputs: { x } })
  arena.read(0, 1000)
  arena.write(0, x)
}

await endings[process.argv[2]!]!()
