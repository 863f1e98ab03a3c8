/** Letters that stand together, two capitals or more. */
const capitals = /(?<![a-zA-Z\\])[A-Z]{2,}(?![a-z])/g

/**
 * Whether two answers have the same letters together in another order, as AB and BA, or cat and act. They are the same as products
 * of numbers, but not as products of matrices, vectors, angles, words, or the answers to several choices.
 */
export function haveOtherOrders(first: string, second: string): boolean {
  const [one, other] = [word(first), word(second)]
  if (one !== undefined && other !== undefined && one !== other && sorted(one) === sorted(other)) return true
  if (areOneListed(first, second)) return true
  const [runsA, runsB] = [runs(first), runs(second)]
  for (const [letters, orders] of runsA) {
    const others = runsB.get(letters)
    if (others !== undefined && (orders.size !== others.size || [...orders].some((order) => !others.has(order)))) return true
  }
  return false
}

/** Letters alone that may be a word; x, y and z are rather names. */
function word(text: string): string | undefined {
  return /^[a-zA-Z]{3,}$/.test(text) && /[aeiouy]/i.test(text) && !/^[w-z]+$/.test(text) ? text : undefined
}

/** A, B and AB are the same answers of several. */
function areOneListed(first: string, second: string): boolean {
  const isListed = (text: string) => /^[A-Z](?: ?[,;] ?[A-Z])+$/.test(text)
  const isRun = (text: string) => /^[A-Z]{2,}$/.test(text)
  if (!(isListed(first) && isRun(second)) && !(isListed(second) && isRun(first))) return false
  return sorted(first.replace(/[^A-Z]/g, '')) === sorted(second.replace(/[^A-Z]/g, ''))
}

function runs(text: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const [run] of text.matchAll(capitals)) {
    const letters = sorted(run)
    const orders = found.get(letters) ?? new Set()
    found.set(letters, orders.add(run))
  }
  return found
}

function sorted(text: string): string {
  return Array.from(text).sort().join('')
}
