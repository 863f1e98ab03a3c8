import t from 'tap'
import { accuracyOf, pairedDifference, passAtK, passRates } from '../../../lib/eval/scores.js'
import { Random } from '../../../lib/random/random.js'

t.test('pass@k is the share of choices of k answers with a right one', async (t) => {
  for (let n = 1; n <= 8; n++)
    for (let c = 0; c <= n; c++)
      for (let k = 1; k <= n; k++) {
        let [choices, hits] = [0, 0]
        for (let chosen = 0; chosen < 2 ** n; chosen++) {
          const bits = [...chosen.toString(2)].filter((bit) => bit === '1').length
          if (bits !== k) continue
          choices += 1
          if (chosen & (2 ** c - 1)) hits += 1
        }
        t.ok(Math.abs(passAtK(n, c, k) - hits / choices) < 1e-12, `${c} of ${n} right, k ${k}`)
      }
  t.throws(() => passAtK(2, 1, 3), { message: /k of at most n = 2/ })
  t.ok(passAtK(1000, 1, 500) > 0.499 && passAtK(1000, 1, 500) < 0.501, 'large numbers')
})

t.test('accuracy and its error', async (t) => {
  t.same(accuracyOf([{ samples: 4, correct: 1 }]), { accuracy: 0.25, standardError: 0 })
  const { accuracy, standardError } = accuracyOf([
    { samples: 2, correct: 2 },
    { samples: 2, correct: 0 },
    { samples: 2, correct: 1 },
  ])
  t.equal(accuracy, 0.5)
  t.ok(Math.abs(standardError - 0.5 / Math.sqrt(3)) < 1e-12)
  t.same(
    passRates([
      { samples: 4, correct: 4 },
      { samples: 4, correct: 0 },
    ]),
    { 1: 0.5, 2: 0.5, 4: 0.5 },
  )
})

t.test('the error of a paired difference is that of two accuracies less what they have in common', async (t) => {
  const random = new Random(5)
  const share = () => ({ samples: 4, correct: random.uint32() % 5 })
  for (let problems = 2; problems < 40; problems++) {
    const pairs = Array.from({ length: problems }, () => ({ a: share(), b: share() }))
    const { difference, standardError } = pairedDifference(pairs)
    const [a, b] = [accuracyOf(pairs.map((pair) => pair.a)), accuracyOf(pairs.map((pair) => pair.b))]
    t.ok(Math.abs(difference - (b.accuracy - a.accuracy)) < 1e-12)
    // Var(b − a) = Var(a) + Var(b) − 2 Cov(a, b)
    const products = pairs.map((pair) => (pair.a.correct / 4 - a.accuracy) * (pair.b.correct / 4 - b.accuracy))
    const covariance = products.reduce((sum, product) => sum + product, 0) / (problems - 1) / problems
    const expected = a.standardError ** 2 + b.standardError ** 2 - 2 * covariance
    t.ok(Math.abs(standardError ** 2 - expected) < 1e-12, `${problems} problems`)
  }
  t.same(pairedDifference([{ a: { samples: 2, correct: 1 }, b: { samples: 4, correct: 4 } }]), {
    difference: 0.5,
    standardError: 0,
  })
})
