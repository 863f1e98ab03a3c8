import t from 'tap'
import { relativeL2 } from '../../tensor-files.js'
import { goldenFamilies, partOf, readGolden, scoredLosses } from './golden-files.js'
import { normOf, openReferenceStep, referenceBatch } from './golden-reference.js'

/*
 * What runs in bfloat16 are held against: the interpreter of graphs. Without rounding it gives the golden numbers, which are
 * double too: to 1e-10, or to the last digit of what is written with nine decimals or as float32.
 */

const near = (got: number, want: number) => Math.abs(got - want) <= 1e-10 * want

for (const { family, folder, skip } of goldenFamilies) {
  t.test(`the reference without rounding, ${family}`, { skip }, async (t) => {
    const golden = await readGolden(folder)
    const step = await openReferenceStep(golden, 'f32')
    for (const [index, batch] of golden.batches.entries()) {
      const want = golden.expected[index]!
      const { loss, tokenLosses } = step.runMicroStep(referenceBatch(batch, want.scored_tokens))
      t.ok(near(loss, want.loss), `batch ${index}: loss ${loss} is ${want.loss}`)
      const error = relativeL2(scoredLosses(batch, tokenLosses), want.token_losses)
      t.ok(error <= 1e-9 / want.loss, `batch ${index}: the loss of every token, relative L2 error ${error}`)
      for (const [name, norm] of Object.entries(want.grad_norms)) {
        const got = normOf(partOf(step.gradients, step, name))
        t.ok(near(got, norm), `batch ${index}: norm of the gradient of ${name}: ${got} is ${norm}`)
      }
      t.ok(near(normOf(step.gradients), want.grad_norm), `batch ${index}: norm of all gradients`)
      if (index === 1)
        for (const [name, gradient] of golden.gradients) {
          const error = relativeL2(partOf(step.gradients, step, name), gradient)
          t.ok(error <= 2 ** -24, `gradient of ${name}: relative L2 error ${error}`)
        }
      step.gradients.fill(0)
    }
  })
}
