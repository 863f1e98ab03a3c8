import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import { makeExample } from '../../../lib/data/example.js'
import { packStep } from '../../../lib/data/packer.js'
import { openDevice } from '../../../lib/native/device.js'
import { TrainStep } from '../../../lib/train/step.js'
import { planStep } from '../../../lib/train/step-plan.js'
import { loadRegion } from '../../../lib/train/weights.js'
import { sharedPath } from '../../shared-files.js'

/* A real pretrained Llama: the loss of a text with a masked prefix, and its gradients by finite differences in float64. */

interface Golden {
  tokens: number[]
  /** Targets at the beginning that are not scored. */
  masked_prefix: number
  loss: number
  /** [T − 1], in nats, written with nine decimals. */
  nll_per_target: number[]
  grads: { tensor: string; index: number[]; grad: number }[]
}

const folder = sharedPath('data', 'models', 'stories260K')
const skip = folder === undefined && 'shared/data is absent'

/** One sequence; the target of position t is tokens[t + 1], and the first `masked` targets are not scored. */
function packedBatch(tokens: number[], masked: number, vocabSize: number) {
  const labels = tokens.map((token, position) => (position <= masked ? -100 : token))
  const record = { kind: 'tokens' as const, place: 'golden', inputIds: tokens, labels }
  const example = makeExample(record, { cutoffLen: tokens.length, overLength: 'error', vocabSize })
  const [batch] = packStep([example], { packing: true, capacity: 512, examplesPerMicroBatch: 1, lossReduction: 'token' })
  return batch!
}

async function openStep(t: { teardown(close: () => Promise<void>): void }) {
  const model = await openModelFolder(folder!)
  const device = await openDevice('cpu', { threads: 2 })
  t.teardown(() => device.close())
  const plan = planStep({
    ...{ config: model.config, recompute: 'none', threads: 2, maxTokens: 128, maxSequences: 1 },
    ...{ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 0 },
  })
  const step = await TrainStep.create(device, plan)
  await loadRegion({ arena: step.arenas.parameters, offset: 0 }, plan.layout, model.tensors)
  return { step, vocabSize: model.config.vocabSize }
}

t.test('stories260K: masked loss, loss of every target, gradients', { skip }, async (t) => {
  const golden: Golden = JSON.parse(await readFile(join(folder!, 'golden_loss_grads.json'), 'utf8'))
  const { step, vocabSize } = await openStep(t)

  const whole = await step.evaluate(packedBatch(golden.tokens, 0, vocabSize))
  for (const [target, want] of golden.nll_per_target.entries()) {
    // −log softmax of float32 logits of size 20 or less is off by two or three of their roundings, 20 · 2⁻²⁴ ≈ 1e-6 each.
    const got = whole.tokenLosses[target]!
    t.ok(Math.abs(got - want) <= 1e-5 * want + 3e-6, `target ${target}: ${got} is ${want}`)
  }

  const { loss } = await step.runMicroStep(packedBatch(golden.tokens, golden.masked_prefix, vocabSize))
  t.ok(Math.abs(loss - golden.loss) <= 1e-5 * golden.loss, `masked loss ${loss} is ${golden.loss}`)
  t.equal(golden.grads.length, 141)
  for (const { tensor, index, grad } of golden.grads) {
    const part = step.plan.layout.parts.get(tensor)!
    const offset = index.length === 2 ? index[0]! * part.shape[1]! + index[1]! : index[0]!
    const bytes = await step.arenas.gradients.read(part.offset + 4 * offset, 4)
    const got = new Float32Array(bytes.buffer, bytes.byteOffset, 1)[0]!
    t.ok(Math.abs(got - grad) <= tolerance(grad), `d ${tensor}[${index}]: ${got} is ${grad}`)
  }
})

/**
 * The reference is a central difference with ε = 1e-5 in float64: rounding gives 2⁻⁵³ · loss / ε ≈ 1e-11 times the length
 * of the sums, truncation ε² · f‴ / 6 ≈ 1e-10 or less. Ours is a float32 sum of some hundred products whose parts may cancel:
 * 1e-4 of the gradient, as for the golden gradients, and the rounding of parts of up to 0.03, 2e-9 each. 1e-8 holds all three.
 */
function tolerance(grad: number): number {
  return 1e-4 * Math.abs(grad) + 1e-8
}
