import t from 'tap'
import { parseModelConfig } from '../../lib/config/model-config.js'
import type { PackedBatch } from '../../lib/data/packer.js'
import { openDevice } from '../../lib/native/device.js'
import { NormalNumbers } from '../../lib/random/normal-numbers.js'
import { Random } from '../../lib/random/random.js'
import { planTraining, type TrainPlan, type TrainPlanOptions } from '../../lib/train/train-plan.js'
import { TrainSession } from '../../lib/train/train-session.js'
import { microConfigs } from './micro-configs.js'

const device = await openDevice('cpu', { threads: 2 })
t.teardown(() => device.close())

function batchOf(lengths: number[], vocabulary: number): PackedBatch {
  const random = new Random(1)
  const tokens = lengths.reduce((sum, length) => sum + length)
  return {
    inputIds: Int32Array.from({ length: tokens }, () => random.below(vocabulary)),
    labels: Int32Array.from({ length: tokens }, () => (random.below(3) === 0 ? -100 : random.below(vocabulary))),
    lossWeights: new Float32Array(tokens).fill(1 / tokens),
    positions: Int32Array.from(lengths.flatMap((length) => Array.from({ length }, (_, i) => i))),
    cuSeqlens: Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))]),
    scoredTokens: tokens,
    exampleIndices: [],
  }
}

const optionsOf = (family: string): TrainPlanOptions => ({
  config: parseModelConfig(microConfigs[family], family),
  recompute: 'none',
  threads: 2,
  maxTokens: 250,
  maxSequences: 5,
  ...{ adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }, maxGradNorm: 1 },
})

/** Loss, losses of tokens and all gradients of two micro-steps. */
async function results(plan: TrainPlan, batches: PackedBatch[]): Promise<unknown[]> {
  const session = await TrainSession.create(device, plan)
  const normal = new NormalNumbers(3, 4)
  await session.arenas.parameters.write(
    0,
    Float32Array.from({ length: plan.bytes.parameters / 4 }, () => 0.2 * normal.next()),
  )
  const losses = []
  for (const batch of batches) losses.push(await session.runMicroStep(batch))
  return [losses, await session.arenas.gradients.read(0, plan.bytes.gradients)]
}

for (const family of Object.keys(microConfigs)) {
  t.test(`${family}: recomputed layers give the bits of kept ones`, async (t) => {
    const options = optionsOf(family)
    const batches = [batchOf([100, 1, 70], options.config.vocabSize), batchOf([250], options.config.vocabSize)]
    const none = planTraining(options)
    const full = planTraining({ ...options, recompute: 'full' })
    t.ok(full.bytes.activations < none.bytes.activations, 'recomputation takes less memory')
    t.equal(full.recomputedLayers, 3)
    const kept = await results(none, batches)
    t.ok((kept[1] as Uint8Array).some((byte) => byte !== 0))
    t.same(await results(full, batches), kept, 'all layers')

    const seen = new Set<number>()
    for (
      let memoryLimit = full.totalBytes;
      memoryLimit <= none.totalBytes;
      memoryLimit += Math.ceil((none.totalBytes - full.totalBytes) / 6)
    ) {
      const plan = planTraining({ ...options, recompute: 'auto', memoryLimit })
      t.ok(plan.totalBytes <= memoryLimit, `${plan.recomputedLayers} layers recomputed to stay within ${memoryLimit} bytes`)
      if (seen.has(plan.recomputedLayers)) continue
      seen.add(plan.recomputedLayers)
      t.same(await results(plan, batches), kept, `${plan.recomputedLayers} layers`)
    }
    t.ok(seen.has(1) || seen.has(2), `some layers and not others: ${[...seen]}`)
    t.equal(planTraining({ ...options, recompute: 'auto' }).recomputedLayers, 0, 'none without a limit')
    t.equal(
      planTraining({ ...options, recompute: 'auto', memoryLimit: none.totalBytes }).recomputedLayers,
      0,
      'none where all fits',
    )
    for (const recompute of ['auto', 'full'] as const)
      t.throws(
        () => planTraining({ ...options, recompute, memoryLimit: full.totalBytes - 1 }),
        { code: 'OUT_OF_MEMORY' },
        `${recompute} does not fit`,
      )
    t.throws(() => planTraining({ ...options, memoryLimit: none.totalBytes - 1 }), { code: 'OUT_OF_MEMORY' }, 'none does not fit')
  })
}

t.test('a plan that is exact: every byte of activations is used', async (t) => {
  for (const family of Object.keys(microConfigs)) {
    const plan = planTraining({ ...optionsOf(family), dtype: 'bf16' })
    const arena = plan.programs.microStep.description.ops
      .flatMap(({ operands }) => Object.values(operands))
      .filter(({ arena }) => plan.storages[arena]!.name === 'activations')
    const ends = arena.map(({ offset, shape, rowStride, dtype }) => {
      const rows = shape[0] === -1 ? 250 : shape[0]!
      return offset + (dtype === 'bf16' ? 2 : 4) * ((rows - 1) * (rowStride ?? 1) + (shape[1] ?? 1))
    })
    t.equal(Math.ceil(Math.max(...ends) / 64) * 64, plan.bytes.activations, family)
  }
})
