import t from 'tap'
import { compareAnswers } from '../../../lib/grader/compare-answers.js'
import { Draw } from './draw.js'

/**
 * What may be done to a value, each in ways to write it. No two give the same answer, for the values they are tried on: a grader that
 * drops a command, a sign above a letter or a relation takes some of them for the same.
 */
const operations: Record<string, (value: string) => string[]> = {
  'the value': (x) => [x, `(${x})`, `\\left(${x}\\right)`, `{${x}}`, `\\displaystyle ${x}`],
  negative: (x) => [`-(${x})`, `-1 \\cdot (${x})`, `0-(${x})`],
  half: (x) => [`\\frac{${x}}{2}`, `(${x})/2`, `\\frac12(${x})`, `{${x} \\over 2}`],
  square: (x) => [`(${x})^2`, `(${x})^{2}`, `\\left(${x}\\right)^2`, `(${x})(${x})`],
  cube: (x) => [`(${x})^3`, `(${x})^{1+2}`],
  inverse: (x) => [`\\frac{1}{${x}}`, `(${x})^{-1}`, `1/(${x})`],
  root: (x) => [`\\sqrt{${x}}`, `(${x})^{1/2}`, `(${x})^{\\frac12}`],
  'cube root': (x) => [`\\sqrt[3]{${x}}`, `(${x})^{1/3}`],
  floor: (x) => [`\\lfloor ${x} \\rfloor`, `\\left\\lfloor ${x} \\right\\rfloor`, `⌊${x}⌋`],
  ceiling: (x) => [`\\lceil ${x} \\rceil`, `⌈${x}⌉`],
  sine: (x) => [`\\sin(${x})`, `\\sin{(${x})}`, `sin(${x})`],
  cosine: (x) => [`\\cos(${x})`, `\\cos\\left(${x}\\right)`],
  'inverse sine': (x) => [`\\arcsin(${x})`, `\\sin^{-1}(${x})`],
  logarithm: (x) => [`\\ln(${x})`, `\\log_e(${x})`],
  'binary logarithm': (x) => [`\\log_2(${x})`, `\\log_{2}(${x})`],
  exponential: (x) => [`e^{${x}}`, `\\exp(${x})`],
  'power of two': (x) => [`2^{${x}}`, `2^{(${x})}`],
  'with a line': (x) => [`\\overline{${x}}`, `\\bar{${x}}`],
  function: (x) => [`f(${x})`, `f\\left(${x}\\right)`],
  derivative: (x) => [`f'(${x})`, `f^{\\prime}(${x})`],
  'second derivative': (x) => [`f''(${x})`, `f^{\\prime\\prime}(${x})`],
  'other function': (x) => [`g(${x})`],
  residue: (x) => [`${x} \\pmod{7}`, `${x} (mod 7)`],
  'other residue': (x) => [`${x} \\pmod{8}`],
  integral: (x) => [`\\int_0^1 ${x}\\,dt`],
  'other integral': (x) => [`\\int_0^2 ${x}\\,dt`],
  limit: (x) => [`\\lim_{t\\to0} (${x})`],
  'other limit': (x) => [`\\lim_{t\\to1} (${x})`],
  sum: (x) => [`\\sum_{k=1}^{\\infty} (${x})^k`, `\\sum_{j=1}^{\\infty} (${x})^j`],
  product: (x) => [`\\prod_{k=1}^{\\infty} (${x})^k`],
  'sum from 0': (x) => [`\\sum_{k=0}^{\\infty} (${x})^k`],
  millions: (x) => [`(${x}) \\cdot 10^6`, `1000000(${x})`],
  'at most': (x) => [`t \\le ${x}`, `${x} \\ge t`],
  'less than': (x) => [`t < ${x}`, `${x} > t`],
  unequal: (x) => [`t \\ne ${x}`, `t \\neq ${x}`],
  about: (x) => [`t \\to ${x}`],
  'in the set': (x) => [`t \\subset ${x}`],
  proportional: (x) => [`t \\propto ${x}`],
  'a pair': (x) => [`(${x}, 1)`, `\\left(${x},1\\right)`],
  'the other pair': (x) => [`(1, ${x})`],
  'an interval': (x) => [`[${x}, 10^9)`],
  'a column': (x) => [`\\begin{pmatrix}${x}\\\\2\\end{pmatrix}`, `\\begin{bmatrix}${x}\\\\[4pt]2\\end{bmatrix}`],
  'a matrix': (x) => [`\\begin{pmatrix}${x}&1\\\\0&2\\end{pmatrix}`],
  'its transpose': (x) => [`\\begin{pmatrix}${x}&0\\\\1&2\\end{pmatrix}`],
}

/** Values of which no two operations agree. */
const values = ['x+\\frac{1}{3}', 't+3', '\\frac{x}{y}+\\pi', 'a^2+b', '\\sqrt{n+2}+\\frac{1}{5}', 'z']

const count = Number(process.env.LIMO_ANSWERS ?? 40)

t.test('what is done to a value tells it apart, in every writing', async (t) => {
  const names = Object.keys(operations)
  const failures = new Set<string>()
  let compared = 0
  for (const [place, value] of values.entries()) {
    for (const name of names) {
      const [first, ...others] = operations[name]!(value)
      for (const other of others)
        for (const [gold, answer] of [
          [first!, other],
          [other, first!],
        ] as const)
          if (compareAnswers(gold, answer).verdict !== 'same') failures.add(`${name}: ${gold}  is not  ${answer}`)
    }
    const draw = new Draw(place + 1)
    for (let pair = 0; pair < 10 * count; pair += 1) {
      const [one, another] = [draw.one(names), draw.one(names)]
      if (one === another) continue
      compared += 1
      const [gold, answer] = [draw.one(operations[one]!(value)), draw.one(operations[another]!(value))]
      if (compareAnswers(gold, answer).verdict === 'same') failures.add(`${one}, ${another}: ${gold}  is  ${answer}`)
    }
  }
  t.same([...failures], [], `${compared} pairs`)
})
