/** A token of the library's. */
interface Token {
  type: string
  value: string
}

const opening = new Set(['OpenParen', 'OpenSquareBracket', 'OpenCurlyBracket'])
const closing = new Set(['CloseParen', 'CloseSquareBracket', 'CloseCurlyBracket'])
/** Tokens and words behind which another expression begins. */
const separating = new Set([
  'Comma',
  'Colon',
  'Equals',
  'OpenStatement',
  'OpenExpression',
  'CloseStatement',
  'CloseExpression',
  'Text',
])
const separatingWords = new Set(['and', 'or', 'if', 'else', 'elif', 'set', 'for'])
const comparingWords = new Set(['in'])

/**
 * Throws for a comparison of three values, as `a < b < c`: Python compares each with the next, and the library the first result with the
 * third value.
 */
export function refuseChainedComparisons(tokens: readonly Token[]): void {
  const isCompared = [false]
  for (const [at, { type, value }] of tokens.entries()) {
    const depth = isCompared.length - 1
    // An attribute may have any name.
    if (tokens[at - 1]?.type === 'Dot') continue
    if (opening.has(type)) isCompared.push(false)
    else if (closing.has(type)) isCompared.pop()
    else if (separating.has(type) || (type === 'Identifier' && separatingWords.has(value))) isCompared[depth] = false
    else if (type === 'ComparisonBinaryOperator' || (type === 'Identifier' && comparingWords.has(value))) {
      if (isCompared[depth] === true) throw new Error('a comparison of three values, as a < b < c, is not known here')
      isCompared[depth] = true
    }
  }
}
