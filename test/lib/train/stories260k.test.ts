import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import { makeExample } from '../../../lib/data/example.js'
import { type PackedBatch, packStep } from '../../../lib/data/packer.js'
import type { ComputeDtype } from '../../../lib/native/addon-types.js'
import type { Device } from '../../../lib/native/device.js'
import type { ParameterLayout } from '../../../lib/plan/parameters.js'
import { loadWeights } from '../../../lib/train/session-state.js'
import { planTraining } from '../../../lib/train/train-plan.js'
import { TrainSession } from '../../../lib/train/train-session.js'
import { closeDevices, deviceAt, stepTargets, type Target, trainingTargets } from '../../ops/run-op.js'
import { sharedPath } from '../../shared-files.js'
import { readTensors } from '../../tensor-files.js'
import { partOf, readArena } from './golden-files.js'
import { ReferenceStep } from './golden-reference.js'
import { atMostTwice } from './golden-tolerance.js'

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

t.teardown(closeDevices)

const folder = sharedPath('data', 'models', 'stories260K')
const skip = folder === undefined && 'shared/data is absent'

/** One sequence; the target of position t is tokens[t + 1], and the first `masked` targets are not scored. */
function packedBatch(tokens: number[], masked: number): PackedBatch {
  const labels = tokens.map((token, position) => (position <= masked ? -100 : token))
  const record = { kind: 'tokens' as const, place: 'golden', inputIds: tokens, labels }
  const example = makeExample(record, { vocabSize: 512 })
  const [batch] = packStep([example], { packing: true, capacity: 512, examplesPerMicroBatch: 1, lossReduction: 'token' })
  return batch!
}

const readGolden = async (): Promise<Golden> => JSON.parse(await readFile(join(folder!, 'golden_loss_grads.json'), 'utf8'))

async function openStep(device: Device, dtype: ComputeDtype): Promise<TrainSession> {
  const model = await openModelFolder(folder!)
  const plan = planTraining({
    ...{
      config: model.config,
      dtype,
      recompute: 'none',
      device: device.name,
      threads: device.info.threads,
      maxTokens: 128,
      maxSequences: 1,
    },
    ...{ adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }, maxGradNorm: 0 },
  })
  const session = await TrainSession.create(device, plan)
  await loadWeights(session, model.tensors)
  return session
}

/** The gradients that the golden file has, of those of all weights. */
function goldenGradients({ grads }: Golden, gradients: Float32Array | Float64Array, plan: { layout: ParameterLayout }): number[] {
  return grads.map(({ tensor, index }) => {
    const part = partOf(gradients, plan, tensor)
    return part[index.length === 2 ? index[0]! * plan.layout.parts.get(tensor)!.shape[1]! + index[1]! : index[0]!]!
  })
}

t.test('stories260K: masked loss, loss of every target, gradients', { skip }, async (t) => {
  const golden = await readGolden()
  for (const target of trainingTargets) await checkInFloat32(t, golden, target)
})

async function checkInFloat32(t: Test, golden: Golden, target: Target): Promise<void> {
  const session = await openStep(await deviceAt(target), 'f32')
  const whole = await session.evaluate(packedBatch(golden.tokens, 0))
  for (const [position, want] of golden.nll_per_target.entries()) {
    // −log softmax of float32 logits of size 20 or less is off by two or three of their roundings, 20 · 2⁻²⁴ ≈ 1e-6 each.
    const got = whole.tokenLosses[position]!
    t.ok(Math.abs(got - want) <= 1e-5 * want + 3e-6, `${target.instructionSet}: target ${position}: ${got} is ${want}`)
  }

  const { loss } = await session.runMicroStep(packedBatch(golden.tokens, golden.masked_prefix))
  t.ok(Math.abs(loss - golden.loss) <= 1e-5 * golden.loss, `masked loss ${loss} is ${golden.loss}`)
  t.equal(golden.grads.length, 141)
  const gradients = goldenGradients(golden, await readArena(session, 'gradients'), session.plan)
  for (const [i, { tensor, index, grad }] of golden.grads.entries()) {
    const got = gradients[i]!
    t.ok(Math.abs(got - grad) <= tolerance(grad), `${target.instructionSet}: d ${tensor}[${index}]: ${got} is ${grad}`)
  }
}

/**
 * The reference is a central difference with ε = 1e-5 in float64: rounding gives 2⁻⁵³ · loss / ε ≈ 1e-11 times the length
 * of the sums, truncation ε² · f‴ / 6 ≈ 1e-10 or less. Ours is a float32 sum of some hundred products whose parts may cancel:
 * 1e-4 of the gradient, as for the golden gradients, and the rounding of parts of up to 0.03, 2e-9 each. 1e-8 holds all three.
 */
function tolerance(grad: number): number {
  return 1e-4 * Math.abs(grad) + 1e-8
}

t.test('stories260K in bfloat16', { skip }, async (t) => {
  const golden = await readGolden()
  const whole = packedBatch(golden.tokens, 0)
  const masked = packedBatch(golden.tokens, golden.masked_prefix)
  const { config } = await openModelFolder(folder!)
  const weights = await readTensors(join(folder!, 'model.safetensors'))
  const runReference = (dtype: ComputeDtype) => {
    const session = new ReferenceStep(config, weights, dtype)
    const { tokenLosses } = session.runMicroStep(whole)
    session.gradients.fill(0)
    // The golden loss is that of weights in double.
    const lossWeights = Float64Array.from(masked.labels, (label) => (label === -100 ? 0 : 1 / masked.scoredTokens))
    const { loss } = session.runMicroStep({ ...masked, lossWeights })
    return { loss, targetLosses: tokenLosses.subarray(0, golden.nll_per_target.length), gradients: session.gradients, session }
  }
  const [reference, exact] = [runReference('bf16'), runReference('f32')]

  t.test('the reference without rounding', async (t) => {
    t.ok(Math.abs(exact.loss - golden.loss) <= 1e-10 * golden.loss, `masked loss ${exact.loss} is ${golden.loss}`)
    const error = exact.targetLosses.reduce((most, loss, i) => Math.max(most, Math.abs(loss - golden.nll_per_target[i]!)), 0)
    t.ok(error <= 0.51e-9, `the loss of every target to nine decimals: ${error}`)
    const gradients = goldenGradients(golden, exact.gradients, exact.session)
    for (const [i, { tensor, index, grad }] of golden.grads.entries())
      t.ok(Math.abs(gradients[i]! - grad) <= 1e-9, `d ${tensor}[${index}]: ${gradients[i]} is ${grad}`)
  })

  // Of a mean of losses that are off by e, each: at most the mean of |e|. The loss itself may be right by luck.
  const scoredErrors = exact.targetLosses
    .map((loss, i) => Math.abs(reference.targetLosses[i]! - loss))
    .slice(golden.masked_prefix)
  const meanError = scoredErrors.reduce((sum, error) => sum + error, 0) / scoredErrors.length
  for (const target of stepTargets) {
    const { instructionSet } = target
    const session = await openStep(await deviceAt(target), 'bf16')
    const { tokenLosses } = await session.evaluate(whole)
    const targetLosses = tokenLosses.subarray(0, golden.nll_per_target.length)
    atMostTwice(t, `${instructionSet}: loss of every target`, targetLosses, reference.targetLosses, golden.nll_per_target)
    const { loss } = await session.runMicroStep(masked)
    const off = Math.abs(loss - golden.loss)
    t.ok(
      off <= 2 * meanError,
      `${instructionSet}: masked loss ${loss} is ${golden.loss}, off by ${off / meanError} of the reference's targets`,
    )

    const gradients = await readArena(session, 'gradients')
    atMostTwice(t, `${instructionSet}: all gradients`, gradients, reference.gradients, exact.gradients)
    const [ours, theirs] = [
      goldenGradients(golden, gradients, session.plan),
      goldenGradients(golden, reference.gradients, exact.session),
    ]
    const want = golden.grads.map(({ grad }) => grad)
    atMostTwice(t, `${instructionSet}: the ${want.length} golden gradients`, ours, theirs, want)
  }
})
