/** Words after a number that are its unit. */
const units =
  'degrees?|percent|pct|dollars?|cents?|yuan|units?|inch(?:es)?|in|feet|foot|ft|yards?|mm|cm|dm|km|kg|mg|mL|ml|sq|meters?|metres?|miles?|mph|' +
  'minutes?|min|seconds?|sec|hours?|hrs?|days?|weeks?|months?|years?|square|cubic|grams?|liters?|litres?|pounds?|lbs?|ounces?|oz|' +
  'people|students|ways|times|points?|sides?|cubes?|pieces?|marbles?|apples?|books?|cards?|coins?|bills|games?|tickets?|texts?|euros?|rad|radians?|' +
  'eV|keV|MeV|ergs?|kJ|Hz|kHz|MHz|GHz|Pa|kPa|mol|pc|kpc|Mpc|AU'
/** Single letters are units behind a space, or with a power, where they are no variables. */
const letters = '[mslgJKLNWVAC]'
const power = String.raw`\s*\^\s*\{?-?\d\}?`
const unitAfterNumber = new RegExp(
  String.raw`(?<=[\d}])\s*(?:(?:${units})(?:${power})?|(?<=\s)${letters}(?:${power})?|${letters}${power})(?:\s*(?:/|per)\s*(?:${units}|${letters})(?:${power})?)*\s*\.?$`,
)
const textCommand =
  /\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname\*?|hbox|rm|bf)\s*\{([^{}]*)\}/g

/** The answer's text without what says how it is set, and without a unit at its end. */
export function clean(answer: string): string {
  let text = compose(answer)
    .replace(/(?<!\\)\\\\(?=[a-zA-Z])/g, (slashes) => (answer.includes('\\begin') ? slashes : '\\'))
    .replace(
      /\\(?:displaystyle|textstyle|limits|nolimits|mathstrut|strut|boldsymbol|bm|mathbb|vec|hat|overline|bar|ldots|dots|cdots)(?![a-zA-Z])/g,
      ' ',
    )
    .replace(/\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|middle)(?![a-zA-Z])\s*\.?/g, '')
    .replace(/\\(?:quad|qquad|hspace\{[^}]*\}|hskip|enspace|thinspace)(?![a-zA-Z])/g, ' ')
    .replace(/(?<=\d),?\s*\\!\s*(?=\d{3}(?!\d))/g, ',')
    .replace(/\\!/g, '')
    .replace(/(?<!\\)\\[,;:> ]/g, ' ')
    .replace(/\\(?:q?quad)(?=[a-zA-Z])/g, ' ')
    .replace(/\\(?:dfrac|tfrac|cfrac)/g, '\\frac')
    .replace(/\\text\s*\{\s*(?:and|or|或|和)\s*\}/g, ' , ')
    .replace(/(?:^|\s)(?:and|or)(?=\s)/g, ' , ')
    .replace(/\^\s*\{?\s*\\circ\s*\}?|°|\\degree/g, '')
    .replace(/[€£¥]|\\\$|(?<![\\a-zA-Z])\$/g, ' ')
    .replace(/~/g, ' ')
  text = text.replace(/(\d)\s*\{,\}\s*(?=\d{3})/g, '$1,').trim()
  // Two numbers in brackets, not one with a separator.
  text = text.replace(/(?<=[([]\s*-?\d{1,3}),(?=\d{3}\s*[)\]])/g, ', ')
  text = text.replace(
    /(?<=[\d}])\s*\\(?:text|textbf|mathrm|mbox|rm)\s*\{([^{}]*)\}\s*(?:\^\s*\{?\d\}?)?\s*\.?$/,
    (whole, unit: string) => (/^\s*(?:or|and)\s*$/i.test(unit) || /^\s*%\s*$/.test(unit) ? whole : ''),
  )
  text = text.replace(textCommand, ' $1 ').trim()
  text = text.replace(/\\?%|\bpct\b|\bpercent\b/g, '\\%')
  text = text.replace(unitAfterNumber, '')
  return text.replace(/[.,;:]+$/, '').trim()
}

/** Composing makes a digit of a raised one: 2² and 22 are two numbers. */
function compose(text: string): string {
  return text
    .replace(/[⁰¹²³⁴-⁹ⁿ⁺⁻]+/g, (digits) => `^{${digits}}`)
    .replace(/[₀-₉]+/g, (digits) => `_{${digits}}`)
    .normalize('NFKC')
    .replace(/[\u2212\u2013]/g, '-')
    .replace(/√/g, '\\sqrt')
    .replace(/π/g, '\\pi ')
    .replace(/∞/g, '\\infty ')
    .replace(/≤/g, '\\le ')
    .replace(/≥/g, '\\ge ')
    .replace(/≠/g, '\\ne ')
    .replace(/×/g, '\\times ')
    .replace(/·/g, '\\cdot ')
    .replace(/÷/g, '/')
    .replace(/±/g, '\\pm ')
    .replace(/∪/g, '\\cup ')
    .replace(/∈/g, '\\in ')
    .replace(/[‘’′]/g, "'")
}
