import { readFileSync } from 'node:fs'
import t from 'tap'
import { compareAnswers } from '../../../lib/data/answer.js'
import { lastBoxed } from '../../../lib/data/boxed.js'
import { sharedPath } from '../../shared-files.js'

t.test('answers that are the same', async (t) => {
  const same = [
    [
      '27',
      '27.0',
      '027',
      '$27$',
      '\\boxed{27}',
      '27.',
      ' 27 ',
      '27 dollars',
      '\\$27',
      '27^\\circ',
      '27\\%',
      'x = 27',
      '27 \\text{ cm}^2',
    ],
    ['1/2', '0.5', '.5', '\\frac12', '\\dfrac{1}{2}', '\\frac{2}{4}', '5/10', '\\frac{-1}{-2}'],
    ['-\\frac{1}{3}', '\\frac{-1}{3}', '-1/3'],
    ['1000', '1,000', '1000.00', '1{,}000', '1000 m', '1000 \\text{ g}'],
    ['-3', '−3'],
    ['3\\frac12', '3.5', '7/2'],
    ['(B)', 'B', 'b', '\\text{B}', '\\text{(B)}'],
    ['\\left( 3, \\frac{\\pi}{2} \\right)', '(3,\\frac{\\pi}{2})'],
    ['4210_{5}', '4210_5'],
  ]
  for (const [first, ...others] of same)
    for (const other of others) t.equal(compareAnswers(first!, other), 'same', `${first} ${other}`)
})

t.test('answers that are not, and those that spelling cannot decide', async (t) => {
  t.equal(compareAnswers('1', '2'), 'different')
  t.equal(compareAnswers('1/3', '0.33'), 'different')
  t.equal(compareAnswers('-5', '5'), 'different')
  t.equal(compareAnswers('3\\frac12', '31/2'), 'different')
  for (const [first, second] of [
    ['2m', '2'],
    ['5g', '5'],
    ['3 hours', '3 minutes'],
    ['x=5', 'y=5'],
    ['2²', '22'],
  ]) {
    t.equal(compareAnswers(first!, second!), 'undecided', `${first} ${second}`)
  }
  t.equal(compareAnswers('x+1', '1+x'), 'undecided')
  t.equal(compareAnswers('(2,3)', '[2,3]'), 'undecided')
  t.equal(compareAnswers('1/0', '0'), 'undecided')
  t.equal(compareAnswers('9'.repeat(5000), '1'), 'undecided', 'too long to be looked at as a number')
  t.equal(compareAnswers('', '0'), 'undecided')
})

t.test('the last \\boxed{}', async (t) => {
  const contentOf = (text: string) => lastBoxed(text)?.content
  t.equal(contentOf('\\boxed{1} and \\boxed{\\frac{1}{2}}.'), '\\frac{1}{2}')
  t.equal(contentOf('\\boxed {a\\}b}'), 'a\\}b')
  t.equal(contentOf('\\fbox{7}'), '7')
  t.equal(contentOf('\\boxed{\\boxed{3}}'), '3')
  t.equal(contentOf('\\boxed{1} then \\boxed{2'), '1', 'one that is not closed is none')
  t.equal(contentOf('boxed{1}'), undefined)
  const nested = '\\boxed{'.repeat(20_000)
  t.equal(contentOf(nested), undefined, 'in linear time')
})

const pairs = sharedPath('data', 'grader', 'answer-pairs.jsonl')
t.test(
  'real answers: none that differ are taken for the same',
  { skip: pairs === undefined && 'shared/data is absent' },
  async (t) => {
    const rows = readFileSync(pairs!, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    let found = 0
    for (const { pred, gold, equal } of rows) {
      const verdict = compareAnswers(pred, gold)
      if (verdict === 'same' && !equal) t.fail(`${pred} and ${gold}`)
      if (verdict === 'same' && equal) found += 1
    }
    t.ok(found >= 178, `${found} of ${rows.filter(({ equal }) => equal).length} that are equal`)
  },
)
