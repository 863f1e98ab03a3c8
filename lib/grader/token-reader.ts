import type { Token } from './token.js'

/** An answer that is none of what the parser knows; it is then compared as text. */
export class ParseFailure extends Error {}

/** Deepest nesting of brackets and signs: deeper ones are no answer and would overflow the stack. */
const DEEPEST = 60

/** The tokens of an answer, one after the other. */
export class TokenReader {
  private at = 0
  private depth = 0

  constructor(private readonly tokens: readonly Token[]) {}

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead]
  }

  next(): Token {
    const token = this.tokens[this.at]
    if (token === undefined) throw new ParseFailure('the answer ends too early')
    this.at += 1
    return token
  }

  /** Whether the next token is one of these signs. */
  isSign(...signs: string[]): boolean {
    const token = this.peek()
    return token?.kind === 'sign' && signs.includes(token.text)
  }

  /** Takes the next token where it is this sign. */
  take(sign: string): boolean {
    const isNext = this.isSign(sign)
    if (isNext) this.at += 1
    return isNext
  }

  expect(...signs: string[]): string {
    if (!this.isSign(...signs)) throw new ParseFailure(`no ${signs.join(' or ')} where one must be`)
    return this.next().text
  }

  /** The digits of a number one at a time: `\frac12` is 1/2. */
  splitNumber(): void {
    const token = this.peek()
    if (token?.kind !== 'number' || !/^\d{2,}$/.test(token.text)) return
    const digits = Array.from(token.text, (text) => ({ ...token, text, value: { top: BigInt(text), bottom: 1n } }))
    ;(this.tokens as Token[]).splice(this.at, 1, ...digits)
  }

  /** Content of a subscript, as written. */
  subscript(): string {
    if (!this.take('{')) return this.next().text
    let text = ''
    for (let open = 1; open > 0; ) {
      const token = this.next()
      if (token.text === '{') open += 1
      else if (token.text === '}') open -= 1
      else text += token.text
    }
    return text
  }

  /** Runs `read` one level deeper. */
  nested<T>(read: () => T): T {
    this.depth += 1
    if (this.depth > DEEPEST) throw new ParseFailure('nested too deeply')
    try {
      return read()
    } finally {
      this.depth -= 1
    }
  }
}
