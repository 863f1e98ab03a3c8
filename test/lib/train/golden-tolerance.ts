import type { Test } from 'tap'
import { relativeL2 } from '../../tensor-files.js'

type Numbers = ArrayLike<number>

/** Asserts that `got` is at most twice as far from what is exact as the reference that rounds to bfloat16 at the same points. */
export function atMostTwice(t: Test, what: string, got: Numbers, reference: Numbers, exact: Numbers): void {
  atMostTwiceOf(t, what, relativeL2(got, exact), relativeL2(reference, exact))
}

function atMostTwiceOf(t: Test, what: string, error: number, expected: number): void {
  const ratio = (error / expected).toPrecision(3)
  t.ok(error <= 2 * expected, `${what}: relative L2 error ${error.toPrecision(3)} is ${ratio} of the reference's`)
}

/** A loss, and those of the scored tokens that it is the mean of. */
export interface MeanLoss {
  loss: number
  tokenLosses: Numbers
}

/**
 * The same for single losses, which may be close to what is exact by luck: errors of tokens, of either sign, cancel in a mean.
 * Where they are independent and of root mean square σ, that of a mean of n is σ/√n; what they have in common, as from the
 * rounding of weights, adds to that and is seen in the mean. So the error to be expected of a loss is the reference's, or σ/√n
 * of the reference's tokens where that is larger. The losses count together: of one alone, independent errors would be off by
 * more than twice their root mean square one time in twenty.
 */
export function lossesAtMostTwice(t: Test, what: string, got: number[], reference: MeanLoss[], exact: MeanLoss[]): void {
  const expected = exact.map(({ loss, tokenLosses }, i) => {
    const { loss: referenceLoss, tokenLosses: referenceTokens } = reference[i]!
    const n = tokenLosses.length
    let squares = 0
    for (let token = 0; token < n; token++) squares += (referenceTokens[token]! - tokenLosses[token]!) ** 2
    return Math.max(Math.abs(referenceLoss - loss), Math.sqrt(squares / n) / Math.sqrt(n))
  })
  const losses = exact.map(({ loss }) => loss)
  const shifted = losses.map((loss, i) => loss + expected[i]!)
  atMostTwiceOf(t, what, relativeL2(got, losses), relativeL2(shifted, losses))
}
