import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'
import { extractAnswer } from '../../../lib/grader/extract-answer.js'
import { repositoryRoot, sharedPath } from '../../shared-files.js'

function rowsOf(path: string): Record<string, unknown>[] {
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const cases = sharedPath('data', 'grader', 'math-verify-cases.jsonl')
t.test("another grader's own cases", { skip: cases === undefined && 'shared/data is absent' }, async (t) => {
  const rows = rowsOf(cases!) as { gold: string; pred: string; expected: number }[]
  const disagreements = rows.filter(({ gold, pred, expected }) => {
    const [right, given] = [gold, pred].map((text) => extractAnswer(text, { fallback: true }))
    const isSame = right !== undefined && given !== undefined && compareAnswers(right, given).verdict === 'same'
    return isSame !== (expected === 1)
  })
  t.equal(rows.length, 125)
  // A formula between \( and \) on lines of its own is none for it.
  t.same(
    disagreements.map(({ pred }) => pred),
    ['Answer \\( \n 9 \n \\)'],
  )
})

const pairs = sharedPath('data', 'grader', 'answer-pairs.jsonl')
t.test(
  'answers of real models: every disagreement is in the table',
  { skip: pairs === undefined && 'shared/data is absent' },
  async (t) => {
    const rows = rowsOf(pairs!) as { gold: string; pred: string; equal: boolean }[]
    const page = readFileSync(join(repositoryRoot, 'docs', 'grader.md'), 'utf8')
    let agreed = 0
    for (const { gold, pred, equal } of rows) {
      if ((compareAnswers(gold, pred).verdict === 'same') === equal) agreed += 1
      else t.ok(page.includes(`| \`${gold}\` | \`${pred}\` | ${equal ? 'yes' : 'no'} |`), `${gold}  ${pred}`)
    }
    t.equal(`${agreed} of ${rows.length}`, '906 of 977')
    t.match(page, `${agreed} of ${rows.length}`)
  },
)

const attempts = sharedPath('data', 'sft', 'attempts.jsonl')
t.test('recorded attempts, as they were judged', { skip: attempts === undefined && 'shared/data is absent' }, async (t) => {
  type Problem = { answer: string; attempts: { correct: boolean; pred?: string; solution?: string }[] }
  let [agreed, all] = [0, 0]
  for (const { answer, attempts: list } of rowsOf(attempts!) as unknown as Problem[]) {
    for (const { correct, pred, solution } of list) {
      const given = solution ? extractAnswer(solution, { fallback: true }) : pred
      if (given === undefined) continue
      all += 1
      if ((compareAnswers(String(answer), given).verdict === 'same') === Boolean(correct)) agreed += 1
    }
  }
  // In one of them the answer was taken from the middle of the chain.
  t.equal(`${agreed} of ${all}`, '647 of 648')
})

for (const name of ['aime', 'amc', 'gsm8k', 'math', 'minerva', 'olympiadbench']) {
  const path = sharedPath('data', 'eval', `${name}.jsonl`)
  t.test(`gold answers of ${name}`, { skip: path === undefined && 'shared/data is absent' }, async (t) => {
    const golds = rowsOf(path!).map(({ answer, final_answer }) => {
      const text = String(answer ?? final_answer)
      return name === 'gsm8k' ? extractAnswer(text, { fallback: true })! : text
    })
    for (const gold of golds) {
      if (compareAnswers(gold, ` $ \\displaystyle ${gold} $ `).verdict !== 'same') t.fail(`${gold} is not the same as itself`)
    }
    const unique = [...new Set(golds)]
    let [same, all] = [0, 0]
    // Every gold answer against the 20 before it: the whole is for a benchmark, not for a test.
    for (const [index, gold] of unique.entries()) {
      for (const other of unique.slice(Math.max(0, index - 20), index)) {
        all += 1
        if (compareAnswers(gold, other).verdict === 'same') same += 1
      }
    }
    t.ok(same <= all / 500, `${same} of ${all} pairs of different golds are the same`)
  })
}
