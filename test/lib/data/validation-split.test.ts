import t from 'tap'
import { splitValidation } from '../../../lib/data/validation-split.js'

const examples = Array.from({ length: 20 }, (_, index) => index)

t.test('a share, a number, none', async (t) => {
  for (const [valSize, count] of [
    [0, 0],
    [0.1, 2],
    [0.11, 3],
    [0.001, 1],
    [1, 1],
    [5, 5],
    [19, 19],
  ] as const) {
    const { train, validation } = splitValidation(examples.length, valSize, 42)
    t.equal(validation.length, count, `${valSize}`)
    t.same(
      [...train, ...validation].sort((a, b) => a - b),
      examples,
      'every example is in one of the two',
    )
    t.same(
      train,
      train.toSorted((a, b) => a - b),
      'in their order',
    )
  }
})

t.test('the seed chooses', async (t) => {
  t.same(splitValidation(examples.length, 5, 42), splitValidation(examples.length, 5, 42))
  t.notSame(splitValidation(examples.length, 5, 42), splitValidation(examples.length, 5, 43))
})

t.test('something has to be left to train on', async (t) => {
  for (const valSize of [20, 100, 0.99])
    t.throws(() => splitValidation(examples.length, valSize, 42), { code: 'DATA_EMPTY', details: { valSize } })
  t.throws(() => splitValidation(0, 0, 42), { code: 'DATA_EMPTY' })
})
