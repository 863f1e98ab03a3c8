import type { Draw } from './draw.js'
import type { Writings } from './number-writings.js'

/** Numbers with words behind them: those that count, multiply, operate and deny. */
export function measured(draw: Draw): Writings {
  const value = draw.whole(2, 40)
  const unit = draw.one([
    'cm',
    'kg',
    'hours',
    'dollars',
    'apples',
    'red balls',
    'miles per hour',
    'square feet',
    'distinct solutions',
  ])
  const same = [
    `${value}`,
    `${value} ${unit}`,
    `${value}\\text{ ${unit}}`,
    `\\text{${value} ${unit}}`,
    `${value} \\ \\text{${unit}}`,
  ]
  const scales = 'hundred thousand million billion trillion dozen halves thirds fifths tenths quarters percentiles'.split(' ')
  const operations = [
    'minus two',
    'plus one',
    'over seven',
    'times three',
    'divided by seven',
    'squared',
    'cubed',
    'factorial',
    'below zero',
    'modulo seven',
    'mod 7',
    'choose two',
    'is wrong',
    'not eight',
    'or so',
    'base two',
    'and a half',
  ]
  const other = scales
    .concat(operations)
    .flatMap((words) => [`${value} ${words}`, `${value}\\text{ ${words}}`])
    .concat(`${value} million ${unit}`, `${value} minus two ${unit}`)
  return { same, other }
}

/** A whole number in words and figures: `2.5 million`. */
export function scaled(draw: Draw): Writings {
  const [word, factor] = draw.one<[string, number]>([
    ['hundred', 100],
    ['thousand', 1000],
    ['million', 1e6],
    ['billion', 1e9],
    ['dozen', 12],
  ])
  const count = draw.whole(2, 60)
  const same = [
    `${count * factor}`,
    `${count} ${word}`,
    `${count}\\text{ ${word}}`,
    `\\text{${count} ${word}}`,
    `${count} ${word} dollars`,
    `${count}\\text{ ${word} dollars}`,
    `\\$${count} ${word}`,
  ]
  const other = [
    `${count}`,
    `${count + 1} ${word}`,
    `${count} ${word} and 5`,
    `${count}`,
    `${count} ${word === 'dozen' ? 'million' : 'dozen'}`,
  ]
  return { same, other }
}

/** A residue by its modulus, and a measure by its unit's power. */
export function qualified(draw: Draw): Writings {
  const [modulus, power] = [draw.whole(5, 30), draw.whole(2, 3)]
  const rest = draw.whole(1, modulus - 1)
  return draw.one([
    {
      same: [
        `x \\equiv ${rest} \\pmod{${modulus}}`,
        `${rest} \\pmod{${modulus}}`,
        `x \\equiv ${rest} (mod ${modulus})`,
        `x≡${rest + modulus} \\pmod{${modulus}}`,
      ],
      other: [
        `x \\equiv ${rest} \\pmod{${modulus + 1}}`,
        `${rest}`,
        `${rest + 1} \\pmod{${modulus}}`,
        `x \\equiv ${rest} (mod ${modulus * 2})`,
        `${modulus} \\pmod{${rest + modulus}}`,
      ],
    },
    {
      same: [`${rest} \\text{ cm}^${power}`, `${rest}\\,\\mathrm{cm}^{${power}}`, `${rest} cm^${power}`, `${rest}`],
      other: [`${rest} \\text{ cm}^${5 - power}`, `${rest} \\text{ m}^${power}`, `${rest} cm`, `${rest}\\%`].slice(0, 3),
    },
  ])
}

/** Letters that mean others where their order is another. */
export function lettered(draw: Draw): Writings {
  const letters = Array.from({ length: draw.whole(2, 4) }, (_, index) => 'ABCDEFG'[(index * 2 + draw.whole(0, 1)) % 7]!)
  const name = [...new Set(letters)].join('')
  const turned = [...name].reverse().join('')
  const relation = draw.one(['\\subset', '\\sim', '\\cong', '\\perp'])
  const same = [`\\triangle ${name} ${relation} ${name}X`]
  const other = [
    `\\triangle ${name}X ${relation} ${name}`,
    `\\triangle ${name} \\parallel ${name}X`,
    `\\triangle ${name} = ${name}X`,
    `\\triangle ${name} \\supset ${name}X`,
  ]
  return draw.one([
    { same, other },
    { same: [`${name}`, `\\text{${name}}`], other: name.length > 1 ? [turned, `\\vec{${turned}}`, `\\text{${turned}}`] : [] },
    { same: [`3${name} + 1`, `1+3${name}`], other: name.length > 1 ? [`3${turned} + 1`] : [] },
  ])
}

/** A number with a compound unit, in every way to write one; another power, or another unit, is another measure. */
export function compoundly(draw: Draw): Writings {
  const value = draw.whole(2, 500)
  const [upper, upperNames] = draw.one([
    ['m', 'meters'],
    ['km', 'kilometers'],
    ['kg', 'kilograms'],
    ['g', 'grams'],
    ['J', 'joules'],
  ] as const)
  const [lower, lowerName] = draw.one([
    ['s', 'second'],
    ['h', 'hour'],
    ['L', 'liter'],
  ] as const)
  const same = [
    `${value}`,
    `${value} \\text{ ${upper}/${lower}}`,
    `${value}\\ \\mathrm{${upper}\\,${lower}^{-1}}`,
    `${value}\\,\\mathrm{${upper}\\cdot ${lower}^{-1}}`,
    `${value} \\text{ ${upper}}\\cdot\\text{${lower}}^{-1}`,
    `${value} \\text{ ${upper}}/\\text{${lower}}`,
    `${value} \\text{ ${upperNames} per ${lowerName}}`,
    `${value} ${upperNames} per ${lowerName}`,
    `${value}\\ \\frac{\\text{${upper}}}{\\text{${lower}}}`,
    `${value}\\,\\frac{\\mathrm{${upper}}}{\\mathrm{${lower}}}`,
  ]
  const other = [
    `${value + 1} \\text{ ${upper}/${lower}}`,
    `-${value} \\text{ ${upper}/${lower}}`,
    `${value} \\text{ ${upper}/${lower}} + 1`,
  ]
  return { same, other }
}

/** Two measures with units that are not the same: neither is the other, whatever the writing. */
export function otherMeasures(draw: Draw): [first: string, second: string] {
  const value = draw.whole(2, 500)
  const unit = draw.one(['m', 'cm', 'kg', 's', 'N'])
  const writings = (text: string, power: number) => [
    `${value}\\text{ ${text}}${power === 1 ? '' : `^${power}`}`,
    `${value}\\,\\mathrm{${text}^{${power}}}`,
    `${value} \\text{ ${text}}^{${power}}`,
  ]
  const [power, otherPower] = draw.one([
    [1, 2],
    [2, 3],
    [1, 3],
    [1, -1],
  ] as const)
  const others = draw.one([
    writings(unit, otherPower),
    writings(unit === 'm' ? 'km' : 'm', power),
    [`${value}\\text{ ${unit}/h}`, `${value}\\%`, `${value}^\\circ`, `\\$${value}`],
  ])
  return [draw.one(writings(unit, power)), draw.one(others)]
}

const belowTwenty =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  )
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ')

/** A whole number as people say it. */
function inWords(value: number, { and, hyphen }: { and: string; hyphen: string }): string {
  const style = { and, hyphen }
  if (value < 20) return belowTwenty[value]!
  if (value < 100) return tens[Math.floor(value / 10) - 2]! + (value % 10 === 0 ? '' : hyphen + belowTwenty[value % 10])
  const [word, scale] = value >= 1e6 ? ['million', 1e6] : value >= 1000 ? ['thousand', 1000] : ['hundred', 100]
  const [count, rest] = [Math.floor(value / Number(scale)), value % Number(scale)]
  const joint = rest < 100 ? and : ' '
  return `${inWords(count, style)} ${word}${rest === 0 ? '' : joint + inWords(rest, style)}`
}

/** A whole number in words: others by one word, a word less or their order are others. */
export function spelledOut(draw: Draw): Writings {
  const value = draw.whole(0, 10 ** draw.whole(1, 8) - 1)
  const words = inWords(value, { and: draw.one([' ', ' and ']), hyphen: draw.one(['-', ' ']) })
  const same = [
    String(value),
    words,
    words[0]!.toUpperCase() + words.slice(1),
    `\\text{${words}}`,
    `\\text{ ${words}.}`,
    `${words} apples`,
    `\\text{${words} dollars}`,
    value.toLocaleString('en-US'),
  ]
  const others = [value + 1, value + 10, value + 100, value * 10 + 1, 2 * value + 1]
  const other = others
    .map((number) => inWords(number, { and: ' ', hyphen: '-' }))
    .concat(`${words} minus one`, `not ${words}`, `${words} or so`)
  return { same, other }
}
