import t, { type Test } from 'tap'
import type { PackedBatch } from '../../../lib/data/packer.js'
import type { TrainSession } from '../../../lib/train/train-session.js'
import { sameBits, sameSums, U } from '../../ops/check-op.js'
import { closeDevices, deviceAt, stepTargets, type Target } from '../../ops/run-op.js'
import { relativeL2 } from '../../tensor-files.js'
import {
  countScored,
  type Golden,
  type GoldenBatch,
  goldenFamilies,
  openGoldenSession,
  packedBatch,
  partOf,
  readArena,
  readGolden,
  scoredLosses,
} from './golden-files.js'
import { normOf, openReferenceStep, type ReferenceStep, referenceBatch } from './golden-reference.js'
import { atMostTwice, lossesAtMostTwice } from './golden-tolerance.js'

/* Losses and gradients of the golden batches in bfloat16. */

t.teardown(closeDevices)

/** Runs a batch and gives what came of it; the weights stay as they are, and gradients are zero again. */
async function runNative(session: TrainSession, batch: PackedBatch) {
  const evaluated = await session.evaluate(batch)
  const { loss, tokenLosses } = await session.runMicroStep(batch)
  const gradients = await readArena(session, 'gradients')
  return { evaluated, loss, tokenLosses, gradients, norm: await session.update(1, 0) }
}
type NativeRun = Awaited<ReturnType<typeof runNative>>

function runReference(session: ReferenceStep, batch: GoldenBatch, scoredTokens: number) {
  const { loss, tokenLosses } = session.runMicroStep(referenceBatch(batch, scoredTokens))
  const gradients = session.gradients.slice()
  session.gradients.fill(0)
  return { loss, tokenLosses: scoredLosses(batch, tokenLosses), gradients }
}

/** A golden batch with what is to be expected of it. */
interface Case {
  batch: GoldenBatch
  packed: PackedBatch
  reference: ReturnType<typeof runReference>
  exact: ReturnType<typeof runReference>
}

async function casesOf(golden: Golden): Promise<Case[]> {
  const [rounding, exact] = [await openReferenceStep(golden, 'bf16'), await openReferenceStep(golden, 'f32')]
  return golden.batches.map((batch, index) => {
    const scored = golden.expected[index]!.scored_tokens
    const packed = packedBatch(batch, scored)
    return { batch, packed, reference: runReference(rounding, batch, scored), exact: runReference(exact, batch, scored) }
  })
}

/** Each sequence of a batch as a batch of its own. */
function unpacked({ input_ids, labels, cu_seqlens }: GoldenBatch): GoldenBatch[] {
  return cu_seqlens.slice(1).map((end, s) => {
    const start = cu_seqlens[s]!
    return { input_ids: input_ids.slice(start, end), labels: labels.slice(start, end), cu_seqlens: [0, end - start] }
  })
}

/** What a run says of itself: the loss is the mean of those of its tokens, the norm that of its gradients, each rounded once. */
function checkSums(t: Test, name: string, run: NativeRun, { lossWeights }: PackedBatch): void {
  t.same(run.evaluated, { loss: run.loss, tokenLosses: run.tokenLosses }, `${name}: evaluation gives the same losses`)
  const mean = run.tokenLosses.reduce((sum, loss, token) => sum + loss * lossWeights[token]!, 0)
  t.ok(Math.abs(run.loss - mean) <= 1.01 * U * mean, `${name}: loss ${run.loss} is the mean ${mean}`)
  // Then no norm can be further from what is exact than the gradients are: ‖a‖ − ‖b‖ ≤ ‖a − b‖.
  const norm = normOf(run.gradients)
  t.ok(Math.abs(run.norm - norm) <= 1.01 * U * norm, `${name}: norm ${run.norm} is that of the gradients, ${norm}`)
}

for (const { family, folder, skip } of goldenFamilies) {
  t.test(`golden ${family} in bfloat16`, { skip }, async (t) => {
    const golden = await readGolden(folder)
    const cases = await casesOf(golden)
    for (const target of stepTargets) {
      const { instructionSet } = target
      const open = async (threads: number, recompute: 'none' | 'full') =>
        openGoldenSession(golden, await deviceAt({ ...target, threads }), { dtype: 'bf16', recompute })
      const session = await open(1, 'none')
      // A CUDA device has no threads to choose.
      const onCpu = target.device === undefined
      const others = { ...(onCpu && { 'two threads': await open(2, 'none') }), 'recompute: full': await open(2, 'full') }
      const runs: NativeRun[] = []
      for (const [index, { batch, packed, reference, exact }] of cases.entries()) {
        const name = `${instructionSet}, batch ${index}`
        const run = await runNative(session, packed)
        runs.push(run)
        checkSums(t, name, run, packed)
        for (const [how, other] of Object.entries(others)) {
          const again = await runNative(other, packed)
          const same = sameBits(again.tokenLosses, run.tokenLosses) && sameBits(again.gradients, run.gradients)
          t.ok(same && again.loss === run.loss, `${name}: the same bits with ${how}`)
        }
        const tokenLosses = scoredLosses(batch, run.tokenLosses)
        atMostTwice(t, `${name}: the loss of every token`, tokenLosses, reference.tokenLosses, exact.tokenLosses)
        atMostTwice(t, `${name}: all gradients`, run.gradients, reference.gradients, exact.gradients)
        await checkUnpacked(t, name, session, batch, run, target)
      }
      lossesAtMostTwice(
        t,
        `${instructionSet}: losses`,
        runs.map(({ loss }) => loss),
        cases.map(({ reference }) => reference),
        cases.map(({ exact }) => exact),
      )
      for (const [name, gradient] of golden.gradients) {
        const [ours, theirs] = [runs[1]!.gradients, cases[1]!.reference.gradients]
        const what = `${instructionSet}, batch 1: gradient of ${name}`
        atMostTwice(t, what, partOf(ours, session.plan, name), partOf(theirs, session.plan, name), gradient)
      }
      checkNorms(t, instructionSet, session, golden, cases, runs)
    }
  })
}

/** The norm of the gradient of every weight for every batch, each relative to what is exact, together. */
function checkNorms(t: Test, name: string, session: TrainSession, golden: Golden, cases: Case[], runs: NativeRun[]): void {
  const weights = [...golden.gradients.keys()]
  const relativeNorms = (gradientsOf: { gradients: Float32Array | Float64Array }[]) =>
    gradientsOf.flatMap(({ gradients }, batch) =>
      weights.map((weight) => normOf(partOf(gradients, session.plan, weight)) / golden.expected[batch]!.grad_norms[weight]!),
    )
  const ours = relativeNorms(runs)
  const theirs = relativeNorms(cases.map(({ reference }) => reference))
  atMostTwice(t, `${name}: norms of the gradients of all weights`, ours, theirs, new Float64Array(ours.length).fill(1))
}

/**
 * Sequence by sequence a token has the same loss, bit for bit but where the number of rows chooses the order of sums. Gradients of weights are float32 sums over T tokens, over both
 * uses of a tied embedding, taken in another order: n = 2T terms are off by n·u of the sum of their sizes, which is √n of the
 * sum itself for terms of either sign. That is far less than one rounding to bfloat16.
 */
async function checkUnpacked(
  t: Test,
  name: string,
  session: TrainSession,
  batch: GoldenBatch,
  packed: NativeRun,
  target: Target,
): Promise<void> {
  const tokenLosses: number[] = []
  for (const sequence of unpacked(batch))
    tokenLosses.push(...(await session.runMicroStep(packedBatch(sequence, countScored(batch)))).tokenLosses)
  const terms = 1 << 10
  sameSums(
    t,
    target,
    [Float32Array.from(tokenLosses), packed.tokenLosses],
    { terms, dtype: 'bf16' },
    `${name}: the losses of each sequence alone`,
  )
  const error = relativeL2(await readArena(session, 'gradients'), packed.gradients)
  await session.update(1, 0)
  const bound = (2 * tokenLosses.length) ** 1.5 * U
  t.ok(error <= bound, `${name}: each sequence alone gives the same gradients, relative L2 difference ${error} ≤ ${bound}`)
}
