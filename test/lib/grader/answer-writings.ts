import type { Draw } from './draw.js'
import { fraction, irrational, type Writings } from './number-writings.js'

/** Several values in brackets, written each in its own way. */
export function container(draw: Draw): Writings {
  const [first, second] = [fraction(draw), irrational(draw)]
  const items = () => [draw.one(first.same.filter(isPlain)), draw.one(second.same.filter(isPlain))] as const
  const kinds: ((a: string, b: string) => string[])[] = [
    (a, b) => [`(${a}, ${b})`, `\\left( ${a} , ${b} \\right)`, `( ${a},${b} )`, `(x, y) = (${a}, ${b})`, `x = ${a}, y = ${b}`],
    (a, b) => [
      `\\{${a}, ${b}\\}`,
      `\\left\\{ ${b}, ${a} \\right\\}`,
      `${a}, ${b}`,
      `${b} \\text{ and } ${a}`,
      `x = ${a} \\text{ or } x = ${b}`,
      `${b}, ${a}`,
    ],
    (a, b) => [
      `\\begin{pmatrix} ${a} \\\\ ${b} \\end{pmatrix}`,
      `\\begin{bmatrix} ${a} \\\\ ${b} \\\\ \\end{bmatrix}`,
      `\\left[\\begin{array}{c} ${a} \\\\ ${b} \\end{array}\\right]`,
    ],
    (a, b) =>
      [`[${-1000}, ${b}] \\cup \\{${2000}\\}`, `x \\in [-1000, ${b}] \\cup \\{2000\\}`, `\\{2000\\} \\cup [-1000,${b}]`].map(
        (text) => (a === '' ? '' : text),
      ),
    (_, b) => [
      `(${b}, \\infty)`,
      `x > ${b}`,
      `${b} < x`,
      `x \\in (${b}, +\\infty)`,
      `(${b}, \\infty )`,
      `\\{x \\mid x > ${b}\\}`,
    ],
    (_, b) => [`[-5000, ${b})`, `-5000 \\le x < ${b}`, `${b} > x \\geq -5000`, `x \\in [-5000, ${b})`],
  ]
  const make = draw.one(kinds)
  // Two decimals of one value need not be roundings of each other: the first is exact.
  const same = [make(first.same[0]!, second.same[0]!)[0]!, ...Array.from({ length: 12 }, () => draw.one(make(...items())))]
  const [a] = items()
  const wrong = draw.one(second.other.filter(isPlain))
  return { same, other: make(a, wrong).concat(second.same[0]!) }
}

/** Whether a writing is a value alone, that brackets can be put around. */
function isPlain(text: string): boolean {
  return !/[=,]|[a-z]{2,}$|hours|text|units|approx|boxed|%|cm/.test(text)
}

export function polynomial(draw: Draw): Writings {
  const [a, b, c] = [draw.whole(2, 9), draw.whole(1, 9), draw.whole(10, 19)]
  const x = draw.one(['x', 't', 'n', 'y', '\\theta '])
  const same = [
    `${a}${x}^2 + ${a * (b + c)}${x} + ${a * b * c}`,
    `${a * b * c} + ${a * (b + c)}${x} + ${a}${x}^{2}`,
    `${a}(${x}+${b})(${x}+${c})`,
    `(${x}+${b})(${a}${x}+${a * c})`,
    `${a}*${x}**2+${a * (b + c)}*${x}+${a * b * c}`,
    `${a}\\left(${x} + ${b}\\right)\\left(${x}+${c}\\right)`,
    `\\frac{${2 * a}(${x}+${b})(${x}+${c})}{2}`,
    `${a}${x}\\cdot ${x} + ${a * (b + c)} ${x} + ${a * b * c}`,
    `${a}({${x}} + ${c})(${b} + ${x})`,
    `${a}${x}² + ${a * (b + c)}${x} + ${a * b * c}`,
    `${a}[(${x}+${b})(${x}+${c})]`,
    `f(${x}) = ${a}(${x}+${b})(${x}+${c})`,
  ]
  const other = [
    `${a}${x}^2 + ${a * (b + c) + 1}${x} + ${a * b * c}`,
    `${a}(${x}-${b})(${x}+${c})`,
    `(${x}+${b})(${x}+${c})`,
    `${a}${x}^3 + ${a * (b + c)}${x} + ${a * b * c}`,
    `${a}${x} + ${b}`,
  ]
  return { same, other }
}

const nouns = 'yes no odd even six red none never triangle Monday heads infinite'.split(' ')

export function word(draw: Draw): Writings {
  const word = draw.one(nouns)
  const capitalised = word[0]!.toUpperCase() + word.slice(1)
  const same = [
    word,
    capitalised,
    word.toUpperCase(),
    `\\text{${word}}`,
    `\\text{${capitalised}}`,
    `\\mathrm{${word}}`,
    `\\textbf{${capitalised}}`,
    `\\text{ ${word} }`,
    `\\text{${word}.}`,
    `${capitalised}.`,
    `$\\text{${word}}$`,
    `\\textit{${word}}`,
    `\\mbox{${word}}`,
  ]
  const letters = Array.from(word.toLowerCase())
  const other = nouns
    .filter((noun) => noun !== word)
    .concat(`not ${word}`, [...letters].reverse().join(''), letters[0]!, `${word}s`, '5')
  return { same, other }
}

export function timeOfDay(draw: Draw): Writings {
  const [hour, minute] = [draw.whole(1, 5), draw.whole(10, 29)]
  const same = [
    `${hour}:${minute}`,
    `0${hour}:${minute}`,
    `\\text{${hour}:${minute}}`,
    `${hour}:${minute} \\text{ p.m.}`,
    `${hour}:${minute} PM`,
    `${hour}:${minute}\\text{ pm}`,
    `${hour}{:}${minute}`,
  ]
  const other = [
    `${hour * 2}:${minute * 2}`,
    `${hour}:${minute + 1}`,
    `${hour}${minute}`,
    `${hour}.${minute}`,
    `${minute}:${hour}`,
    `${hour}, ${minute}`,
    `${hour + 13}:${minute}`,
    `${hour}:${minute}:30`,
    `${hour + 12}:${minute} AM`,
  ]
  return { same, other }
}

/** An answer with what people put around one. */
export function wrapped(draw: Draw, answer: string): string {
  return draw.one([
    (text: string) => text,
    (text: string) => `$${text}$`,
    (text: string) => `\\(${text}\\)`,
    (text: string) => `\\[ ${text} \\]`,
    (text: string) => `\\boxed{${text}}`,
    (text: string) => ` ${text} `,
    (text: string) => `${text}.`,
    (text: string) => `\\displaystyle ${text}`,
    (text: string) => `$$\n${text}\n$$`,
    (text: string) => `\\fbox{${text}}`,
    (text: string) => `${text},`,
  ])(answer)
}
