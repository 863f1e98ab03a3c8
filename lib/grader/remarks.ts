import { wordNamed } from './latex-names.js'
import { isWord } from './words.js'

/** Remarks behind an answer that are no part of it, such as `for ω² ≠ 4`. */
const condition =
  /(?:,|\\text\{|\s|(?<=\}))[,\s]*(?:\\text\s*\{\s*)?(?:where|for|when|with|if|provided|because|since)\b(?:\s|\}|\$|\\|[a-z]).*$/

const opening =
  /^(?:(?:approximately|about|exactly|roughly|the answer is|answer:?|=|\\approx|\\text\{\s*(?:approximately|about)\s*\})\s*)+/i

/** Python's module prefixes of functions. */
const modules = /\b(?:np|numpy|math|sympy)\.(?=[a-z])/g

/** `k ∈ ℤ` behind an answer. */
const wholeNumber =
  /,? ?(?:\\text ?\{ ?(?:for|where|with)(?: all)? ?\} ?)?[a-z] ?\\in ?\\?(?:mathbb ?\{ ?[ZNQ] ?\}|[ZN])(?:\^\+|_\+)?$/

/** `m/s^2` behind a number; a letter is a unit only with what it is per. */
const ratioOfUnits =
  /(?<=[\d}]) ?(?:\\text ?\{ ?)?((?:[kMmc]?(?:m|g|J|N|W)|km|erg|miles|rad|ft|C|mol|V) ?\/ ?(?:s|sec|h|hr|min|[ckm]?m|mol|mole|k?g|m?L|K|sr)(?: ?\^ ?\{?-?\d\}?)?)(?: ?\})?$/

/** `a.m.` and `pm` behind a time of day. */
const halfOfDay = /(?<=\d) ?(?:\\text ?\{ ?)?([ap])(?:\. ?m\.?|m)(?: ?\})?$/i

/** `th` of `7th` and `7^{\text{th}}`. */
const ordinal = /(?<=\d) ?(?:\^ ?\{? ?)?(?:\\text ?\{ ?)?(?:st|nd|rd|th)(?: ?\}){0,2}$/

/** Words behind a number that count what it is a number of: `5 red apples`. */
const counted = /(?<=\d|\}) ([a-z]{2,}(?:[ -][a-z]{2,})*)$/i

/** An answer without the words around it, and the units that were among them. */
export function withoutRemarks(answer: string): { text: string; units: string[] } {
  const bare = answer.replace(opening, '').replace(modules, '')
  const cut = bare
    .replace(/ ?\((?:approx(?:imately|\.)?|about)\)$/i, '')
    .replace(wholeNumber, '')
    .replace(condition, '')
    .replace(/[\s,]+$/, '')
  const text = cut === '' ? bare : cut
  const unit = ratioOfUnits.exec(text) ?? (/^\d{1,2}:\d\d/.test(text) ? halfOfDay.exec(text) : null) ?? countedThings(text)
  if (unit !== null) return { text: text.slice(0, unit.index), units: [unit[1]!.replace(/\s/g, '')] }
  return { text: /^-?\d+/.test(text) ? text.replace(ordinal, '') : text, units: [] }
}

/** Words that are no mathematics behind what starts as a number; one of them is a word by its form. */
function countedThings(text: string): RegExpExecArray | null {
  if (!/^(?:-|\\frac|\\sqrt)?\s*[\d{]/.test(text)) return null
  const found = counted.exec(text)
  const words = (found?.[1] ?? '').split(/[ -]/)
  const isMathematics = (word: string) =>
    ['sign', 'function', 'structure', 'name', 'separator'].includes(wordNamed(word)?.kind ?? '')
  return words.some((word) => isWord(word) && wordNamed(word) === undefined) && !words.some(isMathematics) ? found : null
}
