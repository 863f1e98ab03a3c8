import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'
import { container, polynomial, timeOfDay, word, wrapped } from './answer-writings.js'
import { Draw } from './draw.js'
import { compoundly, lettered, measured, otherMeasures, qualified, scaled, spelledOut } from './measured-writings.js'
import { fraction, irrational, type Writings, wholeNumber } from './number-writings.js'

const kinds: Record<string, (draw: Draw) => Writings> = {
  'whole numbers': wholeNumber,
  fractions: fraction,
  'irrational numbers': irrational,
  containers: container,
  polynomials: polynomial,
  words: word,
  times: timeOfDay,
  'numbers with words': measured,
  'numbers in words': scaled,
  'residues and units': qualified,
  letters: lettered,
  'compound units': compoundly,
  'numbers spelled out': spelledOut,
}

/** Answers of each kind: `LIMO_ANSWERS=2000` for a night. */
const answers = Number(process.env.LIMO_ANSWERS ?? 40)

for (const [kind, make] of Object.entries(kinds)) {
  t.test(`${kind}: written in any way they are the same, and what is near is not`, async (t) => {
    const failures = new Set<string>()
    let compared = 0
    for (let seed = 1; seed <= answers; seed += 1) {
      const draw = new Draw(seed)
      const { same, other } = make(draw)
      const expect = (first: string, second: string, isSame: boolean) => {
        compared += 1
        if ((compareAnswers(first, second).verdict === 'same') !== isSame)
          failures.add(`seed ${seed}: ${first}  ${isSame ? 'is not' : 'is'}  ${second}`)
      }
      const first = same[0]!
      for (const text of same) {
        expect(first, wrapped(draw, text), true)
        expect(text, first, true)
      }
      for (const text of other) {
        expect(first, wrapped(draw, text), false)
        expect(text, first, false)
      }
    }
    t.same([...failures].slice(0, 20), [], `${compared} comparisons`)
  })
}

t.test('two measures with different units are never the same', async (t) => {
  const failures: string[] = []
  for (let seed = 1; seed <= answers; seed += 1) {
    const [first, second] = otherMeasures(new Draw(seed))
    for (const [gold, answer] of [
      [first, second],
      [second, first],
    ] as const)
      if (compareAnswers(gold, answer).verdict === 'same') failures.push(`seed ${seed}: ${gold}  ${answer}`)
  }
  t.same(failures, [])
})
