/** Words behind a number that it is multiplied by. A quarter may be a coin, and a second is a time. */
const factors: Readonly<Record<string, string>> = {
  hundred: '100',
  thousand: '1000',
  million: '1000000',
  billion: '1000000000',
  trillion: '1000000000000',
  dozen: '12',
  half: '\\frac{1}{2}',
  halves: '\\frac{1}{2}',
  third: '\\frac{1}{3}',
  fifth: '\\frac{1}{5}',
  sixth: '\\frac{1}{6}',
  seventh: '\\frac{1}{7}',
  eighth: '\\frac{1}{8}',
  ninth: '\\frac{1}{9}',
  tenth: '\\frac{1}{10}',
  hundredth: '\\frac{1}{100}',
  thousandth: '\\frac{1}{1000}',
  millionth: '\\frac{1}{1000000}',
}

/** The word, set as text or not, where no number goes on behind it: `2 hundred and 5` is not 200. */
const scale = new RegExp(
  String.raw`(?<=^-?(?:[\d., ]*\d|[\d ]*\\frac\{\d+\}\{\d+\}|\d+/\d+)) ?-?(\\text ?\{ ?)?(${Object.keys(factors).join('|')})s?(?![a-zA-Z])(?! ?(?:and|\d|,|\+|-))`,
)

/** Letters that money is counted by. */
const moneyScales: Readonly<Record<string, string>> = {
  k: '1000',
  m: '1000000',
  mn: '1000000',
  b: '1000000000',
  bn: '1000000000',
}

/** `2.5 million`, and `2.5M` of money, as a product; undefined for an answer that has no such word. */
export function withScale({ text, units }: { text: string; units: readonly string[] }): string | undefined {
  const [, amount, letter] = /^([\d.,]*\d) ?(k|m|mn|b|bn)$/i.exec(text) ?? []
  if (amount !== undefined && units.length > 0) return `${amount} \\times ${moneyScales[letter!.toLowerCase()]}`
  const found = scale.exec(text)
  if (found === null) return undefined
  const rest = text.slice(found.index + found[0].length).trimStart()
  const scaled = `${text.slice(0, found.index)} \\times ${factors[found[2]!]}`
  return found[1] === undefined ? `${scaled} ${rest}`.trim() : `${scaled} \\text{${rest}`.replace(/ \\text\{ ?\}/, '').trim()
}
