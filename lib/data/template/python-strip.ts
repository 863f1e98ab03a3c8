/** White space of Python's `str.strip`: U+001C to U+001F and U+0085 are, U+FEFF is not. */
export const whiteSpace =
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'

/** Python's `str.strip` at one end or both; without `characters`, of white space. */
export function strip(text: string, characters = whiteSpace, { start, end }: { start: boolean; end: boolean }): string {
  const stripped = new Set(characters)
  // Units are characters where none of those to strip is a pair of them, and texts are long.
  const letters = /[\ud800-\udfff]/.test(characters) ? Array.from(text) : text
  let [first, behind] = [0, letters.length]
  while (start && first < behind && stripped.has(letters[first]!)) first += 1
  while (end && behind > first && stripped.has(letters[behind - 1]!)) behind -= 1
  const left = letters.slice(first, behind)
  return typeof left === 'string' ? left : left.join('')
}
