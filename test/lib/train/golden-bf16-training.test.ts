import t from 'tap'
import { sameBits } from '../../ops/check-op.js'
import { closeDevices, deviceAt, type Target, trainingTargets } from '../../ops/run-op.js'
import { relativeL2 } from '../../tensor-files.js'
import {
  type Golden,
  goldenFamilies,
  openGoldenSession,
  packedBatch,
  partOf,
  readArena,
  readGolden,
  scoredLosses,
  trainingSteps,
} from './golden-files.js'
import { normOf, openReferenceStep, referenceBatch } from './golden-reference.js'
import { atMostTwice, lossesAtMostTwice } from './golden-tolerance.js'

/* The golden training run in bfloat16: master weights, their gradients and moments stay float32. */

t.teardown(closeDevices)

/** What came of one training step: the loss of its micro-batches, that of each scored token, and the gradients before clipping. */
interface Trained<Values> {
  loss: number
  tokenLosses: number[]
  gradients: Values
  norm: number
}

async function trainReference(golden: Golden, dtype: 'f32' | 'bf16') {
  const session = await openReferenceStep(golden, dtype)
  const steps: Trained<Float64Array>[] = []
  for (const { want, microBatches, scoredTokens, learningRate } of trainingSteps(golden)) {
    const runs = microBatches.map((batch) => session.runMicroStep(referenceBatch(batch, scoredTokens)))
    const gradients = session.gradients.slice()
    steps.push({
      loss: runs.reduce((sum, { loss }) => sum + loss, 0),
      tokenLosses: runs.flatMap(({ tokenLosses }, i) => scoredLosses(microBatches[i]!, tokenLosses)),
      gradients,
      norm: session.update(want.step + 1, learningRate, golden.training),
    })
  }
  return { session, steps, parameters: session.parameters }
}

async function trainNative(golden: Golden, target: Target, recompute: 'none' | 'full') {
  const session = await openGoldenSession(golden, await deviceAt(target), { dtype: 'bf16', recompute })
  const steps: Trained<Float32Array>[] = []
  for (const { want, microBatches, scoredTokens, learningRate } of trainingSteps(golden)) {
    let loss = 0
    const tokenLosses: number[] = []
    for (const batch of microBatches) {
      const run = await session.runMicroStep(packedBatch(batch, scoredTokens))
      loss += run.loss
      tokenLosses.push(...scoredLosses(batch, run.tokenLosses))
    }
    const gradients = await readArena(session, 'gradients')
    steps.push({ loss, tokenLosses, gradients, norm: await session.update(want.step + 1, learningRate) })
  }
  return { steps, parameters: await readArena(session, 'parameters') }
}

for (const { family, folder, skip } of goldenFamilies) {
  t.test(`golden ${family} training in bfloat16`, { skip }, async (t) => {
    const golden = await readGolden(folder)
    const exact = await trainReference(golden, 'f32')
    const reference = await trainReference(golden, 'bf16')
    // One set of CUDA kernels: the gradients of the other are those of golden-bf16.test.ts.
    for (const target of trainingTargets) {
      const { instructionSet } = target
      const got = await trainNative(golden, { ...target, threads: 1 }, 'none')
      for (const [index, run] of got.steps.entries()) {
        const name = `${instructionSet}, step ${index}`
        const [theirs, want] = [reference.steps[index]!, exact.steps[index]!]
        atMostTwice(t, `${name}: the loss of every token`, run.tokenLosses, theirs.tokenLosses, want.tokenLosses)
        // And so the norm is off by no more than twice what the reference's gradients are: ‖a‖ − ‖b‖ ≤ ‖a − b‖.
        atMostTwice(t, `${name}: all gradients`, run.gradients, theirs.gradients, want.gradients)
        const norm = normOf(run.gradients)
        t.ok(Math.abs(run.norm - norm) <= 1e-7 * norm, `${name}: norm ${run.norm} is that of the gradients, ${norm}`)
      }
      const losses = got.steps.map(({ loss }) => loss)
      lossesAtMostTwice(t, `${instructionSet}: losses`, losses, reference.steps, exact.steps)
      for (const [name, weights] of golden.trained) {
        const [ours, theirs] = [partOf(got.parameters, exact.session, name), partOf(reference.parameters, exact.session, name)]
        atMostTwice(t, `${instructionSet}: ${name} after training`, ours, theirs, weights)
      }
      const again = await trainNative(golden, target, 'full')
      t.ok(sameBits(again.parameters, got.parameters), `${instructionSet}: the same weights from two threads that recompute`)
    }

    t.test('the reference without rounding', async (t) => {
      const near = (got: number, want: number) => Math.abs(got - want) <= 1e-10 * want
      for (const [index, want] of golden.training.trajectory.entries()) {
        const { loss, norm } = exact.steps[index]!
        t.ok(near(loss, want.loss), `step ${index}: loss ${loss} is ${want.loss}`)
        t.ok(near(norm, want.grad_norm), `step ${index}: gradient norm ${norm} is ${want.grad_norm}`)
      }
      for (const [name, weights] of golden.trained) {
        const error = relativeL2(partOf(exact.parameters, exact.session, name), weights)
        t.ok(error <= 2 ** -24, `${name} after training: relative L2 error ${error}`)
      }
    })
  })
}
