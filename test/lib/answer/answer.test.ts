import t from 'tap'
import { areDifferentNumbers, readNumber } from '../../../lib/answer/answer.js'
import { tidyAnswer } from '../../../lib/answer/answer-text.js'
import { lastBoxed } from '../../../lib/answer/boxed.js'
import { parseDecimal, power, rational, toDouble } from '../../../lib/answer/rational.js'

t.test('one alphabet for what says the same', async (t) => {
  const tidied = [
    ['$\\left( 3, \\dfrac{\\pi}{2} \\right)$', '( 3, \\frac{\\pi}{2} )'],
    ['\\boxed{\\boxed{27}}.', '27'],
    ['\\(x\\), \\[y\\]', 'x , y'],
    ['10,\\!080', '10080'],
    ['1{,}000', '1000'],
    ['\\$32,\\!348.', '32348'],
    ['2½ x² ≤ √3', '2\\frac{1}{2} x^{2} \\le \\sqrt 3'],
    ['6×10⁻³', '6\\times 10^{-3}'],
    ['−∞', '-\\infty'],
    ['\\mathrm{cm}', '\\text{cm}'],
    ['\\\\frac{1}{2}', '\\frac{1}{2}'],
    ['\\begin{pmatrix}1\\\\ 0\\\\[2pt] 2\\end{pmatrix}', '\\begin{pmatrix}1\\\\ 0\\\\ 2\\end{pmatrix}'],
    ['\\begin{aligned}x &= 2+3 \\\\ &= 5\\end{aligned}', 'x = 2+3 = 5'],
    ['\\begin{cases}x=1,\\\\y=2\\end{cases}', 'x=1, y=2'],
  ]
  for (const [answer, expected] of tidied) t.equal(tidyAnswer(answer!), expected, answer!)
})

t.test('numbers, with units and names', async (t) => {
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
    ['1/2', '0.5', '.5', '\\frac12', '\\dfrac{1}{2}', '\\frac{2}{4}', '5/10', '\\frac{-1}{-2}', '½', '5e-1'],
    ['-\\frac{1}{3}', '\\frac{-1}{3}', '-1/3'],
    ['1000', '1,000', '1000.00', '1{,}000', '1000 m', '1000 \\text{ g}', '1e3'],
    ['3\\frac12', '3.5', '7/2', '3½', '3 1/2'],
    ['1234567', '1 234 567', '1\\,234\\,567', '1,234,567'],
    ['-1000', '-1 000'],
  ]
  for (const group of same) {
    const numbers = group.map((answer) => readNumber(answer))
    for (const [index, number] of numbers.entries()) t.same(number?.value, numbers[0]!.value, group[index]!)
  }
  t.match(readNumber('x = 5 hours'), { unit: 'hour', variable: 'x' })
  for (const answer of [
    '',
    'x+1',
    '(2,3)',
    '1/0',
    '1.2.3',
    '9'.repeat(5000),
    'NaN',
    'Infinity',
    '0x10',
    '1_000',
    '1 2',
    '12 34',
  ]) {
    t.equal(readNumber(answer), undefined, answer.slice(0, 20))
  }
})

t.test('numbers that differ for certain', async (t) => {
  const different = [
    ['1', '2'],
    ['1/3', '0.33'],
    ['-5', '5'],
    ['3\\frac12', '31/2'],
    ['22/3', '2 2/3'],
  ]
  for (const [first, second] of different) t.ok(areDifferentNumbers(first!, second!), `${first} ${second}`)
  const open = [
    ['3', '3.0'],
    ['3 hours', '180 minutes'],
    ['x=5', 'y=6'],
    ['x+1', '5'],
    ['2m', '2'],
    ['(2,3)', '[2,3]'],
  ]
  for (const [first, second] of open) t.notOk(areDifferentNumbers(first!, second!), `${first} ${second}`)
})

t.test('exact numbers stay within their size', async (t) => {
  t.same(rational(6n, -4n), { top: -3n, bottom: 2n })
  t.equal(rational(1n, 0n), undefined)
  t.equal(rational(1n << 70_000n), undefined)
  const two = { top: 2n, bottom: 1n }
  t.equal(power(two, { top: 10n ** 9n, bottom: 1n }), undefined)
  t.same(power({ top: -1n, bottom: 1n }, { top: 10n ** 9n + 1n, bottom: 1n }), { top: -1n, bottom: 1n })
  t.same(power(two, { top: -3n, bottom: 1n }), { top: 1n, bottom: 8n })
  t.equal(power({ top: 0n, bottom: 1n }, { top: -1n, bottom: 1n }), undefined)
  t.equal(parseDecimal('1e999999'), undefined)
  t.equal(toDouble({ top: 10n ** 400n + 1n, bottom: 2n * 10n ** 400n }), 0.5)
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
