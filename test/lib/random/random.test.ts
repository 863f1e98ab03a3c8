import t from 'tap'
import { Random } from '../../../lib/random/random.js'

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.uint32())

t.test('the same seeds give the same numbers, in this release and in every other', async (t) => {
  t.same(draw(new Random(42), 8), draw(new Random(42), 8))
  t.same(draw(new Random(42, 0), 3), [150475362, 2128788721, 3253697018])
  t.ok(draw(new Random(42), 1000).every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32))
})

t.test('other seeds give other numbers', async (t) => {
  const seeds = [[0], [1], [2], [42], [42, 0], [42, 1], [1, 42], [-1], [2 ** 32], [2 ** 32 + 42], [0, 0], [0, -1]]
  const streams = seeds.map((seed) => draw(new Random(...seed), 4).join())
  t.equal(new Set(streams).size, seeds.length)
})

t.test('below is uniform', async (t) => {
  const random = new Random(7)
  for (const bound of [1, 2, 3, 10, 1000]) {
    const counts = new Array<number>(bound).fill(0)
    const draws = 200_000
    for (let i = 0; i < draws; i++) counts[random.below(bound)]! += 1
    const expected = draws / bound
    const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // five standard deviations above the mean of a chi-squared distribution with bound - 1 degrees of freedom
    const limit = bound - 1 + 5 * Math.sqrt(2 * (bound - 1))
    t.ok(chiSquared <= limit, `${bound}: ${chiSquared.toFixed(1)} <= ${limit.toFixed(1)}`)
  }
  t.ok(Array.from({ length: 100 }, () => random.below(2 ** 32)).some((value) => value > 2 ** 31))
})

t.test('pick', async (t) => {
  const random = new Random(3)
  const picked = new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c'])))
  t.same([...picked].sort(), ['a', 'b', 'c'])
})
