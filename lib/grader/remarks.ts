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

/** An answer without the words around it, and the units that were among them. */
export function withoutRemarks(answer: string): { text: string; units: string[] } {
  const bare = answer.replace(opening, '').replace(modules, '')
  const cut = bare
    .replace(wholeNumber, '')
    .replace(condition, '')
    .replace(/[\s,]+$/, '')
  const text = cut === '' ? bare : cut
  const unit = ratioOfUnits.exec(text)
  return unit === null ? { text, units: [] } : { text: text.slice(0, unit.index), units: [unit[1]!.replace(/\s/g, '')] }
}
