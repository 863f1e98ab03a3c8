import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'
import { Grader } from '../../../lib/grader/grader.js'
import { hostileAnswers } from './hostile-answers.js'

const slow = [hostileAnswers['long lists and products']![2]!, hostileAnswers['long lists and products']![3]!] as const

t.test('short answers, long answers, none', async (t) => {
  const grader = new Grader({ timeLimitMs: 60_000 })
  t.same(await grader.grade('\\frac{1}{2}', '0.5'), { correct: true, how: 'number' })
  t.same(await grader.grade('x+1', 'x+2'), { correct: false, how: 'symbolic' })
  t.same(await grader.grade('east', 'west'), { correct: false, how: 'text' }, 'what cannot be decided is wrong')
  t.same(await grader.grade('1', undefined), { correct: false, how: 'none' })
  t.same(await grader.grade('1', ' '), { correct: false, how: 'none' })
  const numbers = Array.from({ length: 60 }, (_, index) => index)
  t.same(await grader.grade(numbers.join(','), numbers.reverse().join(', ')), { correct: true, how: 'structure' })
  t.same(await grader.grade('9'.repeat(100_000), `${'9'.repeat(100_000)} `), { correct: true, how: 'text' })
  await grader.close()
  await t.rejects(grader.grade('1', '1'), /closed/)
})

t.test('a comparison that takes too long is ended, and the next one has a new thread', async (t) => {
  const grader = new Grader({ timeLimitMs: 1 })
  const grades = await Promise.all([grader.grade(...slow), grader.grade(...slow), grader.grade('1', '1')])
  t.same(grades[0], { correct: false, how: 'timeout' })
  t.same(grades[1], { correct: false, how: 'timeout' })
  t.same(grades[2], { correct: true, how: 'text' })
  await grader.close()
  const patient = new Grader({ timeLimitMs: 60_000 })
  t.not((await patient.grade(...slow)).how, 'timeout')
  await patient.close()
})

t.test('one thread compares one long answer after the other', async (t) => {
  const grader = new Grader({ timeLimitMs: 10_000 })
  const items = Array.from({ length: 60 }, (_, index) => index)
  const [gold, prediction] = [items.join(','), items.toReversed().join(', ')]
  const [start, grades] = [performance.now(), []] as [number, unknown[]]
  for (let times = 0; times < 6; times += 1) grades.push(await grader.grade(gold, prediction))
  grades.push(...(await Promise.all(Array.from({ length: 6 }, () => grader.grade(gold, prediction)))))
  for (const grade of grades) t.same(grade, { correct: true, how: 'structure' })
  t.ok(performance.now() - start < 10_000, 'none of them came to the limit')
  await grader.close()
})

t.test('a thread without memory is a failed comparison', async (t) => {
  const grader = new Grader({ memoryLimitMb: 1, timeLimitMs: 60_000 })
  t.match(await grader.grade(...slow), { correct: false })
  await grader.close()
})

t.test('closing while it grades', async (t) => {
  const grader = new Grader({ timeLimitMs: 60_000 })
  const grades = [grader.grade(...slow), grader.grade(...slow)]
  await grader.close()
  for (const grade of await Promise.all(grades)) t.match(grade, { correct: false, how: 'failed' })
})

for (const [kind, answers] of Object.entries(hostileAnswers)) {
  t.test(`hostile answers: ${kind}`, async (t) => {
    for (const answer of answers) {
      for (const gold of ['1', 'x+1', '(1,2)', '[1,\\infty)', '\\sqrt{2}', `${answer} `]) {
        const start = performance.now()
        const { verdict } = compareAnswers(gold, answer)
        const elapsedMs = performance.now() - start
        const label = JSON.stringify([gold.slice(0, 20), answer.slice(0, 30), answer.length])
        if (elapsedMs > 1000) t.fail(`${label} took ${elapsedMs} ms`)
        // 1 in other digits, often, or as 0^0, and a root that is 1 to nine digits.
        const isOne = /^[1,{}\s\ufeff]*$/.test(answer.normalize('NFKC')) || ['0^0', '\\sqrt[1000000000]{2}'].includes(answer)
        if (verdict === 'same' && gold !== `${answer} `) t.ok(gold === '1' && isOne, label)
      }
    }
  })
}
