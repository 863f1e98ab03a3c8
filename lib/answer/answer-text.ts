import { closingBrace } from './boxed.js'

/** Characters that stand for a command of LaTeX's. */
const commandOf: Readonly<Record<string, string>> = {
  '−': '-',
  '–': '-',
  '×': '\\times ',
  '·': '\\cdot ',
  '⋅': '\\cdot ',
  '∙': '\\cdot ',
  '÷': '\\div ',
  '±': '\\pm ',
  '∓': '\\mp ',
  '≤': '\\le ',
  '⩽': '\\le ',
  '≥': '\\ge ',
  '⩾': '\\ge ',
  '≠': '\\ne ',
  '≈': '\\approx ',
  '≡': '\\equiv ',
  '∈': '\\in ',
  '≅': '\\cong ',
  '∼': '\\sim ',
  '△': '\\triangle ',
  '∥': '\\parallel ',
  '⊥': '\\perp ',
  '⊂': '\\subset ',
  '⊃': '\\supset ',
  '⊆': '\\subseteq ',
  '⊇': '\\supseteq ',
  '∉': '\\notin ',
  '→': '\\to ',
  '⇒': '\\Rightarrow ',
  '⇔': '\\Leftrightarrow ',
  '∧': '\\land ',
  '∨': '\\lor ',
  '¬': '\\neg ',
  '∀': '\\forall ',
  '∃': '\\exists ',
  '∑': '\\sum ',
  '∏': '\\prod ',
  '∫': '\\int ',
  '∪': '\\cup ',
  '∩': '\\cap ',
  '∖': '\\setminus ',
  '∅': '\\emptyset ',
  '∞': '\\infty ',
  '√': '\\sqrt ',
  '∛': '\\sqrt[3]',
  '∠': '\\angle ',
  '⌊': '\\lfloor ',
  '⌋': '\\rfloor ',
  '⌈': '\\lceil ',
  '⌉': '\\rceil ',
  '⟨': '\\langle ',
  '⟩': '\\rangle ',
  '…': '\\dots ',
  '⋯': '\\dots ',
  '′': "'",
  '’': "'",
  '°': '\\degree ',
  º: '\\degree ',
  ℝ: '\\mathbb{R}',
  ℤ: '\\mathbb{Z}',
  ℕ: '\\mathbb{N}',
  ℏ: '\\hbar ',
  '％': '%',
  '⁄': '/',
  ...Object.fromEntries(
    'αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ιiota κkappa λlambda μmu νnu ξxi πpi ρrho σsigma τtau φphi χchi ψpsi ωomega ΓGamma ΔDelta ΘTheta ΛLambda ΞXi ΠPi ΣSigma ΦPhi ΨPsi ΩOmega µmu'
      .split(' ')
      .map((pair) => [pair[0]!, `\\${pair.slice(1)} `]),
  ),
}

const vulgar: Readonly<Record<string, string>> = Object.fromEntries(
  '½1/2 ⅓1/3 ⅔2/3 ¼1/4 ¾3/4 ⅕1/5 ⅖2/5 ⅗3/5 ⅘4/5 ⅙1/6 ⅚5/6 ⅛1/8 ⅜3/8 ⅝5/8 ⅞7/8'
    .split(' ')
    .map((pair) => [pair[0]!, `\\frac{${pair[1]}}{${pair[3]}}`]),
)

const special = new RegExp(`[${Object.keys(commandOf).join('')}]`, 'gu')
const vulgarFraction = new RegExp(`[${Object.keys(vulgar).join('')}]`, 'gu')

const sizes = 'left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|hfill|hspace\\*?\\{[^{}]*\\}'
/** Colours, room for what is not there, and notes: their argument is no part of the answer. */
const unseen = /\\(?:(?:text)?color|[hv]?phantom|footnote|label|tag)\*?\s*\{[^{}]*\}/g

const typesetting = new RegExp(String.raw`\\\\|\\(?:${sizes})(?![a-zA-Z])\.?|\\q?quad|\\[,;:!> ]|~|&nbsp;|\u00A0`, 'g')

/**
 * An answer without what only sets it: dollar signs and other delimiters of formulas, an outer `\boxed{}`, spacing and sizes,
 * thousands separators that can be nothing else, money signs and a full stop. Characters such as `π`, `²`, `½` and `≤` become
 * commands of LaTeX's, `\dfrac` becomes `\frac`, fonts become `\text`. What is left says the same, in one alphabet.
 *
 * For answers, not for whole texts: the time may grow with the square of the length.
 */
export function tidyAnswer(answer: string): string {
  let text = withRepeatingDecimals(composed(answer))
  // Room below a line of a matrix.
  text = text.replace(/\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|cm|mm|in|mu|px|bp)\s*\]/g, '\\\\')
  // A line break of a matrix is no delimiter, even where a bracket follows it.
  text = text.replace(/\\\\|\\[()[\]]|\\?[$€£¥]/g, (found) => (found === '\\\\' ? found : ' '))
  text = withoutBox(text.trim())
  text = text
    .replace(/(\d)(?:\{,\}|,\\!|\\!,)\s*(?=\d{3}(?!\d))/g, '$1')
    .replace(/\\[dtc]frac(?![a-zA-Z])/g, '\\frac')
    .replace(/\\[dt]binom(?![a-zA-Z])/g, '\\binom')
    .replace(
      /\\(?:math(?:rm|bf|it|sf|tt|normal)|text(?:bf|it|rm|sf|tt|normal)|mbox|operatorname\*?|boldsymbol|bm)\s*\{/g,
      '\\text{',
    )
    .replace(/\\math(?:rm|bf|it|sf|tt|normal) +([a-zA-Z\d])(?![a-zA-Z\d])/g, ' $1')
    .replace(/\\(?:rm|bf|it)(?![a-zA-Z])/g, ' ')
    .replace(unseen, ' ')
    .replace(/\\text\s*\{([\s:;,.=<>+/()-]*)\}/g, '$1')
    .replace(/\{([:.,<>=+-])\}/g, '$1')
    .replace(/\\cr(?![a-zA-Z])/g, '\\\\')
  text = withoutAlignment(text)
  // `\\` comes first: in `\\ 0` the line ends, and there is no `\ `.
  text = onceEscaped(text).replace(typesetting, (found) => (found === '\\\\' ? found : ' '))
  return withoutBox(text.trim())
    .replace(/\s+/g, ' ')
    .replace(/(?<=\d) [xX] (?=\d)|(?<=\d) ?[xX] ?(?=10 ?(?:\^|\*\*))/g, ' \\times ')
    .trim()
    .replace(/\s*[.;:,\\]+$/, '')
}

/** Lines of equations, one behind the other; one that begins with a relation goes on. Cases with conditions stay. */
function withoutAlignment(text: string): string {
  return text.replace(/\\begin\{(aligned|align\*?|gathered|split|cases)\}(.*?)\\end\{\1\}/gs, (whole, _, body: string) => {
    if (/&(?!\s*(?:[=<>]|\\(?:le|ge|lt|gt|equiv|approx|ne)))/.test(body)) return whole
    const lines = body
      .replaceAll('&', '')
      .split('\\\\')
      .map((line) => line.trim().replace(/[,;.]$/, ''))
      .filter((line) => line !== '')
    return lines.reduce((before, line) =>
      /^(?:[=<>]|\\(?:le|ge|approx))/.test(line) ? `${before} ${line}` : `${before}, ${line}`,
    )
  })
}

/** A tidied answer without its spaces, but for those between two digits: 1 2 is not 12. */
export function withoutSpaces(text: string): string {
  return text.replace(/(?<![\d.])\s+|\s+(?![\d.])/g, '')
}

/** Thousands that are grouped by spaces, from their first digit: `1 234 567`. */
export const spacedThousands = /^[1-9]\d{0,2}(?: \d{3})+(?!\d| \d)/

/** Composing makes a digit of a raised one and 21/2 of 2½: these become formulas before. */
function composed(answer: string): string {
  return answer
    .replace(/[⁰¹²³⁴-⁹ⁿ⁺⁻]+/g, (raised) => `^{${raised.normalize('NFKC').replace(/\u2212/g, '-')}}`)
    .replace(/[₀-₉]+/g, (lowered) => `_{${lowered.normalize('NFKC')}}`)
    .replace(vulgarFraction, (character) => vulgar[character]!)
    .replace(special, (character) => commandOf[character]!)
    .normalize('NFKC')
    .replace(/\u2212/g, '-')
}

/** `0.333…` as `0.\overline{3}`: a digit three times and more, or several twice, at the end of a decimal that goes on. */
function withRepeatingDecimals(text: string): string {
  return text
    .replace(/\.{3,}/g, '\\dots ')
    .replace(/(?<![\d.])(\d*\.\d{0,20}?)(?:(\d)\2{2,20}|(\d{2,8})\3{1,8}) ?\\[lc]?dots(?![a-zA-Z])/g, '$1\\overline{$2$3}')
}

/** Without the boxes around the whole of it. */
function withoutBox(text: string): string {
  let inside = text
  for (;;) {
    const start = /^\\(?:boxed|fbox)\s*\{/.exec(inside)?.[0].length
    if (start === undefined) return inside.replace(/^\\(?:boxed|fbox)(?![a-zA-Z])\s*/, '')
    const end = closingBrace(inside, start, inside.length)
    if (end === undefined || !/^ ?(?:\.*|\\dots ?)$/.test(inside.slice(end + 1))) return inside
    inside = inside.slice(start, end).trim()
  }
}

/** JSON that was escaped twice has `\\frac` for `\frac`; where there is a matrix, `\\` is a line break. */
function onceEscaped(text: string): string {
  if (text.includes('\\begin')) return text
  return text.replace(
    /\\\\(?=(?:left|right|frac|sqrt|le|ge|leq|geq|pi|infty|cup|in|text|pm|cdot|times|begin)(?![a-zA-Z]))/g,
    '\\',
  )
}
