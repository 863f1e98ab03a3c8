const ones =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety'

const small = new Map<string, number>([
  ...ones.split(' ').map((word, value) => [word, value] as const),
  ...tens.split(' ').map((word, place) => [word, 20 + 10 * place] as const),
])

const large = new Map(Object.entries({ thousand: 1e3, million: 1e6, billion: 1e9, trillion: 1e12 }))

/** An answer that begins with a number in words, with its digits: `25 apples` for `twenty-five apples`, as text or not. */
export function withDigits(answer: string): string {
  const [, sign = '', words] = /^(?:\\text ?\{ ?)?(negative |minus )?([a-z][a-z -]*?)[ .]*\}?$/i.exec(answer) ?? []
  if (words === undefined) return answer
  const parts = words.toLowerCase().split(/[ -]/)
  const { value, length } = leadingNumber(parts)
  if (length === 0) return answer
  const rest = words.split(/[ -]/).slice(length).join(' ')
  return `${sign === '' ? '' : '-'}${value} ${rest}`.trim()
}

/** The number that the first words are, and how many of them it takes. */
function leadingNumber(words: readonly string[]): { value: number; length: number } {
  // Of one hundred and five thousand and six, what stands before `thousand`, and the part at hand.
  let [total, part, length] = [0, 0, 0]
  let last = 'start'
  for (const [place, word] of words.entries()) {
    const value = small.get(word)
    const kind = value === undefined ? word : value < 10 ? 'digit' : value < 20 ? 'teen' : 'tens'
    const isAfter = (...kinds: string[]) => kinds.includes(last)
    if (
      value !== undefined &&
      (isAfter('start', 'hundred', 'large', 'and') || (kind === 'digit' && value > 0 && last === 'tens'))
    )
      part += value
    else if (word === 'hundred' && last === 'digit' && part < 10) part *= 100
    else if (
      large.has(word) &&
      isAfter('digit', 'teen', 'tens', 'hundred') &&
      (total === 0 || large.get(word)! < smallestIn(total))
    ) {
      total += part * large.get(word)!
      part = 0
    } else if (!(word === 'and' && isAfter('hundred', 'large') && small.has(words[place + 1] ?? ''))) break
    last = large.has(word) ? 'large' : kind
    length = place + 1
  }
  return { value: total + part, length }
}

/** 1000 of 5,000. */
function smallestIn(total: number): number {
  return [...large.values()].findLast((scale) => total % scale === 0) ?? 1
}
