import t from 'tap'
import type { Example } from '../../../lib/data/example.js'
import { type PackedBatch, type PackOptions, packStep } from '../../../lib/data/packer.js'
import { loadChatTemplate } from '../../../lib/data/template/chat-template.js'
import { loadTokenizer } from '../../../lib/data/tokenizer/tokenizer.js'
import { Random } from '../../../lib/random/random.js'
import { makeExamples, readRecords } from '../../records.js'
import { sharedPath, tokenizerFolder } from '../../shared-files.js'

const options: PackOptions = { packing: true, capacity: 16, examplesPerMicroBatch: 1, lossReduction: 'token' }

/** An example whose ids are all different from those of the others; scored from a position on. */
function exampleOf(index: number, length: number, scoredFrom: number): Example {
  const inputIds = Int32Array.from({ length }, (_, at) => index * 1000 + at)
  const labels = inputIds.map((id, at) => (at < Math.max(1, scoredFrom) ? -100 : id))
  return { place: `rows.jsonl:${index + 1}`, inputIds, labels, scoredTokens: length - Math.max(1, scoredFrom) }
}

function randomExamples(seed: number, count: number): Example[] {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, index) => {
    const length = 2 + random.below(15)
    return exampleOf(index, length, random.below(length))
  })
}

/** The sequences of micro-batches as text, in the order of the examples. */
function sequencesOf(batches: PackedBatch[]): string[] {
  const sequences: [number, string][] = []
  for (const batch of batches) {
    for (const [s, index] of batch.exampleIndices.entries()) {
      const [start, end] = [batch.cuSeqlens[s]!, batch.cuSeqlens[s + 1]!]
      const columns = [batch.inputIds, batch.labels, batch.positions].map((column) => column.subarray(start, end).join())
      sequences.push([index, columns.join(' | ')])
    }
  }
  return sequences.sort(([a], [b]) => a - b).map(([, text]) => text)
}

t.test('the layout of a batch', async (t) => {
  const examples = [exampleOf(0, 4, 2), exampleOf(1, 2, 1), exampleOf(2, 1, 0)]
  examples[2]!.labels[0] = -100
  const [batch, ...others] = packStep(examples, options)
  t.same(others, [])
  t.same(Array.from(batch!.inputIds), [0, 1, 2, 3, 1000, 1001, 2000])
  t.same(Array.from(batch!.labels), [-100, 2, 3, -100, 1001, -100, -100], 'position t predicts the token after it')
  t.same(Array.from(batch!.positions), [0, 1, 2, 3, 0, 1, 0])
  t.same(Array.from(batch!.cuSeqlens), [0, 4, 6, 7])
  t.same(batch!.exampleIndices, [0, 1, 2])
  t.equal(batch!.scoredTokens, 3)
  const third = Math.fround(1 / 3)
  t.same(Array.from(batch!.lossWeights), [0, third, third, 0, third, 0, 0])
})

t.test('sample weights: every example counts the same', async (t) => {
  const [batch] = packStep([exampleOf(0, 5, 1), exampleOf(1, 3, 2)], { ...options, lossReduction: 'sample' })
  t.same(Array.from(batch!.lossWeights), [0.125, 0.125, 0.125, 0.125, 0, 0, 0.5, 0])
})

t.test('best-fit decreasing', async (t) => {
  const lengths = [6, 10, 3, 9, 4]
  const batches = packStep(
    lengths.map((length, index) => exampleOf(index, length, 1)),
    options,
  )
  // 10 first, then 9; 6 fits exactly beside 10; 4 and 3 beside 9
  t.same(
    batches.map(({ exampleIndices }) => exampleIndices),
    [
      [0, 1],
      [2, 3, 4],
    ],
  )
})

t.test('an example goes where the least room is left, not to the first place', async (t) => {
  const batches = packStep(
    [19, 16, 13, 2].map((length, index) => exampleOf(index, length, 1)),
    { ...options, capacity: 31 },
  )
  // room for 12 beside the 19, for 2 beside 16 and 13
  t.same(
    batches.map(({ exampleIndices }) => exampleIndices),
    [[0], [1, 2, 3]],
  )
})

t.test('an example longer than the capacity has a micro-batch of its own', async (t) => {
  const batches = packStep([exampleOf(0, 3, 1), exampleOf(1, 40, 1), exampleOf(2, 3, 1)], options)
  t.same(
    batches.map(({ exampleIndices }) => exampleIndices),
    [[0, 2], [1]],
  )
})

t.test('without packing: so many examples to a micro-batch, in order', async (t) => {
  const examples = randomExamples(1, 7)
  const batches = packStep(examples, { ...options, packing: false, capacity: 1, examplesPerMicroBatch: 3 })
  t.same(
    batches.map(({ exampleIndices }) => exampleIndices),
    [[0, 1, 2], [3, 4, 5], [6]],
  )
})

t.test('however a step is packed, it has the same sequences and the same weights', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const examples = randomExamples(seed, 1 + (seed % 13)).filter(({ scoredTokens }) => scoredTokens > 0)
    if (examples.length === 0) continue
    const unpacked = packStep(examples, { ...options, packing: false })
    for (const lossReduction of ['token', 'sample'] as const) {
      const layouts: PackOptions[] = [
        { ...options, lossReduction },
        { ...options, lossReduction, capacity: 1000 },
        { ...options, lossReduction, packing: false, examplesPerMicroBatch: 1 },
        { ...options, lossReduction, packing: false, examplesPerMicroBatch: 4 },
      ]
      const weights: string[] = []
      for (const layout of layouts) {
        const batches = packStep(examples, layout)
        const isRight =
          sequencesOf(batches).join('\n') === sequencesOf(unpacked).join('\n') &&
          batches.reduce((sum, { scoredTokens }) => sum + scoredTokens, 0) ===
            examples.reduce((sum, { scoredTokens }) => sum + scoredTokens, 0) &&
          batches.every(({ inputIds, cuSeqlens }) => cuSeqlens.at(-1) === inputIds.length) &&
          batches.every(
            ({ inputIds, exampleIndices }) =>
              !layout.packing || inputIds.length <= layout.capacity || exampleIndices.length === 1,
          ) &&
          batches.every(({ labels, lossWeights }) => labels.every((label, at) => (label === -100) === (lossWeights[at] === 0)))
        if (!isRight) t.fail(`seed ${seed}`, { layout })
        const all = batches.flatMap(({ lossWeights }) => Array.from(lossWeights))
        const sum = all.reduce((total, weight) => total + weight, 0)
        // each of at most 200 weights is rounded to float32: half an ulp is 2^-24 relative
        t.ok(Math.abs(sum - 1) <= 2 ** -24, `weights add up to ${sum}`)
        weights.push(all.sort().join())
      }
      t.equal(new Set(weights).size, 1, 'the weights do not depend on the layout')
    }
  }
})

t.test('packing is deterministic, and no two micro-batches would fit into one', async (t) => {
  const examples = randomExamples(3, 64)
  t.same(packStep(examples, options), packStep(examples, options))
  const sizes = packStep(examples, options).map(({ inputIds }) => inputIds.length)
  for (const [index, size] of sizes.entries()) {
    t.ok(sizes.slice(index + 1).every((other) => size + other > options.capacity))
  }
})

const longChains = sharedPath('data', 'sft', 'long-chains.jsonl')
t.test(
  '150 long chains into micro-batches of 16,384 tokens',
  { skip: longChains === undefined && 'shared/data is absent' },
  async (t) => {
    const folder = tokenizerFolder('qwen2_5')
    const tokenizer = await loadTokenizer(folder)
    const template = await loadChatTemplate(folder, undefined, tokenizer.specialTokens)
    const examples = makeExamples(await readRecords(longChains!), { tokenizer, template, vocabSize: 151936 })
    const capacity = 16384
    const batches = packStep(examples, { ...options, capacity })
    const tokens = batches.reduce((sum, { inputIds }) => sum + inputIds.length, 0)
    t.ok(tokens / (batches.length * capacity) >= 0.97, `${tokens} tokens in ${batches.length} micro-batches`)
    const taken = batches.flatMap(({ exampleIndices }) => exampleIndices).sort((a, b) => a - b)
    t.same(taken, Array.from(examples.keys()), 'each of them once')
  },
)
