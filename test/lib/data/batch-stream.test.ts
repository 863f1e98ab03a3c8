import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type BatchPlanOptions, planBatches, shuffledOrder } from '../../../lib/data/batch-stream.js'
import type { Example } from '../../../lib/data/example.js'
import { examplesOf as inMemory } from '../../../lib/data/examples.js'
import type { PackOptions } from '../../../lib/data/packer.js'
import { Random } from '../../../lib/random/random.js'
import { makeExamples, readRecords } from '../../records.js'
import { sharedPath } from '../../shared-files.js'

const pack: PackOptions = { packing: true, capacity: 32, examplesPerMicroBatch: 1, lossReduction: 'token' }
const options: BatchPlanOptions = { examplesPerStep: 4, numTrainEpochs: 2, seed: 42, disableShuffling: false, pack }

function exampleOf(index: number, length: number): Example {
  const inputIds = new Int32Array(length).fill(index)
  return { place: `rows.jsonl:${index + 1}`, inputIds, labels: inputIds.with(0, -100), scoredTokens: length - 1 }
}

function examplesOf(count: number, seed = 0): Example[] {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, index) => exampleOf(index, 2 + random.below(20)))
}

const sorted = (values: Iterable<number>) => Array.from(values).sort((a, b) => a - b)
const range = (count: number) => Array.from({ length: count }, (_, index) => index)

t.test('shuffledOrder', async (t) => {
  t.same(sorted(shuffledOrder(100, 1, 0)), range(100), 'every number once')
  t.same(shuffledOrder(100, 1, 0), shuffledOrder(100, 1, 0))
  t.notSame(shuffledOrder(100, 1, 0), shuffledOrder(100, 2, 0), 'by the seed')
  t.notSame(shuffledOrder(100, 1, 0), shuffledOrder(100, 1, 1), 'by the epoch')
  t.same(Array.from(shuffledOrder(8, 42, 0)), [6, 1, 4, 0, 5, 7, 3, 2], 'as in every other release')
  t.same(Array.from(shuffledOrder(1, 5, 5)), [0])
  t.same(Array.from(shuffledOrder(0, 5, 5)), [])

  const counts = new Map<string, number>()
  for (let seed = 0; seed < 6000; seed++) {
    const order = shuffledOrder(3, seed, 0).join('')
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  t.equal(counts.size, 6)
  // 1000 of each are expected, with a standard deviation of sqrt(6000 · 1/6 · 5/6) = 29; five of them
  for (const [order, count] of counts) t.ok(Math.abs(count - 1000) < 145, `${order}: ${count}`)
})

t.test('every epoch takes every example once', async (t) => {
  const examples = examplesOf(10)
  const plan = planBatches(inMemory(examples), options)
  t.equal(plan.stepsPerEpoch, 3)
  t.equal(plan.totalSteps, 6)
  const orders: string[] = []
  for (const first of [1, 4]) {
    const steps = [first, first + 1, first + 2].map((n) => plan.step(n))
    const taken = steps.map(({ microBatches }) => microBatches.flatMap(({ exampleIndices }) => exampleIndices))
    t.same(
      taken.map(({ length }) => length),
      [4, 4, 2],
      'the last step has what is left',
    )
    t.same(sorted(taken.flat()), range(10))
    orders.push(taken.join())
    for (const { microBatches, tokens, scoredTokens } of steps) {
      for (const { exampleIndices, inputIds, cuSeqlens } of microBatches) {
        for (const [s, index] of exampleIndices.entries())
          t.equal(inputIds[cuSeqlens[s]!], index, 'the indices are those of the examples')
      }
      t.equal(
        tokens,
        microBatches.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
      )
      t.equal(
        scoredTokens,
        microBatches.reduce((sum, batch) => sum + batch.scoredTokens, 0),
      )
    }
  }
  t.not(orders[0], orders[1], 'in another order')
  t.same(
    range(6).map((index) => plan.step(index + 1).epoch),
    [0.4, 0.8, 1, 1.4, 1.8, 2],
  )
})

t.test('a step depends on its number and the seed alone', async (t) => {
  const examples = examplesOf(23)
  const inOrder = planBatches(inMemory(examples), options)
  const forwards = range(inOrder.totalSteps).map((index) => inOrder.step(index + 1))
  const resumed = planBatches(inMemory(examples), options)
  for (const n of [7, 3, 12, 1, 7]) t.same(resumed.step(n), forwards[n - 1])
  t.notSame(planBatches(inMemory(examples), { ...options, seed: 43 }).step(1), forwards[0])
})

t.test('file order', async (t) => {
  const plan = planBatches(inMemory(examplesOf(6)), { ...options, disableShuffling: true, pack: { ...pack, packing: false } })
  t.same(
    range(4).map((index) => plan.step(index + 1).microBatches.flatMap(({ exampleIndices }) => exampleIndices)),
    [
      [0, 1, 2, 3],
      [4, 5],
      [0, 1, 2, 3],
      [4, 5],
    ],
  )
})

t.test('the number of steps', async (t) => {
  const steps = (count: number, changes: Partial<BatchPlanOptions>) =>
    planBatches(inMemory(examplesOf(count)), { ...options, ...changes }).totalSteps
  t.equal(steps(10, { numTrainEpochs: 1 }), 3)
  t.equal(steps(10, { numTrainEpochs: 1.5 }), 5)
  t.equal(steps(40, { numTrainEpochs: 1.1 }), 11, '1.1 · 10 is 11, though 11.000000000000002 in floating point')
  t.equal(steps(10, { maxSteps: 7 }), 7)
  t.equal(steps(3, { numTrainEpochs: 15 }), 15, 'fewer examples than a step takes')
  t.throws(() => steps(0, {}), { code: 'DATA_EMPTY' })
})

t.test('the bounds hold for every step, and are reached when a step takes everything', async (t) => {
  const packs: PackOptions[] = [
    pack,
    { ...pack, capacity: 5 },
    { ...pack, capacity: 10_000 },
    { ...pack, packing: false },
    { ...pack, packing: false, examplesPerMicroBatch: 3 },
    { ...pack, packing: false, examplesPerMicroBatch: 50 },
  ]
  for (const [index, pack] of packs.entries()) {
    const examples = examplesOf(17, index)
    const plan = planBatches(inMemory(examples), { ...options, numTrainEpochs: 30, pack })
    let [tokens, sequences] = [0, 0]
    for (let n = 1; n <= plan.totalSteps; n++) {
      for (const { inputIds, exampleIndices } of plan.step(n).microBatches) {
        tokens = Math.max(tokens, inputIds.length)
        sequences = Math.max(sequences, exampleIndices.length)
      }
    }
    t.ok(tokens <= plan.maxTokens, `${tokens} <= ${plan.maxTokens} tokens`)
    t.ok(sequences <= plan.maxSequences, `${sequences} <= ${plan.maxSequences} sequences`)
  }
  const examples = examplesOf(17)
  const all = planBatches(inMemory(examples), { ...options, examplesPerStep: 100, pack: { ...pack, capacity: 10_000 } })
  t.equal(all.maxTokens, all.step(1).tokens)
  t.equal(all.maxSequences, 17)
  t.equal(planBatches(inMemory([exampleOf(0, 50)]), options).maxTokens, 50, 'never below the longest example')
  t.equal(planBatches(inMemory([exampleOf(0, 50)]), options).maxSequences, 1)
})

for (const family of ['qwen2', 'qwen3', 'llama3']) {
  const rows = sharedPath('golden', family, 'rows.jsonl')
  t.test(`golden run of ${family}`, { skip: rows === undefined && 'shared/golden is absent' }, async (t) => {
    const run = JSON.parse(readFileSync(join(rows!, '..', 'run.json'), 'utf8'))
    const { vocab_size: vocabSize } = JSON.parse(readFileSync(join(rows!, '..', 'config.json'), 'utf8'))
    const examples = makeExamples(await readRecords(rows!), { vocabSize })
    t.equal(examples.length, 24)
    for (const packing of [true, false]) {
      const plan = planBatches(inMemory(examples), {
        ...options,
        disableShuffling: true,
        pack: { ...pack, packing, capacity: 4096 },
      })
      t.equal(plan.totalSteps, run.steps)
      t.same(
        range(run.steps).map((index) => plan.step(index + 1).scoredTokens),
        run.loss_reduction.token.map((step: { scored_tokens: number }) => step.scored_tokens),
      )
    }
  })
}
