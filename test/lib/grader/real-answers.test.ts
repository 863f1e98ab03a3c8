import { readFileSync } from 'node:fs'
import t from 'tap'
import { extractAnswer } from '../../../lib/grader/extract-answer.js'
import { gradeAnswer } from '../../../lib/grader/grade.js'
import { repositoryRoot, sharedPath } from '../../shared-files.js'

const folder = sharedPath('data', 'grader')
const evaluations = sharedPath('data', 'eval')
const skip = folder === undefined && 'shared/data is absent'

function rowsOf<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}

t.test('at least 97% of Math-Verify’s own cases', { skip }, async (t) => {
  const cases = rowsOf<{ gold: string; pred: string; expected: 0 | 1 }>(`${folder}/math-verify-cases.jsonl`)
  const answerOf = (text: string) => extractAnswer(text, { fallback: true }) ?? text
  const wrong = cases.filter(({ gold, pred, expected }) => gradeAnswer(answerOf(gold), answerOf(pred)) !== (expected === 1))
  t.equal(cases.length, 125)
  t.same(
    wrong.map(({ gold }) => gold.slice(0, 40)),
    ['$9$', '$12$', '$1\\leq|z|\\leq \\frac{3}{2}$'],
    '122 of 125',
  )
})

t.test('every disagreement with another grader is listed', { skip }, async (t) => {
  const pairs = rowsOf<{ gold: string; pred: string; equal: boolean }>(`${folder}/answer-pairs.jsonl`)
  const disagreements = pairs.filter(({ gold, pred, equal }) => gradeAnswer(gold, pred) !== equal)
  t.equal(pairs.length, 977)
  const page = readFileSync(`${repositoryRoot}/docs/grader.md`, 'utf8')
  const code = (text: string) => `\`${text.replaceAll('|', '\\|')}\``
  for (const { gold, pred } of disagreements) t.ok(page.includes(`${code(gold)} | ${code(pred)}`), `${gold} and ${pred}`)
  const listed = [...page.matchAll(/^\| `.*` \| `.*` \| (theirs|ours) \|/gm)].length
  t.equal(listed, new Set(disagreements.map(({ gold, pred }) => `${gold} ${pred}`)).size, 'and nothing else is')
})

t.test(
  'the answers of benchmarks are themselves, and not others',
  { skip: evaluations === undefined && 'shared/data is absent' },
  async (t) => {
    for (const name of ['aime', 'amc', 'math', 'minerva', 'olympiadbench']) {
      const answers = rowsOf<{ answer: unknown }>(`${evaluations}/${name}.jsonl`).map(({ answer }) => String(answer))
      t.ok(
        answers.every((answer) => gradeAnswer(answer, answer)),
        name,
      )
      const others = answers.filter((answer, index) => gradeAnswer(answer, answers[(index + 7) % answers.length]!))
      t.ok(
        others.length <= 0.06 * answers.length,
        `${name}: ${others.length} of ${answers.length} are the same as the one seven rows on`,
      )
    }
  },
)
