import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { compareEvaluations } from '../../../lib/eval/compare-evaluations.js'
import type { EvaluationDescription } from '../../../lib/eval/evaluation-description.js'
import { protocolFor } from '../../../lib/eval/protocol.js'

/** Right answers by problem, of each benchmark: '✓✗' is a problem with two answers of which the first is right. */
type Marks = Record<string, Record<string, string>>

/** Writes an evaluation as `evaluate` does. */
function evaluationOf(test: Test, name: string, marks: Marks, changes: Partial<EvaluationDescription> = {}): string {
  const folder = join(test.testdirName, name)
  mkdirSync(folder, { recursive: true })
  const description: EvaluationDescription = {
    ...{ started: '2026-12-01T08:30:00Z', model: `models/${name}`, modelDigest: name, dtype: 'f32', maxLength: 4096 },
    ...{ judge: 'boxed', grader: 'one', problems: 'some' },
    benchmarks: Object.keys(marks).map((benchmark) => ({ name: benchmark, ...protocolFor(100) })),
    ...changes,
  }
  const results = Object.entries(marks).flatMap(([benchmark, problems]) =>
    Object.entries(problems).flatMap(([question, answers], index) =>
      Array.from(answers, (mark, sample) => ({
        ...{ benchmark, index, sample, question, answer: '7', completion: '', extracted: null, correct: mark === '✓' },
        ...{ finishReason: 'stop', promptTokens: 1, completionTokens: 1 },
      })),
    ),
  )
  writeFileSync(join(folder, 'evaluation.json'), JSON.stringify(description))
  writeFileSync(join(folder, 'results.jsonl'), results.map((result) => `${JSON.stringify(result)}\n`).join(''))
  return folder
}

t.test('problem by problem, whatever their order', async (t) => {
  t.testdir()
  const a = evaluationOf(t, 'base', { sums: { p: '✓✓', q: '✗✗', r: '✓✗', s: '✗✗', gone: '✓✓' } })
  const b = evaluationOf(t, 'trained', { sums: { s: '✗✗', r: '✗✗', q: '✓✓', p: '✓✓', come: '✗✗', too: '✗✗' } })
  const { benchmarks, notes, ...models } = await compareEvaluations(a, b)
  t.same(models, {
    a: { folder: a, model: 'models/base', started: '2026-12-01T08:30:00Z' },
    b: { folder: b, model: 'models/trained', started: '2026-12-01T08:30:00Z' },
  })
  t.same(notes, [`sums: 1 problems only in ${a}, 2 only in ${b}`])
  t.equal(benchmarks.length, 1)
  const { gained, lost, difference, standardError, ...rest } = benchmarks[0]!
  t.match(rest, { benchmark: 'sums', problems: 4, onlyA: 1, onlyB: 2, a: { accuracy: 0.375 }, b: { accuracy: 0.5 } })
  // Differences of 0, −½, 1 and 0.
  t.equal(difference, 0.125)
  const variance = (0.125 ** 2 * 2 + 0.625 ** 2 + 0.875 ** 2) / 3
  t.ok(Math.abs(standardError - Math.sqrt(variance / 4)) < 1e-12)
  t.same(gained, [{ index: 2, question: 'q', answer: '7', a: { samples: 2, correct: 0 }, b: { samples: 2, correct: 2 } }])
  t.same(lost, [{ index: 1, question: 'r', answer: '7', a: { samples: 2, correct: 1 }, b: { samples: 2, correct: 0 } }])
})

t.test('with itself it is the same, and numbers of answers may differ', async (t) => {
  t.testdir()
  const marks = { sums: { p: '✓✗✓✗', q: '✗' }, more: { p: '✓' } }
  const a = evaluationOf(t, 'a', marks)
  const { benchmarks, notes } = await compareEvaluations(a, a)
  t.same(notes, [])
  for (const { difference, standardError, gained, lost } of benchmarks)
    t.same({ difference, standardError, gained, lost }, { difference: 0, standardError: 0, gained: [], lost: [] })
  const b = evaluationOf(t, 'b', { sums: { p: '✓✗', q: '✓✓✗' } })
  const { benchmarks: fewer, notes: said } = await compareEvaluations(a, b)
  t.match(fewer, [{ benchmark: 'sums', problems: 2, gained: [{ question: 'q' }], lost: [] }])
  t.same(said, [`only ${a} has more`])
})

t.test('the largest changes come first, and a question that stands there twice is two problems', async (t) => {
  t.testdir()
  const twice = (first: string, second: string, third: string): Marks => ({ sums: { ' p': first, 'p ': second, q: third } })
  const rename = (folder: string) => {
    const path = join(folder, 'results.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/" p"|"p "/g, '"p"'))
    return folder
  }
  const a = rename(evaluationOf(t, 'a', twice('✗✗✗', '✗✗✗', '✗✗✗')))
  const b = rename(evaluationOf(t, 'b', twice('✓✗✗', '✓✓✓', '✓✓✗')))
  const { benchmarks } = await compareEvaluations(a, b)
  t.match(benchmarks, [{ problems: 3, onlyA: 0, onlyB: 0 }])
  t.same(
    benchmarks[0]!.gained.map(({ index }) => index),
    [1, 2, 0],
  )
})

t.test('what is not the same in both is said', async (t) => {
  t.testdir()
  const marks = { sums: { p: '✓' } }
  const a = evaluationOf(t, 'a', marks)
  const other = protocolFor(100, { system: '', sampling: { temperature: 1 } })
  const b = evaluationOf(t, 'b', marks, { dtype: 'bf16', grader: 'two', benchmarks: [{ name: 'sums', ...other }] })
  const { notes } = await compareEvaluations(a, b)
  t.match(notes, [
    `dtype: f32 in ${a}, bf16 in ${b}`,
    'graded by different releases of the grader',
    /^sums: system "Please reason .*, "" in /,
    `sums: temperature 0 in ${a}, 1 in ${b}`,
  ])
  t.equal(notes.length, 4)
})

t.test('folders that cannot be compared', async (t) => {
  t.testdir({ empty: {}, begun: {}, file: '' })
  const at = (name: string) => join(t.testdirName, name)
  const sums = evaluationOf(t, 'sums', { sums: { p: '✓' } })
  const others = evaluationOf(t, 'others', { sums: { q: '✓' } })
  const products = evaluationOf(t, 'products', { products: { p: '✓' } })
  writeFileSync(join(evaluationOf(t, 'begun', { sums: {} }), 'results.part.jsonl'), '')
  const wrong: [string, string, string, RegExp][] = [
    [sums, at('nowhere'), 'CHECKPOINT_NOT_FOUND', /nowhere but there is no such folder/],
    [at('empty'), sums, 'CHECKPOINT_NOT_FOUND', /empty but it lacks evaluation\.json\. Name the --output/],
    [at('file'), sums, 'CHECKPOINT_NOT_FOUND', /file but it lacks evaluation\.json/],
    [sums, at('begun'), 'CHECKPOINT_NOT_FOUND', /begun but it is not over/],
    [sums, products, 'CHECKPOINT_MISMATCH', /same benchmarks but .*sums has sums, .*products products/],
    [sums, others, 'CHECKPOINT_MISMATCH', /expected the same problems .* none of sums has a question and answer that both have/],
  ]
  for (const [a, b, code, message] of wrong) await t.rejects(compareEvaluations(a, b), { code, message }, String(message))
})
