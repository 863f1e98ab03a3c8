import type { Draw } from './draw.js'

/** An answer, its writings, and what is another answer though it looks much like it. */
export interface Writings {
  same: string[]
  other: string[]
}

/** Digits in groups of three. */
function grouped(value: number, separator: string): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, separator)
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}

/** A decimal of so many digits, in every way of writing its power of ten, and its neighbours in the last place. */
function rounded(value: number, digits: number): Writings {
  const written = value.toPrecision(digits)
  if (written.includes('e')) return { same: [], other: [] }
  const [mantissa, exponent] = value.toExponential(digits - 1).split('e') as [string, string]
  const places = written.split('.')[1]?.length ?? 0
  const same = [`${mantissa} \\times 10^{${Number(exponent)}}`, `${mantissa}e${Number(exponent)}`]
  if (places > 0) same.push(written, written.replace(/^(-?)0\./, '$1.'), `\\text{${written}}`)
  const other = [1, -1, 10].map((steps) => {
    const digit = BigInt(mantissa.replace(/[-.]/g, '')) + BigInt(steps)
    return `${value < 0 ? '-' : ''}${digit}e${Number(exponent) - digits + 1}`.replace(
      /^(-?\d)(\d+)e(-?\d+)$/,
      (_, first, rest, power) => `${first}.${rest}e${Number(power) + rest.length}`,
    )
  })
  return { same, other }
}

export function wholeNumber(draw: Draw): Writings {
  const value = draw.whole(2, draw.one([20, 500, 99_999, 9_999_999]))
  const [k, less] = [draw.whole(2, 9), draw.whole(1, value - 1)]
  const same = [
    `${value}`,
    `0${value}`,
    `${value}.0`,
    `${value}.`,
    `+${value}`,
    `\\frac{${value * k}}{${k}}`,
    `${value * k}/${k}`,
    `${value * k} \\div ${k}`,
    `{${value * k} \\over ${k}}`,
    `${less} + ${value - less}`,
    `${value + k} - ${k}`,
    `--${value}`,
    `\\sqrt{${value ** 2}}`,
    `\\left(${value}\\right)`,
    `{${value}}`,
    `\\text{${value}}`,
    `\\mathbf{${value}}`,
    `\\textbf{${value}}`,
    `${value}\\text{ units}`,
    `${value} apples`,
    `${value} \\text{ red apples}`,
    `\\text{${value} dollars}`,
    `\\$${value}`,
    `${value}^{1}`,
    `${value} \\cdot 1`,
    `|{-${value}}|`,
    `\\lvert -${value} \\rvert`,
    `${value * 100}\\% `,
    `x = ${value}`,
    `${value * 2} \\times \\frac12`,
    `\\lfloor ${value}.5 \\rfloor`,
    `\\sum_{k=1}^{${k}} \\frac{${value}}{${k}}`,
    `\\boxed ${value}`,
    `n=${value}`,
    `\\approx ${value}`,
    `${value}\\,`,
    `${value} \\ `,
    `\\mathrm{${value}}`,
    `\\displaystyle ${value}`,
    grouped(value, ','),
    grouped(value, '{,}'),
    grouped(value, '\\,'),
    grouped(value, ' '),
    grouped(value, '~'),
    grouped(value, ',\\!'),
  ]
  const digits = String(value)
  const other = [
    `${value + 1}`,
    `-${value}`,
    `${value}.01`,
    `1/${value}`,
    `${digits}0`,
    `${value}x`,
    `${value}, ${value + 1}`,
    `(${value}, 0)`,
    `${value}^2`,
  ]
  if (digits.length === 2 || digits.length > 4)
    other.push(
      Array.from(digits).join(' '),
      `${digits[0]} ${digits.slice(1)}`.replace(/^(\d) (\d{3})$/, '$1  $2 0'),
      `${digits[0]}, ${digits.slice(1)}`,
      `${digits[0]}\\quad ${digits.slice(1)}`,
    )
  return { same, other: other.filter((text) => !/^\d \d{3}$/.test(text)) }
}

export function fraction(draw: Draw): Writings {
  let [top, bottom] = [draw.whole(1, 99), draw.whole(2, 60)]
  const divisor = greatestDivisor(top, bottom)
  ;[top, bottom] = [top / divisor, bottom / divisor]
  if (bottom === 1) bottom = top + 1
  const [k, sign] = [draw.whole(2, 7), draw.one(['', '-'])]
  const value = (sign === '' ? 1 : -1) * (top / bottom)
  const same = [
    `${sign}\\frac{${top}}{${bottom}}`,
    `${sign}${top}/${bottom}`,
    `${sign}\\dfrac{${top}}{${bottom}}`,
    `${sign}\\tfrac{${top}}{${bottom}}`,
    `\\frac{${sign}${top}}{${bottom}}`,
    `${sign}{${top} \\over ${bottom}}`,
    `{${sign}${top} \\over ${bottom}}`,
    `${sign}\\frac{${top * k}}{${bottom * k}}`,
    `${sign}${top}⁄${bottom}`,
    `${sign}${top} \\div ${bottom}`,
    `${sign}${top} \\cdot ${bottom}^{-1}`,
    `${sign}\\left(\\frac{${bottom}}{${top}}\\right)^{-1}`,
    `${sign}\\frac{\\text{${top}}}{\\text{${bottom}}}`,
    `${sign}\\frac {${top}} {${bottom}}`,
    `${sign}(${top})/(${bottom})`,
    `x=${sign}\\frac{${top}}{${bottom}}`,
    `${sign}\\cfrac{${top}}{${bottom}}`,
    `\\left(${sign}\\frac{${top}}{${bottom}}\\right)`,
    `${sign}\\frac{${100 * top}}{${bottom}}\\%`,
    `${sign}\\frac{${top}}{${bottom}}\\text{ cm}^2`,
    `${sign}${top}/${bottom} hours`,
  ]
  const other = [
    `${sign}\\frac{${top + 1}}{${bottom}}`,
    `${sign === '' ? '-' : ''}\\frac{${top}}{${bottom}}`,
    `${sign}\\frac{${bottom}}{${top}}`,
    `${top} ${bottom}`,
    `${sign}${top}, ${bottom}`,
    `${sign}${top}${bottom}`,
  ]
  const [whole, rest] = [Math.floor(top / bottom), top % bottom]
  if (whole > 0) {
    same.push(
      ...[
        `\\frac{${rest}}{${bottom}}`,
        ` \\frac{${rest}}{${bottom}}`,
        ` ${rest}/${bottom}`,
        `\\ ${rest}/${bottom}`,
        `\\tfrac{${rest}}{${bottom}}`,
        `~\\dfrac{${rest}}{${bottom}}`,
      ].map((part) => `${sign}${whole}${part}`),
    )
    same.push(`${sign}(${whole} + ${rest}/${bottom})`)
    other.push(`${sign}${whole} \\cdot \\frac{${rest}}{${bottom}}`, `${sign}${whole} ${rest + bottom}/${bottom}`)
  }
  for (let digits = 4; digits <= 17; digits += 1) {
    const decimal = rounded(value, digits)
    same.push(...decimal.same)
    // Of a value in the middle of two decimals either will do.
    const isMiddle = Number(value.toPrecision(digits + 1)) === value
    if (!isMiddle && digits <= 14) other.push(...decimal.other)
  }
  return { same, other: other.filter((text) => text !== same[0]) }
}

/** Roots, logarithms and multiples of π: what a decimal can only round to. */
export function irrational(draw: Draw): Writings {
  const root = draw.one([2, 3, 5, 6, 7, 10, 11, 13])
  const k = draw.whole(2, 12)
  const kinds: { value: number; same: string[]; other: string[] }[] = [
    {
      value: k * Math.sqrt(root),
      same: [
        `${k}\\sqrt{${root}}`,
        `${k}\\sqrt${root}`.replace(/\\sqrt(\d\d)$/, '\\sqrt{$1}'),
        `\\sqrt{${k * k * root}}`,
        `${k}*sqrt(${root})`,
        `${k}√${root}`,
        `${k} \\cdot ${root}^{1/2}`,
        `${k} \\cdot ${root}^{0.5}`,
        `\\frac{${k * root}}{\\sqrt{${root}}}`,
        `\\sqrt{${root}} \\cdot ${k}`,
        `\\sqrt[4]{${(k * k * root) ** 2}}`,
      ],
      other: [
        `${k}\\sqrt{${root + 1}}`,
        `${k + 1}\\sqrt{${root}}`,
        `\\sqrt{${k * root}}`,
        `-${k}\\sqrt{${root}}`,
        `${k}${root}`,
        `${k}+\\sqrt{${root}}`,
      ],
    },
    {
      value: (k * Math.PI) / root,
      same: [
        `\\frac{${k}\\pi}{${root}}`,
        `${k}\\pi/${root}`,
        `\\frac{${k}}{${root}}\\pi`,
        `${k}π/${root}`,
        `\\pi \\cdot \\frac{${k}}{${root}}`,
        `${k}*pi/${root}`,
        `{${k}\\pi \\over ${root}}`,
        `\\frac{${2 * k}\\pi}{${2 * root}}`,
      ],
      other: [
        `\\frac{${k}}{${root}}`,
        `\\frac{${k + 1}\\pi}{${root}}`,
        `\\frac{${root}\\pi}{${k}}`,
        `-\\frac{${k}\\pi}{${root}}`,
        `\\frac{${k}\\pi^2}{${root}}`,
        `\\frac{${22 * k}}{${7 * root}}`,
      ].filter((text) => k !== root || !text.startsWith(`\\frac{${root}\\pi}`)),
    },
    {
      value: Math.log(k),
      same: [
        `\\ln ${k}`,
        `\\ln{${k}}`,
        `\\ln(${k})`,
        `ln(${k})`,
        `\\log_{e} ${k}`,
        `\\frac12\\ln ${k * k}`,
        `-\\ln\\frac{1}{${k}}`,
        `\\log_e(${k})`,
      ],
      other: [`\\ln ${k + 1}`, `-\\ln ${k}`, `\\ln ${k}^3`, `2\\ln ${k}`, `e^{${k}}`],
    },
    {
      value: Math.exp(k / 4),
      same: [`e^{${k}/4}`, `\\exp(${k}/4)`, `e^{\\frac{${k}}{4}}`, `\\sqrt[4]{e^{${k}}}`, `\\exp\\left(\\frac{${k}}{4}\\right)`],
      other: [`e^{${k}}/4`, `e^{-${k}/4}`, `e^{${k + 1}/4}`],
    },
  ]
  const { value, same, other } = draw.one(kinds)
  for (let digits = 4; digits <= 13; digits += 1) {
    const decimal = rounded(value, digits)
    same.push(...decimal.same)
    if (digits <= 12) other.push(...decimal.other)
  }
  return { same, other }
}
