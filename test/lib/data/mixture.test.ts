import t from 'tap'
import { mixOrder, sampleOrder } from '../../../lib/data/mixture.js'

const parts = [Int32Array.of(0, 1, 2, 3, 4, 5), Int32Array.of(6, 7), Int32Array.of(8, 9, 10)]
const mix = (strategy: Parameters<typeof mixOrder>[1]['strategy'], probabilities?: number[], seed = 1) =>
  Array.from(mixOrder(parts, { strategy, probabilities, seed }))

t.test('taking turns', async (t) => {
  t.same(mix('concat'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  t.same(mix('interleave_under'), [0, 6, 8, 1, 7], 'until the first is used up')
  t.same(mix('interleave_over'), [0, 6, 8, 1, 7, 9, 2, 6, 10, 3, 7, 8, 4, 6, 9, 5], 'until the last is, others starting over')
})

t.test('drawing by chance', async (t) => {
  const order = mix('interleave_over', [0.2, 0.6, 0.2])
  t.same(mix('interleave_over', [2, 6, 2]), order, 'chances need not add up to 1')
  t.same(mix('interleave_over', [0.2, 0.6, 0.2]), order, 'seeded')
  t.notSame(mix('interleave_over', [0.2, 0.6, 0.2], 2), order)
  t.same(new Set(order).size, 11, 'each data set was used up')
  t.same(order.filter((place) => place < 6).slice(0, 6), [0, 1, 2, 3, 4, 5], 'a data set is taken from in its order')
  // 4,000 draws with a chance of 0.7: a standard deviation of 29; five of them
  const long = [new Int32Array(1e6), new Int32Array(1e6).fill(1)]
  const drawn = mixOrder(long, { strategy: 'interleave_under', probabilities: [0.7, 0.3], seed: 3 }).subarray(0, 4000)
  const first = drawn.filter((place) => place === 0).length
  t.ok(Math.abs(first - 2800) < 145, `${first}`)
})

t.test('mixtures that cannot be made', async (t) => {
  const empty = [Int32Array.of(0, 1), new Int32Array(0)]
  t.throws(() => mixOrder(empty, { strategy: 'interleave_under', seed: 1 }), {
    code: 'DATA_EMPTY',
    message: /data set 2 has none left/,
  })
  t.same(Array.from(mixOrder(empty, { strategy: 'interleave_over', seed: 1 })), [0, 1])
  const unequal = { strategy: 'interleave_over', probabilities: [1, 1e-9], seed: 1 } as const
  t.throws(() => mixOrder(parts.slice(0, 2), unequal), { code: 'CONFIG_INVALID_VALUE', message: /too unequal/ })
})

t.test('num_samples', async (t) => {
  const few = sampleOrder(10, 4, 42)
  t.equal(new Set(few).size, 4)
  const many = sampleOrder(10, 25, 42)
  t.same(
    many.subarray(0, 10).toSorted(),
    Int32Array.from({ length: 10 }, (_, index) => index),
    'each once',
  )
  t.ok(many.every((place) => place >= 0 && place < 10))
  t.same(sampleOrder(10, 25, 42), many)
})
