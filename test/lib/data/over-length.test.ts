import t from 'tap'
import { type Example, notScored } from '../../../lib/data/example.js'
import { examplesOf } from '../../../lib/data/examples.js'
import { applyOverLength, type OverLengthOptions } from '../../../lib/data/over-length.js'

/** An example of a length, scored from a position on. */
function example(length: number, scoredFrom: number, rest: Partial<Example> = {}): Example {
  const inputIds = Int32Array.from({ length }, (_, index) => index)
  const labels = inputIds.map((id, index) => (index < scoredFrom ? notScored : id))
  return { place: 'rows.jsonl:1', inputIds, labels, scoredTokens: length - scoredFrom, ...rest }
}

const apply = (examples: Example[], overLength: OverLengthOptions['overLength']) =>
  applyOverLength(examplesOf(examples), { cutoffLen: 8, overLength })

t.test('error names all of them', async (t) => {
  const examples = [9, 8, 12, 10, 11, 13, 14, 15].map((length, index) => example(length, 2, { place: `rows.jsonl:${index + 1}` }))
  t.throws(() => apply(examples, 'error'), {
    code: 'DATA_OVER_LENGTH',
    message:
      /7 of 8 are longer: rows\.jsonl:1 has 9, rows\.jsonl:3 has 12, .*rows\.jsonl:6 has 13, and 2 more\. Raise cutoff_len to 15.*over_length: drop/,
    details: { longest: 15, examples: { length: 7 } },
  })
  t.equal(apply([example(8, 2)], 'error').examples.count, 1)
})

t.test('drop', async (t) => {
  const { examples, report } = apply(
    [example(9, 2, { place: 'a:1', answerEnd: 9 }), example(8, 2, { place: 'a:2' }), example(3, 1, { place: 'a:3' })],
    'drop',
  )
  t.same([examples.count, examples.infoOf(0).place, examples.read(1).place, examples.infoOf(1).length], [2, 'a:2', 'a:3', 3])
  const lost = { place: 'a:1', length: 9, lostTokens: 9, lostScored: 7, lostAnswer: true, lostEndOfTurn: true }
  t.same(report, { kept: 2, dropped: [lost], truncated: [], tokens: 11, scoredTokens: 8, longest: 8 })
  t.throws(() => apply([example(9, 2)], 'drop'), { code: 'DATA_EMPTY', message: /all 1 are longer than cutoff_len 8/ })
  t.throws(() => apply([], 'drop'), { code: 'DATA_EMPTY', message: /there are no records/ })
})

t.test('truncate says whether an answer or an end of turn is lost', async (t) => {
  const unscoredEnd = example(9, 5, { place: 'a:3', scoredTokens: 3 })
  unscoredEnd.labels[8] = notScored
  const { examples, report } = apply(
    [
      example(10, 5, { place: 'a:1', answerEnd: 9 }),
      example(4, 2, { place: 'a:2' }),
      unscoredEnd,
      example(9, 1, { answerEnd: 8 }),
    ],
    'truncate',
  )
  t.same(
    [examples.infoOf(0).length, examples.read(0).inputIds.length, examples.infoOf(0).scoredTokens, examples.read(0).scoredTokens],
    [8, 8, 3, 3],
  )
  t.same([examples.infoOf(0).answerEnd, examples.infoOf(1).length, examples.read(1).inputIds.length], [0, 4, 4])
  t.match(report, {
    kept: 4,
    dropped: [],
    truncated: [
      { place: 'a:1', length: 10, lostTokens: 2, lostScored: 2, lostAnswer: true, lostEndOfTurn: true },
      { place: 'a:3', lostTokens: 1, lostScored: 0, lostAnswer: false, lostEndOfTurn: false },
      { lostAnswer: false, lostEndOfTurn: true },
    ],
  })
  t.throws(() => apply([example(10, 8)], 'truncate'), { code: 'DATA_NOTHING_SCORED', message: /first 8 tokens \(cutoff_len\)/ })
})
