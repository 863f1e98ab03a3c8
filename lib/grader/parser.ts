import { decimalFraction, fraction } from './fraction.js'
import { type Functions, functionNames, greekLetters } from './names.js'
import type { Expression } from './syntax.js'
import type { Token } from './tokens.js'

/** Thrown where a text is no formula. */
export class NotMathematics extends Error {}

const MOST_DEPTH = 60

export const number = (value: bigint): Expression => ({ kind: 'number', value: fraction(value), isDecimal: false })

/** Reads the expressions of formulas: a descent by precedence over LaTeX and plain text alike. */
export class ExpressionParser {
  protected at = 0
  #depth = 0

  constructor(protected readonly tokens: Token[]) {}

  protected get next(): Token | undefined {
    return this.tokens[this.at]
  }

  protected is(...texts: string[]): boolean {
    return this.next !== undefined && texts.includes(this.next.text)
  }

  protected accept(...texts: string[]): boolean {
    if (!this.is(...texts)) return false
    this.at += 1
    return true
  }

  protected expect(...texts: string[]): void {
    if (!this.accept(...texts)) throw new NotMathematics(`expected ${texts[0]}`)
  }

  protected deeper<T>(body: () => T): T {
    if (++this.#depth > MOST_DEPTH) throw new NotMathematics('nested too deeply')
    try {
      return body()
    } finally {
      this.#depth -= 1
    }
  }

  expression(): Expression {
    return this.deeper(() => {
      let left: Expression | undefined
      if (!this.is('\\pm', '\\mp')) left = this.#term()
      for (;;) {
        if (this.accept('+')) left = { kind: 'sum', terms: [left!, this.#term()] }
        else if (this.accept('-')) left = { kind: 'sum', terms: [left!, { kind: 'negative', of: this.#term() }] }
        else if (this.is('\\pm', '\\mp')) {
          const isMinusPlus = this.accept('\\mp') || !this.accept('\\pm')
          left = { kind: 'plus-minus', left, right: this.#term(), isMinusPlus }
        } else return left!
      }
    })
  }

  #term(): Expression {
    let left = this.#signed()
    for (;;) {
      if (this.accept('*', '\\cdot', '\\times', '\\ast')) left = { kind: 'product', terms: [left, this.#signed()] }
      else if (this.accept('/', '\\div')) left = { kind: 'quotient', left, right: this.#signed() }
      else if (this.startsAtom()) left = this.#joined(left)
      else return left
    }
  }

  /** A number and a fraction side by side are a mixed number, anything else a product. */
  #joined(left: Expression): Expression {
    const isWhole = left.kind === 'number' && left.value.bottom === 1n && !left.isDecimal
    const isFraction = this.is('\\frac')
    if (isWhole && this.next!.type === 'number') {
      const [slash, bottom] = [this.tokens[this.at + 1], this.tokens[this.at + 2]]
      if (!this.next!.isSpaced || slash?.text !== '/' || bottom?.type !== 'number')
        throw new NotMathematics('two numbers side by side')
      const top = this.#factor()
      this.at += 1
      return { kind: 'sum', terms: [left, { kind: 'quotient', left: top, right: this.#factor() }] }
    }
    const right = this.#factor()
    const isPart = right.kind === 'quotient' && right.left.kind === 'number' && right.right.kind === 'number'
    if (isWhole && isFraction && isPart) return { kind: 'sum', terms: [left, right] }
    return { kind: 'product', terms: [left, right] }
  }

  #signed(): Expression {
    return this.deeper(() => {
      if (this.accept('-')) return { kind: 'negative', of: this.#signed() }
      if (this.accept('+')) return this.#signed()
      return this.#factor()
    })
  }

  #factor(): Expression {
    let base = this.#atom()
    for (;;) {
      if (this.accept('!')) base = { kind: 'call', name: 'factorial', arguments: [base] }
      else if (this.accept('\\%', '%')) base = { kind: 'percent', of: base }
      else if (this.accept("'")) continue
      else if (this.accept('^') || (this.is('*') && this.tokens[this.at + 1]?.text === '*' && this.#skip(2))) {
        base = { kind: 'power', left: base, right: this.#exponent() }
      } else return base
    }
  }

  #skip(count: number): true {
    this.at += count
    return true
  }

  #exponent(): Expression {
    return this.deeper(() => {
      if (this.is('{')) return this.group()
      if (this.accept('-')) return { kind: 'negative', of: this.#exponent() }
      const base = this.#atom()
      return this.accept('^') ? { kind: 'power', left: base, right: this.#exponent() } : base
    })
  }

  protected group(): Expression {
    this.expect('{')
    const inside = this.expression()
    this.expect('}')
    return inside
  }

  /** What a command takes: a group, or the next digit or letter. */
  #argument(): Expression {
    if (this.is('{')) return this.group()
    const token = this.next
    if (token?.type !== 'number') return this.#atom()
    if (token.text.length === 1) this.at += 1
    else this.tokens[this.at] = { ...token, text: token.text.slice(1) }
    return number(BigInt(token.text.charAt(0) === '.' ? '0' : token.text.charAt(0)))
  }

  protected startsAtom(): boolean {
    const token = this.next
    if (token === undefined) return false
    if (token.type === 'number' || token.type === 'name') return true
    if (token.type === 'symbol') return token.text === '(' || token.text === '[' || token.text === '{'
    return (
      /^\\(?:frac|sqrt|binom|pi|infty|lfloor|lceil|lvert)$/.test(token.text) ||
      token.text.slice(1) in functionNames ||
      greekLetters.has(token.text.slice(1))
    )
  }

  #atom(): Expression {
    return this.deeper(() => {
      const token = this.next
      if (token === undefined) throw new NotMathematics('the end')
      if (token.type === 'number') {
        this.at += 1
        const value = decimalFraction(token.text)
        if (value === undefined) throw new NotMathematics('no number')
        return { kind: 'number', value, isDecimal: /[.eE]/.test(token.text) }
      }
      if (token.type === 'name') return this.#name(token.text)
      if (token.type === 'command') return this.#command(token.text.slice(1))
      if (token.text === '{') return this.group()
      if (this.accept('(', '[')) {
        const inside = this.expression()
        this.expect(token.text === '(' ? ')' : ']')
        return inside
      }
      if (this.accept('|')) {
        const inside = this.expression()
        this.expect('|')
        return { kind: 'call', name: 'abs', arguments: [inside] }
      }
      throw new NotMathematics(`unexpected ${token.text}`)
    })
  }

  /** Letters: a function, a constant, or variables one after the other. */
  #name(name: string): Expression {
    this.at += 1
    if (Object.hasOwn(functionNames, name)) return this.#call(name as keyof Functions)
    if (/^(?:inf|infty|infinity|oo)$/i.test(name)) return { kind: 'infinity' }
    if (name === 'pi') return { kind: 'symbol', name: 'pi' }
    if (name.length > 3) throw new NotMathematics('a word')
    const letters = [...name].map((letter): Expression => ({ kind: 'symbol', name: letter }))
    const last = letters.at(-1) as Expression & { kind: 'symbol' }
    last.name += this.#subscript()
    // A power belongs to the last letter.
    if (letters.length > 1 && this.accept('^'))
      letters[letters.length - 1] = { kind: 'power', left: last, right: this.#exponent() }
    return letters.length === 1 ? last : { kind: 'product', terms: letters }
  }

  /** `_1` and `_{10}` belong to the name of a variable. */
  #subscript(): string {
    if (!this.accept('_')) return ''
    if (!this.accept('{')) return `_${this.tokens[this.at++]?.text ?? ''}`
    let text = '_'
    while (this.next !== undefined && !this.is('}')) text += this.tokens[this.at++]!.text
    this.expect('}')
    return text
  }

  #command(name: string): Expression {
    this.at += 1
    switch (name) {
      case 'frac':
        return { kind: 'quotient', left: this.#argument(), right: this.#argument() }
      case 'binom':
        return { kind: 'call', name: 'binom', arguments: [this.#argument(), this.#argument()] }
      case 'sqrt': {
        let degree: Expression = number(2n)
        if (this.accept('[')) {
          degree = this.expression()
          this.expect(']')
        }
        if (this.next?.type === 'number') return { kind: 'call', name: 'root', arguments: [this.#atom(), degree] }
        return { kind: 'call', name: 'root', arguments: [this.#argument(), degree] }
      }
      case 'infty':
        return { kind: 'infinity' }
      case 'lfloor':
      case 'lceil': {
        const inside = this.expression()
        this.expect(name === 'lfloor' ? '\\rfloor' : '\\rceil')
        return { kind: 'call', name: name === 'lfloor' ? 'floor' : 'ceil', arguments: [inside] }
      }
      case 'lvert': {
        const inside = this.expression()
        this.expect('\\rvert')
        return { kind: 'call', name: 'abs', arguments: [inside] }
      }
    }
    if (Object.hasOwn(functionNames, name)) return this.#call(name as keyof Functions)
    if (greekLetters.has(name)) return { kind: 'symbol', name: `${name}${this.#subscript()}` }
    throw new NotMathematics(`\\${name}`)
  }

  /** `\sin x`, `\sin(x)`, `\sin^2 x`, `\log_2 8`. */
  #call(name: keyof Functions): Expression {
    let base: Expression | undefined
    if (name === 'log' && this.accept('_')) base = this.#argument()
    const exponent = this.accept('^') ? this.#exponent() : undefined
    const inside = this.is('(', '{', '[') ? this.#atom() : this.#callArgument()
    const args = base === undefined ? [inside] : [inside, base]
    const call: Expression = { kind: 'call', name: functionNames[name], arguments: args }
    if (exponent === undefined) return call
    const isInverse = exponent.kind === 'negative' && exponent.of.kind === 'number' && exponent.of.value.top === 1n
    if (isInverse && /^(?:sin|cos|tan)$/.test(name)) return { ...call, name: `a${name}` }
    return { kind: 'power', left: call, right: exponent }
  }

  /** Without brackets a function takes what is multiplied: `\sin 2x`. */
  #callArgument(): Expression {
    let argument = this.#signedFactor()
    while (
      this.startsAtom() &&
      !(this.next!.type === 'command' && this.next!.text.slice(1) in functionNames) &&
      !this.is('(', '[')
    )
      argument = { kind: 'product', terms: [argument, this.#factor()] }
    return argument
  }

  #signedFactor(): Expression {
    return this.accept('-') ? { kind: 'negative', of: this.#factor() } : this.#factor()
  }
}
