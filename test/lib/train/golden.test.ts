import t from 'tap'
import { closeDevices, deviceAt, trainingTargets } from '../../ops/run-op.js'
import { relativeL2 } from '../../tensor-files.js'
import {
  goldenFamilies,
  openGoldenSession,
  packedBatch,
  partOf,
  readArena,
  readGolden,
  scoredLosses,
  trainingSteps,
} from './golden-files.js'

t.teardown(closeDevices)

const cases = goldenFamilies.flatMap((golden) => [
  ...trainingTargets.flatMap((target) => (['none', 'full'] as const).map((recompute) => ({ ...golden, recompute, target }))),
])

for (const { family, folder, skip, recompute, target } of cases) {
  const where = `golden ${family} on ${target.instructionSet}, recompute ${recompute}`
  const open = async () => {
    const golden = await readGolden(folder)
    return { golden, session: await openGoldenSession(golden, await deviceAt(target), { dtype: 'f32', recompute }) }
  }

  t.test(where, { skip }, async (t) => {
    const { golden, session } = await open()
    for (const [index, batch] of golden.batches.entries()) {
      const want = golden.expected[index]!
      const packed = packedBatch(batch, want.scored_tokens)
      const { loss } = await session.evaluate(packed)
      const trained = await session.runMicroStep(packed)
      t.equal(trained.loss, loss, `batch ${index}: evaluation and training give the same loss`)
      t.ok(Math.abs(loss - want.loss) <= 1e-5 * want.loss, `batch ${index}: loss ${loss} is ${want.loss}`)
      const tokenLosses = scoredLosses(batch, trained.tokenLosses)
      t.ok(relativeL2(tokenLosses, want.token_losses) <= 1e-5, `batch ${index}: the loss of every token`)
      const gradients = await readArena(session, 'gradients')
      for (const [name, norm] of Object.entries(want.grad_norms)) {
        const got = Math.hypot(...partOf(gradients, session.plan, name))
        t.ok(Math.abs(got - norm) <= 1e-4 * norm, `batch ${index}: norm of the gradient of ${name}: ${got} is ${norm}`)
      }
      if (index === 1) {
        for (const [name, gradient] of golden.gradients) {
          const error = relativeL2(partOf(gradients, session.plan, name), gradient)
          t.ok(error <= 1e-4, `gradient of ${name}: relative L2 error ${error}`)
        }
      }
      const norm = await session.update(1, 0)
      t.ok(Math.abs(norm - want.grad_norm) <= 1e-5 * want.grad_norm, `batch ${index}: norm of all gradients`)
    }
  })

  t.test(`${where}, training`, { skip }, async (t) => {
    const { golden, session } = await open()
    for (const { want, microBatches, scoredTokens, learningRate } of trainingSteps(golden)) {
      let loss = 0
      for (const batch of microBatches) loss += (await session.runMicroStep(packedBatch(batch, scoredTokens))).loss
      t.ok(Math.abs(learningRate - want.lr) <= 1e-12, `step ${want.step}: learning rate`)
      const norm = await session.update(want.step + 1, learningRate)
      t.ok(Math.abs(loss - want.loss) <= 1e-5 * want.loss, `step ${want.step}: loss ${loss} is ${want.loss}`)
      t.ok(
        Math.abs(norm - want.grad_norm) <= 1e-4 * want.grad_norm,
        `step ${want.step}: gradient norm ${norm} is ${want.grad_norm}`,
      )
    }
    const parameters = await readArena(session, 'parameters')
    for (const name of session.plan.layout.parts.keys()) {
      const error = relativeL2(partOf(parameters, session.plan, name), golden.trained.get(name)!)
      // As for gradients: AdamW divides a gradient by its own size, so weights inherit the relative error of gradients.
      t.ok(error <= 1e-4, `${name} after training: relative L2 error ${error}`)
    }
  })
}
