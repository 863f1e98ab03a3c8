import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'

/** Pairs that are alike, in both orders: the same, different, undecided, or never the same (`other`). */
const pairs: Record<string, [verdict: 'same' | 'different' | 'undecided' | 'other', first: string, second: string][]> = {
  'words that multiply a number': [
    ['undecided', '5', '5 million'],
    ['same', '5000000', '5 million'],
    ['same', '2/3', '2 thirds'],
    ['undecided', '1', '1 half'],
    ['same', '1/2', '1 half'],
    ['same', '1.5', '3 halves'],
    ['same', '2500000', '\\$2.5 million'],
    ['same', '24', '2 dozen eggs'],
    ['other', '24', '2 dozen and 5'],
    ['same', '2000000', '2\\text{ million}'],
    ['same', '3500000000', '\\text{3.5 billion dollars}'],
    ['undecided', '5', '5 quarters'],
  ],
  'numbers in words': [
    ['same', '1/2', 'one half'],
    ['same', '2/3', 'two thirds'],
    ['undecided', '2', 'two thirds'],
    ['same', '24', 'two dozen'],
    ['same', '-5', '\\text{negative five}'],
    ['undecided', '1', 'one or two'],
    ['undecided', '1', 'one of them'],
    ['undecided', '5', 'five and a half'],
    ['undecided', '30', 'twenty ten'],
    ['undecided', '11', 'five six'],
  ],
  'words that are no unit': [
    ['undecided', '10', '10 minus two'],
    ['undecided', '8', '10 minus two'],
    ['undecided', '4', '4 divided by seven'],
    ['undecided', '4/7', '4 divided by seven'],
    ['undecided', '720', '6 factorial'],
    ['undecided', '9', '9 cubed'],
    ['undecided', '5', '5 below zero'],
    ['undecided', '5', '5 modulo seven'],
    ['undecided', '7', '7 is wrong'],
    ['undecided', '7', '7 not eight'],
    ['undecided', '10', '10 \\text{ minus two}'],
    ['undecided', '3.5', '3 and a half'],
    ['same', '3.5', '3 and 1/2'],
    ['same', '3.5', '3 \\text{ and } \\frac12'],
  ],
  residues: [
    ['different', 'x\\equiv 1\\pmod 3', 'x\\equiv 1\\pmod 4'],
    ['different', '1\\pmod 3', '1\\pmod 4'],
    ['same', 'x\\equiv 1\\pmod 3', 'x \\equiv 1 \\pmod{3}'],
    ['same', 'x\\equiv 1\\pmod 3', '1\\pmod 3'],
    ['same', 'x\\equiv 4 (mod 3)', '1\\pmod 3'],
    ['undecided', '1', '1 \\pmod 3'],
    ['same', 'x\\equiv 1\\pmod 3', 'x \\equiv 1 \\mod 3'],
    ['same', 'x\\equiv 1\\pmod 3', 'x \\equiv 4 \\bmod{3}'],
    ['undecided', '1', '7 \\bmod 3'],
    ['same', 'x\\equiv 1, 2\\pmod 5', 'x\\equiv 2,1 \\pmod 5'],
    ['same', 'x\\equiv 1, 2\\pmod 5', 'x\\equiv 1 \\pmod 5 \\text{ or } x\\equiv 2\\pmod 5'],
    ['different', 'x\\equiv 1, 2\\pmod 5', 'x\\equiv 1, 2\\pmod 6'],
    ['other', 'x\\equiv 1, 2\\pmod 5', 'x\\equiv 1\\pmod 5'],
  ],
  units: [
    ['undecided', '10\\text{ cm}^2', '10\\text{ cm}^3'],
    ['same', '10 cm^2', '10\\text{ square cm}'],
    ['undecided', '5 kg', '5000 g'],
    ['undecided', '5000', '5 kg'],
    ['different', '4', '5 kg'],
    ['same', '5\\text{ m}', '5m'],
    ['undecided', '5', '5m'],
    ['same', '5 USD', '5'],
    ['same', '5 miles per hour', '5'],
    ['undecided', '5 feet 6 inches', '30'],
    ['undecided', '3 \\text{ hours and } 30 \\text{ minutes}', '3, 30'],
    ['undecided', '\\$5', '5\\%'],
    ['undecided', '$5', '5\\%'],
    ['same', '$5$', '5\\%'],
    ['undecided', '5\\%', '5^\\circ'],
    ['same', '20^\\circ C', '20 \\text{ degrees Celsius}'],
    ['undecided', '20^\\circ C', '20^\\circ F'],
    ['undecided', '5 m^2', '5 m'],
    ['same', '5 m^2', '5\\text{ square meters}'],
    ['undecided', '5\\text{ m/s}', '5\\text{ m/s}^2'],
    ['undecided', '5\\ \\mathrm{m\\,s^{-1}}', '5\\ \\mathrm{m\\,s^{-2}}'],
    ['same', '5\\text{ kg}\\cdot\\text{m}/\\text{s}^2', '5'],
    ['same', '5 \\mu m', '5\\text{ micrometers}'],
    ['undecided', '5', '5 \\Omega'],
  ],
  'thousands by their letter': [
    ['same', '\\$2.5M', '2500000'],
    ['same', '\\$5k', '\\$5000'],
    ['undecided', '5k', '5000'],
    ['undecided', '5', '5k'],
    ['undecided', '5', '\\$5k'],
  ],
  'lines and arrows above letters': [
    ['undecided', '\\bar z', 'z'],
    ['undecided', '\\overline{z+1}', 'z+1'],
    ['undecided', '\\overline{abc}', 'abc'],
    ['same', '\\overline{z}+1', '1+\\bar{z}'],
    ['same', '\\overline{AB}', 'AB'],
    ['same', '\\overline{AB} = 5', '5'],
    ['same', '\\mathbf{i}+2\\mathbf{j}', '\\hat{i}+2\\hat{j}'],
    ['undecided', '\\vec a\\cdot\\vec b', '\\vec a\\times\\vec b'],
    ['undecided', '\\vec a\\times\\vec b', '\\vec b\\times\\vec a'],
  ],
  'rounding and points between whole numbers': [
    ['other', '\\lfloor x\\rfloor', 'x'],
    ['other', '\\lfloor x\\rfloor', '\\lceil x\\rceil'],
    ['same', '\\lceil x \\rceil', '-\\lfloor -x \\rfloor'],
  ],
  'order of letters': [
    ['undecided', 'ACB', 'CBA'],
    ['undecided', 'BCDF', 'BDCF'],
    ['undecided', 'cat', 'act'],
    ['undecided', 'won', 'now'],
    ['undecided', '\\vec{AB}', '\\vec{BA}'],
    ['undecided', 'A,B', 'AB'],
    ['same', '(A),(C)', 'C, A'],
    ['same', '\\textbf{(A)} and (C)', 'A, C'],
    ['other', '(A),(C)', 'A, B'],
    ['other', '(A),(C)', 'A'],
    ['same', 'xy', 'yx'],
    ['same', 'xyz', 'zyx'],
  ],
  relations: [
    ['undecided', 'A\\subset B', 'B\\subset A'],
    ['undecided', '\\triangle ABC\\sim\\triangle DEF', '\\triangle ABC\\cong\\triangle DEF'],
    ['undecided', '1<x<2', 'x=1,2'],
    ['same', 'x>1 \\text{ and } x<2', '1<x<2'],
    ['different', 'x>1 \\text{ and } x<2', 'x>1 \\text{ or } x<2'],
    ['same', '1 \\text{ or } 2', '1, 2'],
    ['same', 'x_1=1, x_2=2', 'x=1,2'],
    ['undecided', 'x_1=1, x_2=2', 'x=1,3'],
    ['same', 'x=1, y=2', '(1,2)'],
    ['undecided', 'y=2, x=1', '(2,1)'],
    ['same', 'y=2, x=1', 'x=1, y=2'],
    ['same', 'y=2, x=1', '(x,y)=(1,2)'],
    ['same', '\\begin{cases}x=1\\\\y=2\\end{cases}', 'x=1, y=2'],
    ['same', '\\begin{aligned}x&=1+1\\\\&=2\\end{aligned}', '2'],
    ['undecided', '\\begin{cases}x & x>0\\\\-x & x<0\\end{cases}', 'x'],
    ['same', '△ABC ≅ △DEF', '\\triangle ABC\\cong\\triangle DEF'],
    ['undecided', '△ABC ≅ △DEF', '△ABC ∼ △DEF'],
  ],
  'commands with limits and arguments': [
    ['same', '\\sum_{k=1}^{10}k', '55'],
    ['different', '\\sum_{k=1}^{10}k', '54'],
    ['same', '\\prod_{k=1}^5 k', '5!'],
    ['same', '\\sum_{i=1}^{3}\\frac{1}{i}', '\\frac{11}{6}'],
    ['undecided', '\\sum_{k=1}^{10}k+1', '56'],
    ['undecided', '\\sum_{k=1}^{n}k', '\\frac{n(n+1)}{2}'],
    ['same', '\\sum_{k=1}^{\\infty}\\frac1{k^2}', '\\sum_{n = 1}^\\infty \\frac{1}{n^2}'],
    ['undecided', '\\sum_{k=1}^{\\infty}\\frac1{k^2}', '\\sum_{k=1}^{\\infty}\\frac1{k^3}'],
    ['undecided', '\\sum_{k=1}^{\\infty}\\frac1{k^2}', '\\prod_{k=1}^{\\infty}\\frac1{k^2}'],
    ['undecided', '\\sum_{k=0}^{n}k', '\\sum_{k=1}^{n}k'],
    ['undecided', '\\sum_{k=1}^{\\infty}\\frac1{k^2}', '\\frac{\\pi^2}{6}'],
    ['undecided', '\\sum_{k=1}^{5000}k', '0'],
    ['same', '2\\sum_{k=1}^{n}k', '2 \\cdot \\sum_{i=1}^{n} i'],
    ['undecided', '\\lim_{x\\to0}x', '0'],
    ['undecided', '\\frac{d}{dx}x^2', '2x'],
    ['undecided', '\\frac{\\partial}{\\partial x}x^2', '2x'],
    ['undecided', '\\int x dx', 'x^2/2'],
    ['same', '\\begin{pmatrix}1\\\\[4pt]2\\end{pmatrix}', '\\begin{pmatrix}1\\\\2\\end{pmatrix}'],
    ['same', '{}_5C_2', '10'],
    ['same', 'C(5,2)', '10'],
  ],
  'decimals that go on, and times': [
    ['same', '0.333...', '1/3'],
    ['same', '0.333\\ldots', '1/3'],
    ['same', '0.1666…', '1/6'],
    ['undecided', '3.14159...', '\\pi'],
    ['same', '3:00 PM', '15:00'],
    ['same', '12:30 AM', '0:30'],
    ['undecided', '10:00', '10:00:00'],
    ['different', '3:00 PM', '14:00'],
  ],
}

for (const [kind, cases] of Object.entries(pairs)) {
  t.test(kind, async (t) => {
    for (const [verdict, first, second] of cases) {
      for (const [gold, answer] of [
        [first, second],
        [second, first],
      ] as const) {
        const found = compareAnswers(gold, answer).verdict
        if (verdict === 'other') t.not(found, 'same', `${gold}  ${answer}`)
        else t.equal(found, verdict, `${gold}  ${answer}`)
      }
    }
  })
}

t.test('an answer may be the gold decimal rounded, and no more precise than it', async (t) => {
  const pairs = [
    ['104.46', '104.5'],
    ['1000.45', '1000.5'],
    ['1234.49', '1234.5'],
    ['72.2468', '72.25'],
    ['5.00001', '5.0000'],
    ['99.495', '99.50'],
    ['[104.46, \\infty)', '[104.5, \\infty)'],
    ['(72.2468, 1)', '(72.25, 1)'],
    ['x = 72.2468', 'x = 72.25'],
  ]
  for (const [exact, rounded] of pairs) {
    t.equal(compareAnswers(exact!, rounded!).verdict, 'same', `${exact}  ${rounded}`)
    t.equal(compareAnswers(rounded!, exact!).verdict, 'undecided', `${rounded}  ${exact}`)
  }
  t.equal(compareAnswers('0.30000000000000004', '0.3').verdict, 'same', 'a printed double')
  t.equal(compareAnswers('0.3', '0.30000000000000004').verdict, 'same', 'a printed double')
})
