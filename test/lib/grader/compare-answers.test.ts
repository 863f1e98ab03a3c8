import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'

/** Answers, the first of which is the same as each of the others. */
const same: Record<string, string[][]> = {
  numbers: [
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
    [
      '1/2',
      '0.5',
      '.5',
      '\\frac12',
      '\\dfrac{1}{2}',
      '\\frac{2}{4}',
      '5/10',
      '\\frac{-1}{-2}',
      '50\\%',
      '½',
      '2^{-1}',
      '\\frac{1}2',
    ],
    ['-\\frac{1}{3}', '\\frac{-1}{3}', '-1/3', '-0.\\overline{3}', '-\\tfrac13'],
    ['11111111100', '11,111,111,100', '11,\\! 111,\\! 111,\\! 100', '11{,}111{,}111{,}100'],
    ['1.5e-7', '1.5\\times10^{-7}', '1.5 \\cdot 10^{-7}', '0.00000015', '1.5×10⁻⁷'],
    ['3\\frac12', '3.5', '7/2', '3 1/2', '3½'],
    ['-1\\frac{4}{5}', '-1.8'],
    ['\\frac{600}{7}', '85.71', '85.714286'],
    ['0.0833333333333333', '\\frac{1}{12}'],
    ['1,22', '1.22'],
    ['540', '\\sqrt{324^2+(-432)^2}'],
    ['5!', '120'],
    ['\\binom{6}{2}', '15'],
    ['\\lfloor 7/2 \\rfloor', '3'],
    ['7:32', '7/32', '14:64', 'a:b = 7:32'],
    ['1:2:3', '2:4:6'],
    ['4210_{5}', '4210_5', '4210'],
    ['101_2', '12_3'],
  ],
  'units, money, percent, degrees': [
    ['15\\mbox{ cm}^2', '15', '15 cm^2', '15\\,\\mathrm{cm}^2'],
    ['864 \\mbox{ inches}^2', '864'],
    ['5.4 \\text{ cents}', '5.4', '5.4 cents'],
    ['\\$18.90', '18.9', '18.90 dollars', '\\$18.90 \\text{ USD}'],
    ['28\\%', '28', '0.28', '28 pct', '28 percent'],
    ['90^\\circ', '90', '\\frac{\\pi}{2}', '90^{\\circ}', '90°', '90 \\text{ degrees}'],
    ['0.006', '6×10⁻³ m/s²'],
    ['3', '3 \\text{ hours}', '3 hours'],
    ['(45^{\\circ}, 60^{\\circ})', '(45, 60)'],
  ],
  'roots and powers': [
    ['2\\sqrt{13}', '\\sqrt{52}', '\\sqrt{4\\cdot13}', '\\frac{26}{\\sqrt{13}}', '2√13', '2*sqrt(13)'],
    ['\\sqrt[3]{-8}', '-2', '-\\sqrt[3]{8}'],
    ['2^{1009}', '2 \\cdot 2^{1008}'],
    ['10^{\\frac{-5+\\sqrt{13}}{6}}', '10^{-\\frac{5-\\sqrt{13}}{6}}'],
    ['\\sqrt3', '\\sqrt{3}', '3^{1/2}', '3^{\\frac12}'],
    ['\\frac{1}{\\sqrt{2}}', '\\frac{\\sqrt2}{2}', '0.7071'],
  ],
  'complex numbers': [
    ['1+\\sqrt{3} i', '1 + i√3', '2e^{i\\pi/3}'],
    ['\\frac{1-i}{4}', '\\frac{1}{2+2i}'],
  ],
  intervals: [
    ['[2,\\infty)', 'x \\ge 2', 'x>=2', '2 \\le x', 'x \\in [2, +\\infty)', '[2, \\infty )', '\\{2\\} \\cup (2, \\infty)'],
    [
      '(-\\infty, 2) \\cup (3, \\infty)',
      '(3,\\infty)\\cup(-\\infty,2)',
      'x < 2 \\text{ or } x > 3',
      '\\mathbb{R} \\setminus [2,3]',
    ],
    ['-2 \\le x < 7', 'x\\in[-2,7)', '[-2,7)', '7 > x \\ge -2', 'x < 7 \\text{ and } x \\ge -2'],
    ['(2,12) \\cup (12,102)', 'x \\in (2, 12) \\cup (12, 102)', '(2,102) \\setminus \\{12\\}'],
    ['1\\leq|z|\\leq \\frac{3}{2}', '[-\\frac32,-1]\\cup[1,1.5]'],
    ['(2,\\infty)', '\\{x \\mid x > 2\\}', '\\{x : x > 2\\}', '\\{ x | 2 < x \\}'],
    ['x \\ne 3', '(-\\infty,3)\\cup(3,\\infty)', 'x != 3'],
    ['[a, b)', 'a \\le x < b'],
    ['0<f(x)<1', '(0,1)'],
  ],
  'sets and lists': [
    ['\\{1,2,3\\}', '3,2,1', '1, 2 and 3', '{1,2,3}', '1, 2, or 3', '\\{1,2,2,3\\}'],
    ['1 \\pm \\sqrt{19}', '\\{1+\\sqrt{19}, 1-\\sqrt{19}\\}', '1-\\sqrt{19}, 1+\\sqrt{19}', 'x = 1 \\pm \\sqrt{19}'],
    ['\\{1\\pm\\sqrt{5},-2\\}', '-2, 1-\\sqrt5, 1+\\sqrt5'],
    ['10^{3},10', '(1000,10)', '10, 1000'],
    ['$69$,$84$', '84, 69'],
    ['\\emptyset', '\\varnothing', '\\{\\}'],
    ['a=4,\\,-8,\\,-10', '-10,-8,4'],
  ],
  'tuples and named values': [
    ['(3, \\frac{\\pi}{2})', '\\left( 3, \\frac{\\pi}{2} \\right)', '(3,\\pi/2)'],
    ['(p,q)=(3,2)', '(3,2)', 'p=3, q=2', 'q=2, p=3'],
    ['p=5,q=2;p=7,q=2', '(5,2),(7,2)'],
    ['AB=4,CD=5', '4, 5'],
    ['x = 11', '11', 'x = 5+5+1 = 7+4 = 11', 'x \\approx 11'],
    ['1024', '2^{10} = 1024', '2^{10}=1024'],
    ['f^{-1}(x) = 2x', '2x'],
    ['\\frac{\\pi}{6} + 2k\\pi', 'x = \\frac{\\pi}{6} + 2k\\pi, k \\in \\mathbb{Z}'],
    ['k=45, n=2', 'n=2 \\text{ and } k=45'],
    ['f(x)=x^2', 'f(t)=t^2', 'x^2', 'f(x) = x \\cdot x'],
    ['X_{d}=125-1.25 P', 'X_d = 125 - \\frac{5}{4}P'],
  ],
  matrices: [
    [
      '\\begin{pmatrix} -1 & 0 \\\\ 0 & -1 \\end{pmatrix}',
      '\\begin{bmatrix}-1&0\\\\ 0&-1\\\\ \\end{bmatrix}',
      '-\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}',
    ],
    ['\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}', '\\frac15\\begin{pmatrix}1\\\\-18\\end{pmatrix}', '(0.2, -3.6)'],
    [
      '\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}',
      '\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}',
    ],
    ['\\begin{array}{cc}1&2\\\\3&4\\end{array}', '\\begin{matrix}1&2\\\\3&4\\end{matrix}'],
  ],
  'equations and inequalities': [
    ['2x+4y-3=0', 'y=-\\frac{1}{2}x+\\frac{3}{4}', '-2x-4y+3=0', '4y = 3-2x'],
    ['y = 2x + 3', '2x - y = -3'],
    ['m \\frac{d v}{d t}+b v=f', '\\dot{v}=\\frac{f}{m}-\\frac{b}{m}v'],
    ['x+y<2', '2x+2y<4', '2 > x+y', '-x-y>-2'],
    ['f(2) < f(1) < f(4)', 'f(4) > f(1) > f(2)'],
    ['MR=SRMC', 'MR = SRMC'],
  ],
  'choices and text': [
    ['\\text{(C)}', 'C', '(C)', '\\text{C}', 'C.', '(C) 12', 'c', '\\textbf{(C)}'],
    ['27', '(A) 27', '\\textbf{(A)}\\ 27', 'A. 27'],
    ['(E)', '(E) Hyperbola', 'E. Hyperbola'],
    ['\\text{Evelyn}', 'Evelyn', 'evelyn', '\\textbf{Evelyn}.'],
    ['\\text{no solution}', 'No solution', 'no solution.'],
    ['\\text{e}', 'e'],
  ],
  expressions: [
    ['\\frac{x+2}{7}', '\\frac{x}{7}+\\frac{2}{7}', '(x+2)/7'],
    ['(x+1)^2', 'x^2+2x+1', '(1+x)(x+1)', 'x² + 2x + 1'],
    ['x^{2023}-1', '(x-1)\\left(\\frac{x^{2023}-1}{x-1}\\right)'],
    ['\\frac{1}{2a}(\\exp{a*t} - \\exp{-a*t})', '\\frac{\\sinh(at)}{a}', '\\frac{e^{at}-e^{-at}}{2a}'],
    ['\\sqrt{2} \\cos (2 t-\\pi / 4)', '\\cos 2t + \\sin 2t'],
    ['\\frac{1-\\cos 2x}{2}', '\\sin^2 x'],
    ['\\ln 4', '2\\ln2'],
    ['2,-\\log_{10} 250', '2, -\\frac{\\ln 250}{\\ln 10}', '2,-\\log 250'],
    ['\\lfloor n/2 \\rfloor + \\lceil n/2 \\rceil', 'n'],
    ['\\binom{2n}{n}', '\\frac{(2n)!}{(n!)^2}', '\\frac{(2n)!}{n!n!}'],
    ['k\\left(4 k^{2}+k-1\\right) / 2', '\\frac{4k^3+k^2-k}{2}'],
    ['(-1)^{n}', '(-1)^{n+2}'],
    ['np.arcsin(10/13)', '\\arcsin{\\frac{1}{1.3}}', '\\sin^{-1}(10/13)'],
    ['c x^{-2}-\\frac{\\cos (2 x)}{2 x^{2}}', '-\\frac{\\cos(2x)}{2x^2}+\\frac{C}{x^2}'],
    ['\\frac{2 \\pic^{2}R^{2}}{\\lambdakT}', '\\frac{2\\pi c^2R^2}{kT\\lambda}'],
    ['|x-2|', '|2-x|'],
    ['\\frac{1}{4-\\omega^{2}}', '\\frac{1}{4-\\omega^2},\\quad \\text{for } \\omega^2 \\ne 4'],
  ],
}

for (const [kind, groups] of Object.entries(same)) {
  t.test(`${kind}: the same`, async (t) => {
    for (const [first, ...others] of groups) {
      for (const other of others) {
        t.equal(compareAnswers(first!, other).verdict, 'same', `${first}  ${other}`)
        t.equal(compareAnswers(other, first!).verdict, 'same', `${other}  ${first}`)
      }
    }
  })
}

t.test('for certain not the same', async (t) => {
  const different = [
    ['1', '2'],
    ['1/3', '0.33'],
    ['-5', '5'],
    ['3\\frac12', '31/2'],
    ['1000', '10'],
    ['6630', '6630.65'],
    ['1,5', '15'],
    ['3.1', '\\pi'],
    ['2.88e-19', '2.91e-19'],
    ['[2,\\infty)', '(2,\\infty)'],
    ['(3,4]', '4'],
    ['x \\ge 5', 'x \\le 5'],
    ['x<1', 'x>-1'],
    ['2\\sqrt{13}', '3\\sqrt{13}'],
    ['1+2i', '1-2i'],
    ['\\sqrt{2}', '\\sqrt{2},16'],
    ['1,2', '1,3'],
    ['(1,2)', '(2,1)'],
    ['x+1', 'x+2n+1'],
    ['12345', '1.235e4'],
    ['x^{2023}-1', 'x^{2022}-1'],
    ['6r^2-4r-24', '6r^2+4r-24'],
    ['|x|', 'x'],
    ['\\binom{2n}{n}', '\\binom{2n}{n-1}'],
    ['(C)', '(D)'],
    ['\\text{C}', 'A'],
    ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{pmatrix}1\\\\3\\end{pmatrix}'],
    ['f(x)=x', 'f(x)=2x'],
    ['52_8', '42'],
  ]
  for (const [first, second] of different) {
    t.equal(compareAnswers(first!, second!).verdict, 'different', `${first}  ${second}`)
    t.equal(compareAnswers(second!, first!).verdict, 'different', `${second}  ${first}`)
  }
})

t.test('not to be decided', async (t) => {
  const undecided = [
    ['3 \\text{ hours}', '3 \\text{ minutes}'],
    ['1 \\text{ hour}', '60 \\text{ minutes}'],
    ['2n', '2k'],
    ['x=5', 'y=5'],
    ['east', 'west'],
    ['\\text{no solution}', '\\text{none}'],
    ['1/0', '0'],
    ['', '0'],
    ['9'.repeat(5000), '1'],
    ['9^{9^{9^9}}', '9^{9^{9^9}}+1'],
    ['\\int_0^1 x dx', '1/2'],
    ['2x+z=1', '1'],
    ['a+3z=0', '0'],
    ['x=x^2-2', 'x^2-2'],
    ['(1,2)', '[1,2]'],
    ['(-\\sqrt{3},\\sqrt{3})', '[-\\sqrt{3},\\sqrt{3}]'],
    ['x(y-1)=0', 'x^2=1'],
  ]
  for (const [first, second] of undecided) {
    const { verdict } = compareAnswers(first!, second!)
    t.equal(verdict, 'undecided', `${first!.slice(0, 30)}  ${second}`)
  }
})

t.test('how they were compared', async (t) => {
  t.equal(compareAnswers('1/2', '0.5').how, 'number')
  t.equal(compareAnswers('x+1', '1+x').how, 'symbolic')
  t.equal(compareAnswers('(1,2)', '(1,3)').how, 'structure')
  t.equal(compareAnswers('(A)', 'A').how, 'choice')
  t.equal(compareAnswers('east', 'East').how, 'text')
})
