import t from 'tap'
import { gradeAnswer } from '../../../lib/grader/grade.js'

/** Pairs that are the same, by what makes them so, then pairs that are not. */
const same: Record<string, [string, string][]> = {
  'thousands and spaces': [
    ['1000', '1,000'],
    ['1000000', '1 000 000'],
    ['10{,}080', '10080'],
    ['32349', '32,\\! 349'],
  ],
  decimals: [
    ['0.5', '.5'],
    ['27', '27.0'],
    ['1/3', '0.3333'],
    ['4.5e33', '4.5\\times10^{33}'],
    ['1e-8', '10^{-8}'],
  ],
  fractions: [
    ['\\frac{1}{2}', '1/2'],
    ['\\frac12', '0.5'],
    ['\\dfrac{-3}{4}', '-\\tfrac34'],
    ['2\\frac{1}{3}', '\\frac73'],
    ['2 1/3', '7/3'],
    ['\\frac{448}{15625}', '\\frac{2240}{78125}'],
  ],
  'percent and money': [
    ['28\\%', '28'],
    ['28\\%', '0.28'],
    ['\\$5.50', '5.5'],
    ['28 pct', '$28\\%$'],
  ],
  'units and degrees': [
    ['90^\\circ', '90'],
    ['15\\mbox{ cm}^2', '15'],
    ['12', '12 \\text{ square feet}'],
    ['36', '36\\mathrm{~mL}'],
    ['5', '5 m/s'],
  ],
  'roots and powers': [
    ['\\sqrt{8}', '2\\sqrt2'],
    ['\\sqrt[3]{27}', '3'],
    ['\\sqrt{-4}', '2i'],
    ['2^{10}', '1024'],
    ['\\frac{1}{\\sqrt{2}}', '\\frac{\\sqrt2}{2}'],
  ],
  expressions: [
    ['x^2-1', '(x-1)(x+1)'],
    ['p - q', '-q+p'],
    ['\\frac{x+2}{7}', '\\frac x7 + \\frac27'],
    ['\\sin^2 x + \\cos^2 x', '1'],
    ['\\log_2 8', '3'],
    ['\\ln(e^3)', '3'],
    ['\\binom{5}{2}', '10'],
    ['5!', '120'],
    ['a_{1}+a_2', 'a_2+a_1'],
  ],
  'plus and minus': [
    ['3 \\pm 2\\sqrt2', '3+2\\sqrt2, 3-2\\sqrt2'],
    ['\\pm 2', '-2, 2'],
  ],
  'intervals, sets and unions': [
    ['(0, \\infty)', '(0,+\\infty)'],
    ['x > 0', '(0, \\infty)'],
    ['-2 \\le x \\le 7', 'x \\in [-2,7]'],
    ['x \\leq 5', '5 \\geq x'],
    ['\\{1,2,3\\}', '\\{3,1,2\\}'],
    ['[-1,0) \\cup (1,2)', '(1,2)\\cup[-1,0)'],
    ['(2,102)', '(2, 102)'],
    ['\\emptyset', '\\{\\}'],
  ],
  'points and lists': [
    ['(1,3)', '\\left(1, 3\\right)'],
    ['1, 2', '2 and 1'],
    ['(p,q)=(3,2)', '(3,2)'],
    ['p=5,q=2;p=7,q=2', '(5,2),(7,2)'],
    ['k = 45, n = 2', '45, 2'],
  ],
  equations: [
    ['x = 5', '5'],
    ['y = 2x + 1', '2x - y + 1 = 0'],
    ['34x+45y-20z+100=0', '-34x-45y+20z-100=0'],
    ['f(x) = x^2', 'x^2'],
    ['1/3', 'x = 1/3 \\approx 0.33'],
    ['7:32', 'S_1:S_2 = 7:32'],
  ],
  matrices: [
    ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{bmatrix} 1 \\\\ 2 \\end{bmatrix}'],
    ['\\begin{pmatrix}16/49\\\\48/49\\end{pmatrix}', '\\begin{pmatrix}\\frac{16}{49}\\\\\\frac{48}{49}\\end{pmatrix}'],
  ],
  'letters and words': [
    ['C', '(C)'],
    ['\\text{(C)}', 'C'],
    ['\\text{Even}', 'even'],
    ['\\text{Tuesday}', 'Tuesday.'],
  ],
}

const different: [string, string][] = [
  ['1', '2'],
  ['2', '-2'],
  ['1/3', '0.33'],
  ['1000', '10'],
  ['20', '2000'],
  ['1,3', '13'],
  ['3,4', '3.4'],
  ['[2,\\infty)', '(2,\\infty)'],
  ['(0,9)', '[0,9)'],
  ['(1,2)', '(2,1)'],
  ['\\{1,2\\}', '(1,2)'],
  ['1,2,3', '1,2'],
  ['x+1', 'x-1'],
  ['x^2', 'x^3'],
  ['x+2n+1', 'x+1'],
  ['\\sqrt{19}', '1'],
  ['2', '\\frac{1+\\sqrt5}{2}'],
  ['4', '4\\sqrt2'],
  ['x \\geq 5', 'x \\leq 5'],
  ['x < 1', 'x > -1'],
  ['a + 3z = 0', '0'],
  ['2x + z = 1', '1'],
  ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{pmatrix}2\\\\1\\end{pmatrix}'],
  ['A', 'B'],
  ['d', '\\text{E}'],
  ['\\text{Tuesday}', 'Wednesday'],
  ['\\infty', '-\\infty'],
  ['5', ''],
  ['', '5'],
  ['12', '12^{'],
]

for (const [what, pairs] of Object.entries(same)) {
  t.test(what, async (t) => {
    for (const [gold, answer] of pairs) {
      t.ok(gradeAnswer(gold, answer), `${gold} is ${answer}`)
      t.ok(gradeAnswer(answer, gold), `${answer} is ${gold}`)
    }
  })
}

t.test('what is not the same', async (t) => {
  for (const [gold, answer] of different) t.notOk(gradeAnswer(gold, answer), `${gold} is not ${answer}`)
})

t.test('hostile answers are graded in milliseconds, and never throw', async (t) => {
  const hostile = [
    '9^9^9^9^9',
    '9^{9^{9^{9}}}',
    '(((10!)!)!)!',
    '\\binom{10^{100}}{10^{50}}',
    '('.repeat(100_000),
    '{'.repeat(3000),
    '\\frac'.repeat(700),
    '\\sqrt{'.repeat(600),
    '-'.repeat(3000),
    '1+'.repeat(1500) + '1',
    `${'1,'.repeat(900)}1`,
    `\\{${'x,'.repeat(900)}x\\}`,
    '2^'.repeat(900) + '2',
    '1e999',
    '1e-999999999',
    '0/0',
    '1/0',
    '\\frac{1}{0}',
    '0^0',
    '0^{-1}',
    '\\ln 0',
    '\u0000\u0000',
    '\ud800',
    '__proto__',
    'constructor',
    'toString()',
    '\\constructor{x}',
    'process.exit(1)',
    '(()=>{for(;;){}})()',
    `${'a'.repeat(50_000)}!`,
    `x${' '.repeat(3500)}y`,
    '\\text{'.repeat(500),
    '\\begin{pmatrix}'.repeat(100),
    '5 cm '.repeat(700),
  ]
  for (const answer of hostile) {
    const start = performance.now()
    for (const gold of ['5', 'x^2+1', answer.slice(1)]) t.equal(typeof gradeAnswer(gold, answer), 'boolean')
    const elapsed = performance.now() - start
    // A second is allowed for one answer; a slow machine takes some of it.
    t.ok(elapsed < 3000, `${answer.slice(0, 30)}: ${elapsed.toFixed(0)} ms`)
  }
})
