/* A training run in a process of its own: prints its plan, its losses, and its memory, as JSON. Its argument is the config. */
import { readFileSync } from 'node:fs'
import { parseTrainConfig, train } from '../lib/index.js'

/** A line of /proc/self/status, in bytes: VmRSS is now, VmHWM the most so far. */
function memory(name: 'VmRSS' | 'VmHWM'): number {
  const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))!
  return Number(kib) * 1024
}

const { config } = parseTrainConfig(JSON.parse(process.argv[2]!), 'test')
const idleBytes = memory('VmRSS')
let planBytes = 0
const losses: number[] = []
let maxTokens = 0
for await (const event of train(config)) {
  if (event.type === 'start') {
    planBytes = event.run.plan.totalBytes
    maxTokens = event.run.plan.bounds.maxTokens
  } else if (event.type === 'step') losses.push(event.loss)
}
console.log(JSON.stringify({ planBytes, maxTokens, losses, idleBytes, peakBytes: memory('VmHWM') }))
