import { unitIn } from './units.js'

/** Remarks behind an answer that are no part of it, such as `for ω² ≠ 4`. */
const condition =
  /(?:,|\\text\{|\s|(?<=\}))[,\s]*(?:\\text\s*\{\s*)?(?:where|for|when|with|if|provided|because|since)\b(?:\s|\}|\$|\\|[a-z]).*$/

const opening =
  /^(?:(?:approximately|about|exactly|roughly|\\therefore|\\implies|\\Rightarrow|=>|the answer is|answer:?|=|\\approx|\\text ?\{\s*(?:approximately|about|(?:the )?answer(?: is)?:?)\s*\})\s*)+/i

/** Python's module prefixes of functions. */
const modules = /\b(?:np|numpy|math|sympy)\.(?=[a-z])/g

/** `k ∈ ℤ` behind an answer. */
const wholeNumber =
  /,? ?(?:\\text ?\{ ?(?:for|where|with)(?: all)? ?\} ?)?([a-z]) ?\\in ?\\?(?:mathbb ?\{ ?[ZNQ] ?\}|[ZN])(?:\^\+|_\+)?$/

const allReals = /^(?:\\text ?\{ ?)?all real(?:s| numbers?)?(?: ?\})?$/i

/** `\in \mathbb{R}` in a set, which is of real numbers where nothing else is said. */
const realMember = /\\\{ ?([a-zA-Z]) ?\\in ?\\mathbb ?\{ ?R ?\} ?(?=\||\\mid|:)/

/** `30^\circ 15'`, perhaps with seconds. */
const arcMinutes =
  /(\d+) ?(?:\^ ?\{? ?\\circ ?\}?|\\degree) ?(\d{1,2}) ?(?:'|\^ ?\{? ?\\prime ?\}?)(?: ?(\d{1,2}(?:\.\d+)?) ?(?:''|"|\^ ?\{? ?\\prime ?\\prime ?\}?))?(?!')/g

/** `m/s^2` behind a number; a letter is a unit only with what it is per. */
const ratioOfUnits =
  /(?<=[\d}]) ?(?:\\text ?\{ ?)?((?:[kMmc]?(?:m|g|J|N|W)|km|erg|miles|rad|ft|C|mol|V) ?\/ ?(?:s|sec|h|hr|min|[ckm]?m|mol|mole|k?g|m?L|K|sr)(?: ?\^ ?\{?-?\d\}?)?)(?: ?\})?$/

const stackedUnits = /(?<=[\d}]) ?\\frac ?\{ ?([a-zA-Z]+) ?\} ?\{ ?([a-zA-Z]+(?: ?\^ ?\{?\d\}?)?) ?\}$/

const oneUnit = String.raw`(?:\\text ?\{(?:[^{}]|\{[^{}]*\})*\}|\\frac ?\{[^{}]*(?:\{[^{}]*\})?[^{}]*\} ?\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\\Omega|\\mu ?[a-zA-Z]+|[a-zA-Z]+)(?: ?\^ ?(?:\{ ?-?\d ?\}|\d))?`
const units = new RegExp(String.raw`(?<=[\d}]) ?(${oneUnit}(?:(?: ?(?:\\cdot|\\times|\*|/) ?| )${oneUnit})*)$`)

/** `a.m.` and `pm` behind a time of day. */
const halfOfDay = /(?<=\d) ?(?:\\text ?\{ ?)?([ap])(?:\. ?m\.?|m)(?: ?\})?$/i

/** `th` of `7th` and `7^{\text{th}}`. */
const ordinal = /(?<=\d) ?(?:\^ ?\{? ?)?(?:\\text ?\{ ?)?(?:st|nd|rd|th)(?: ?\}){0,2}$/

/** A number with its words that are set as text as a whole. */
const setAsText = /^\\text ?\{ ?(-?\d[^{}]*?) ?\}$/

/** `(mod 3)` without its command. */
const modulus = /\( ?(?:\\text ?\{ ?)?\\?mod(?: ?\})? ?(\w+|\{[^{}]*\}) ?\)/g

/** `x \\equiv 1 \\bmod 3`: with the sign of congruence, it is no remainder. */
const congruence = /(\\equiv[^=]*?) ?\\(?:bmod|mod)(?![a-zA-Z]) ?(\w+|\{[^{}]*\})/g

/** Words behind a number that count what it is a number of: `5 red apples`, `5 miles per hour`. */
const counted = /(?<=\d|\}) ([a-z]{2,}(?:[ -][a-z]+)*)$/i

/** Short units that are no product of names. */
const symbolAlone =
  /^(?:cm|mm|km|kg|mg|ml|mL|ft|hr|hrs|min|sec|lb|lbs|oz|mph|eV|Hz|Pa|nm|USD|EUR|GBP|RMB|CNY|JPY|INR|cat|dog|men|way|day|boy)$/

/** An answer without the words around it, the units that were among them, and the name that is any whole number. */
export function withoutRemarks(answer: string): { text: string; units: string[]; wholeName?: string | undefined } {
  return { ...withoutUnits(withoutWords(answer)), wholeName: wholeNumber.exec(answer)?.[1] }
}

function withoutWords(answer: string): string {
  const bare = answer
    .replace(setAsText, '$1')
    .replace(opening, '')
    .replace(modules, '')
    .replace(modulus, '\\pmod{$1}')
    .replace(congruence, '$1 \\pmod{$2}')
    .replace(realMember, '\\{ $1 ')
    .replace(arcMinutes, (_, degrees, minutes, seconds = '0') => `(${degrees}+${minutes}/60+${seconds}/3600)^\\circ `)
  const cut = bare
    .replace(/ ?\((?:approx(?:imately|\.)?|about)\)$/i, '')
    .replace(wholeNumber, '')
    .replace(condition, '')
    .replace(/[\s,]+$/, '')
  const text = cut === '' ? bare : cut
  return allReals.test(text) ? '\\mathbb{R}' : text
}

function withoutUnits(text: string): { text: string; units: string[] } {
  const half = /^\d{1,2}(?::\d\d| ?(?:\\text ?\{ ?)?[ap]\.? ?m\b)/i.test(text) ? halfOfDay.exec(text) : null
  if (half !== null) return { text: text.slice(0, half.index), units: [half[1]!.toLowerCase()] }
  const things = ratioOf(text) ?? compoundUnit(text) ?? countedThings(text)
  if (things !== undefined) return { text: text.slice(0, things.index), units: [things.unit] }
  return { text: /^-?\d+/.test(text) ? text.replace(ordinal, '') : text, units: [] }
}

interface Ending {
  index: number
  unit: string
}

/** `m/s` and `\frac{m}{s}` behind a number. */
function ratioOf(text: string): Ending | undefined {
  const found = ratioOfUnits.exec(text.replace(stackedUnits, ' $1/$2'))
  if (found === null) return undefined
  return { index: found.index, unit: unitIn(found[1]!) ?? found[1]!.replace(/[\s{}]/g, '') }
}

/** Units that are set as text, several of them or with powers, behind a number: `\text{kg}\cdot\text{m}/\text{s}^2`. */
function compoundUnit(text: string): Ending | undefined {
  const found = units.exec(text)
  const written = found?.[1] ?? ''
  if (!written.includes('\\text') || !/[/*^]|\\cdot|\\times|\\frac|\} ?\\text/.test(written)) return undefined
  const unit = text.slice(0, found!.index).includes('\\text') ? undefined : unitIn(written)
  return unit === undefined ? undefined : { index: found!.index, unit }
}

/** Words that are a unit for certain behind what starts as a number. */
function countedThings(text: string): Ending | undefined {
  if (!/^(?:-|\\frac|\\sqrt)?\s*[\d{]/.test(text)) return undefined
  const found = counted.exec(text)
  const words = found?.[1] ?? ''
  const unit = words.length > 3 || symbolAlone.test(words) ? unitIn(words) : undefined
  return unit === undefined ? undefined : { index: found!.index, unit }
}
