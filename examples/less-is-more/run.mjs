// Less is more, in miniature: what 800 chains teach a small model that knows its facts, beside ten times as many answers and as many
// poor chains.
//
//     node examples/less-is-more/run.mjs [output folder] [--seeds 3] [--quick]
//
// Writes results.json and plot.svg into the output folder. What is done is not done again, so it can be stopped and started.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { evaluate, parseTrainConfig, readBenchmarks, TextGenerator, train } from 'limo-native'
import { chainsOf, factsAndSkills, kinds, poorChains, withAnswersAlone } from './data.mjs'
import { plot } from './plot.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' }, quick: { type: 'boolean', default: false } },
})
const output = positionals[0] ?? (values.quick ? 'less-is-more-quick' : 'less-is-more')
if (!(Number(values.seeds) >= 1)) throw new Error(`expected a number of seeds from 1 on but received ${values.seeds}`)
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1)
/** For a first look: a thirtieth of the work, which teaches nothing. */
const scale = values.quick ? 30 : 1

const chains = Math.round(800 / scale)
const problems = values.quick ? 20 : 200
mkdirSync(output, { recursive: true })
// A folder that another setting or release of this script began holds other models.
const settings = JSON.stringify({ version: 3, chains, problems })
const settingsPath = join(output, 'settings.json')
if (existsSync(settingsPath) ? readFileSync(settingsPath, 'utf8') !== settings : existsSync(join(output, 'base')))
  throw new Error(`${output} holds results of other settings: choose another folder`)
writeFileSync(settingsPath, settings)

const command = join(dirname(createRequire(import.meta.url).resolve('limo-native/package.json')), 'dist/lib/cli/main.js')
const folder = (name) => join(output, name)
const write = (name, rows) => {
  writeFileSync(folder(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return folder(name)
}

/** Trains `from` on a file; the model is `to`. */
async function fit(from, to, dataset, { epochs, seed, weightDecay }) {
  if (existsSync(join(to, 'done'))) return
  const { config } = parseTrainConfig({
    model_name_or_path: from,
    dataset,
    output_dir: to,
    default_system: '',
    cutoff_len: 2048,
    per_device_train_batch_size: 4,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-3,
    bf16: true,
    lr_scheduler_type: 'cosine_with_min_lr',
    lr_scheduler_kwargs: { min_lr_rate: 0.1 },
    warmup_ratio: 0.05,
    num_train_epochs: Math.max(1, Math.round(epochs / scale)),
    weight_decay: weightDecay,
    adam_beta2: 0.98,
    logging_steps: 100,
    save_strategy: 'no',
    overwrite_output_dir: true,
    seed,
    data_seed: seed,
  })
  const start = performance.now()
  let tokens = 0
  let loss = 0
  for await (const event of train(config)) {
    if (event.type !== 'step') continue
    tokens += event.tokens
    loss = event.loss
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(`${to}: ${tokens} tokens in ${seconds} s, last loss ${loss.toFixed(4)}`)
  writeFileSync(join(to, 'done'), `${JSON.stringify({ tokens, seconds })}\n`)
}

/** The share of each kind of problems that a model solves. */
async function score(model) {
  const known = join(model, 'scores.json')
  if (existsSync(known)) return JSON.parse(readFileSync(known, 'utf8'))
  const benchmarks = await readBenchmarks(Object.keys(kinds).map((kind) => folder(`${kind}.jsonl`)))
  const generator = await TextGenerator.load(model, { maxSequences: 100, maxLength: 1024 })
  const scores = {}
  try {
    const protocol = { system: '', samples: 1, sampling: { temperature: 0, maxNewTokens: 500 } }
    for await (const event of evaluate({ model, generator, benchmarks, protocol }))
      if (event.type === 'end') for (const { benchmark, accuracy } of event.summaries) scores[benchmark] = accuracy
  } finally {
    await generator.close()
  }
  writeFileSync(known, JSON.stringify(scores))
  return scores
}

// Problems that nobody is trained on.
const heldOut = Object.keys(kinds).map((kind) => [kind, chainsOf(kind, problems, 90_001)])
for (const [kind, rows] of heldOut) write(`${kind}.jsonl`, rows)
const exclude = new Set(heldOut.flatMap(([, rows]) => rows.map(({ key }) => key)))

/** What a model is fine-tuned on, about as many tokens each. */
function conditionsOf(seed) {
  const good = chainsOf('inDistribution', chains, 1000 + seed, exclude)
  return {
    chains: { rows: good, epochs: 15 },
    answers: { rows: withAnswersAlone(chainsOf('inDistribution', 10 * chains, 1000 + seed, exclude)), epochs: 7 },
    poor: { rows: poorChains(good, seed), epochs: 15 },
  }
}

// What is known beforehand. The model's tokens are digits and the words of what it will be trained on.
const empty = folder('empty')
const base = folder('base')
const facts = write('facts.jsonl', factsAndSkills(16_000 / scale, 1))
if (!existsSync(join(base, 'done'))) {
  rmSync(empty, { recursive: true, force: true })
  const texts = [
    facts,
    write(
      'words.jsonl',
      seeds.flatMap((seed) => Object.values(conditionsOf(seed)).flatMap(({ rows }) => rows)),
    ),
  ]
  const { status } = spawnSync(process.execPath, [command, 'init', empty, '--preset', 'tiny', '--words', ...texts], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}
await fit(empty, base, facts, { epochs: 4, seed: 1, weightDecay: 0.1 })

const results = { base: await score(base), runs: [] }
for (const seed of seeds) {
  for (const [condition, { rows, epochs }] of Object.entries(conditionsOf(seed))) {
    const model = folder(`${condition}-${seed}`)
    await fit(base, model, write(`${condition}-${seed}.jsonl`, rows), { epochs, seed, weightDecay: 1 })
    const scores = await score(model)
    results.runs.push({ condition, seed, rows: rows.length, ...JSON.parse(readFileSync(join(model, 'done'), 'utf8')), scores })
    console.log(condition, seed, scores)
    writeFileSync(folder('results.json'), `${JSON.stringify(results, null, 2)}\n`)
  }
}
writeFileSync(folder('plot.svg'), plot(results))

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
console.log(`\n${['', ...Object.keys(kinds)].join(' | ')}`)
for (const condition of ['base', 'chains', 'answers', 'poor']) {
  const of = (kind) =>
    condition === 'base'
      ? [results.base[kind]]
      : results.runs.filter((run) => run.condition === condition).map((run) => run.scores[kind])
  const cell = (kind) => {
    const shares = of(kind).map((share) => 100 * share)
    const range = shares.length > 1 ? ` (${Math.min(...shares).toFixed(1)}–${Math.max(...shares).toFixed(1)})` : ''
    return `${mean(shares).toFixed(1)}%${range}`
  }
  console.log([condition, ...Object.keys(kinds).map(cell)].join(' | '))
}
