/** Below U+0300 every character is composed already, and none combines with the one before it. */
const mayCompose = /[\u0300-\uffff]/

/**
 * Characters that compose or are reordered, but only since a later version than Unicode 9.0, whose tables that library has:
 * it leaves them where they are, as it does with every character that it does not know.
 */
const laterMarks = characterClass(`
  07fd 0897-089f 08ca-08d3 09fe 0c3c 0d3b-0d3c 0eba 1715 1abf-1add 1ae0-1aeb 1df6-1dfa a82c 105c9 105d2 105da 105e4
  10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10efb 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 11382-11385 1138b
  1138e 11390-11391 113c2 113c5 113c7-113c8 113ce-113d0 1145e 11839-1183a 11935 11938 1193d-1193e 11943 119e0 11a34
  11a47 11a99 11d42 11d44-11d45 11d97 11f41-11f42 1611e 16121-16129 1612f 16d63 16d67-16d6a 16ff0-16ff1 1e08f
  1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5`)

/** A pattern that takes one of some characters, given as ranges in hexadecimal. */
function characterClass(ranges: string): RegExp {
  const escaped = ranges.trim().replace(/[0-9a-f]+/g, '\\u{$&}')
  return new RegExp(`([${escaped.replace(/\s+/g, '')}])`, 'u')
}

/** Node sorts the marks of a character by insertion, which takes seconds for 100,000 of them. */
const manyMarks = /\p{M}{256,}/gu

/** Unicode's normalization form C, as Hugging Face's tokenizers has it. */
export function compose(text: string): string {
  if (!mayCompose.test(text)) return text
  if (!laterMarks.test(text)) return composeKnown(text)
  return text
    .split(laterMarks)
    .map((part, index) => (index % 2 === 1 ? part : composeKnown(part)))
    .join('')
}

function composeKnown(text: string): string {
  return text.replace(manyMarks, orderMarks).normalize('NFC')
}

/** Marks in canonical order: decomposed, and by their combining class between those of class 0, which stay where they are. */
function orderMarks(marks: string): string {
  const decomposed = Array.from(marks, (mark) => [...mark.normalize('NFD')]).flat()
  const ranks = rankMarks([...new Set(decomposed)])
  const ordered: string[] = []
  let buckets: string[][] = []
  for (const mark of decomposed) {
    const rank = ranks.get(mark)
    if (rank === undefined) {
      ordered.push(...buckets.map((bucket) => bucket.join('')), mark)
      buckets = []
      continue
    }
    while (buckets.length <= rank) buckets.push([])
    buckets[rank]!.push(mark)
  }
  ordered.push(...buckets.map((bucket) => bucket.join('')))
  return ordered.join('')
}

/** The order of different marks by combining class, which JavaScript shows only by what it reorders; none for class 0. */
function rankMarks(marks: readonly string[]): Map<string, number> {
  const precedes = (first: string, second: string) => (second + first).normalize('NFD') !== second + first
  // marks of the lowest class and of the highest
  const [lowest, highest] = ['\u0334', '\u0345']
  const reordered = marks.filter((mark) => precedes(lowest, mark) || precedes(mark, highest))
  reordered.sort((a, b) => (precedes(a, b) ? -1 : precedes(b, a) ? 1 : 0))
  const ranks = new Map<string, number>()
  let rank = 0
  for (const [index, mark] of reordered.entries()) {
    if (index > 0 && precedes(reordered[index - 1]!, mark)) rank += 1
    ranks.set(mark, rank)
  }
  return ranks
}
