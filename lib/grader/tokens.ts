/** A piece of a formula. */
export interface Token {
  type: 'number' | 'name' | 'command' | 'symbol'
  text: string
  /** White space comes before it. */
  isSpaced: boolean
}

/** Longer answers are compared as texts alone. */
export const MOST_TOKENS = 2000

const pattern =
  /\s*(?:(\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?|\d{1,3}(?:[ ]\d{3})+(?!\d)(?:\.\d+)?|\d+\.?\d*(?:[eE][+-]?\d{1,3}(?![a-zA-Z\d]))?|\.\d+)|(\\[a-zA-Z]+|\\[{}|%\\&])|([a-zA-Zα-ωΑ-Ω]+)|(<=|>=|!=|==|.))/gsu

/** The pieces of a cleaned text; undefined where it is too long. */
export function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = []
  for (const [whole, number, command, name, symbol] of text.matchAll(pattern)) {
    const isSpaced = /^\s/.test(whole)
    if (number !== undefined) tokens.push({ type: 'number', text: number.replace(/[, ]/g, ''), isSpaced })
    else if (command !== undefined) tokens.push({ type: 'command', text: command, isSpaced })
    else if (name !== undefined) tokens.push({ type: 'name', text: name, isSpaced })
    else if (symbol !== undefined && symbol.trim() !== '') tokens.push({ type: 'symbol', text: symbol, isSpaced })
    if (tokens.length > MOST_TOKENS) return undefined
  }
  return tokens
}
