import { clean } from './clean.js'
import { ExpressionParser, NotMathematics } from './parser.js'
import type { Answer, Expression, Relation } from './syntax.js'
import { tokenize } from './tokens.js'

/** Longer answers are compared as texts alone. */
const LONGEST = 4000

/** An answer in the grammar of answers; as a text where it is none. */
export function parseAnswer(source: string): Answer {
  if (source.length > LONGEST) return { kind: 'text', text: source.trim() }
  const text = clean(source)
  const tokens = tokenize(text)
  if (tokens === undefined || tokens.length === 0) return { kind: 'text', text }
  try {
    return new AnswerParser(tokens).whole()
  } catch (error) {
    if (!(error instanceof NotMathematics) && !(error instanceof RangeError)) throw error
    return { kind: 'text', text }
  }
}

const relations: Record<string, Relation> = {
  '=': '=',
  '==': '=',
  '\\equiv': '=',
  '\\approx': '=',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  '\\lt': '<',
  '\\gt': '>',
  '\\le': '<=',
  '\\ge': '>=',
  '\\leq': '<=',
  '\\geq': '>=',
  '\\leqslant': '<=',
  '\\geqslant': '>=',
  '!=': '!=',
  '\\ne': '!=',
  '\\neq': '!=',
  '\\in': 'in',
  ':': ':',
}

type Matrix = Answer & { kind: 'matrix' }

function multiplyMatrices(a: Matrix, b: Matrix): Matrix {
  const size = b.rows.length
  if (a.rows.some((row) => row.length !== size) || a.rows.length * size > 100) throw new NotMathematics('no product of matrices')
  const entry = (row: Expression[], column: number): Expression => ({
    kind: 'sum',
    terms: row.map((factor, index) => ({ kind: 'product', terms: [factor, b.rows[index]![column]!] })),
  })
  return { kind: 'matrix', rows: a.rows.map((row) => b.rows[0]!.map((_, column) => entry(row, column))) }
}

class AnswerParser extends ExpressionParser {
  whole(): Answer {
    const groups = [this.#items()]
    while (this.accept(';')) if (this.next !== undefined) groups.push(this.#items())
    if (this.next !== undefined) throw new NotMathematics('something is left')
    const asOne = (items: Answer[]): Answer => (items.length === 1 ? items[0]! : { kind: 'list', items })
    // `p = 5, q = 2; p = 7, q = 2` are two answers of two parts.
    return asOne(groups.some((group) => group.length > 1) ? groups.map(asOne) : groups.flat())
  }

  /** What stands between commas. */
  #items(): Answer[] {
    const items = [this.#chain()]
    while (this.accept(',')) {
      while (this.accept(','));
      if (this.next === undefined || this.is(')', ']', '}', '\\}', ';')) break
      items.push(this.#chain())
    }
    return items
  }

  #chain(): Answer {
    return this.deeper(() => {
      const items: Answer[] = [this.#combination()]
      const found: Relation[] = []
      let exact: number | undefined
      while (this.next !== undefined && Object.hasOwn(relations, this.next.text)) {
        // What follows is a rounded value of what came before.
        if (this.is('\\approx') && found.includes('=')) exact ??= items.length
        found.push(relations[this.next.text]!)
        this.at += 1
        if (this.accept('=') && found.at(-1) !== '=') found.push(`${found.pop()!}=` as Relation)
        items.push(this.#combination())
      }
      if (exact !== undefined) return { kind: 'chain', items: items.slice(0, exact), relations: found.slice(0, exact - 1) }
      return found.length === 0 ? items[0]! : { kind: 'chain', items, relations: found }
    })
  }

  #combination(): Answer {
    let left = this.#item()
    for (;;) {
      const kind =
        this.accept('\\cup') || (this.is('U') && this.#isBetweenSets() && this.accept('U'))
          ? 'union'
          : this.accept('\\cap')
            ? 'intersection'
            : this.accept('\\setminus', '\\backslash')
              ? 'difference'
              : undefined
      if (kind === undefined) return left
      const right = this.#item()
      left =
        left.kind === kind && kind !== 'difference' ? { kind, parts: [...left.parts, right] } : { kind, parts: [left, right] }
    }
  }

  #isBetweenSets(): boolean {
    return /[)\]}]$/.test(this.tokens[this.at - 1]?.text ?? '') && /^\\?[([{]/.test(this.tokens[this.at + 1]?.text ?? '')
  }

  #item(): Answer {
    const start = this.at
    if (this.accept('\\emptyset', '\\varnothing')) return { kind: 'set', items: [] }
    if (this.accept('\\{')) return this.#set('\\}')
    if (this.is('\\begin')) {
      let product = this.#matrix()
      while (this.is('\\begin')) product = multiplyMatrices(product, this.#matrix())
      return product
    }
    if (this.is('(', '[')) {
      const tuple = this.#tuple()
      if (tuple !== undefined) return tuple
      this.at = start
    }
    if (this.is('{')) {
      const list = this.#braces()
      if (list !== undefined) return list
      this.at = start
    }
    return this.expression()
  }

  #set(close: string): Answer {
    if (this.accept(close)) return { kind: 'set', items: [] }
    const items = this.#items()
    this.expect(close)
    return { kind: 'set', items }
  }

  /** Undefined for brackets that only group. */
  #tuple(): Answer | undefined {
    const open = this.tokens[this.at++]!.text as '(' | '['
    const before = this.tokens.slice()
    try {
      const items = this.#items()
      const close = this.next?.text
      if (items.length < 2 || (close !== ')' && close !== ']')) return undefined
      this.at += 1
      return { kind: 'tuple', open, close, items }
    } catch (error) {
      if (!(error instanceof NotMathematics)) throw error
      this.tokens.splice(0, this.tokens.length, ...before)
      return undefined
    }
  }

  /** Braces that TeX does not show: `{1, 2}`. */
  #braces(): Answer | undefined {
    this.at += 1
    const items = this.#items()
    if (items.length < 2) return undefined
    this.expect('}')
    return { kind: 'list', items }
  }

  /** `\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}`, of any kind. */
  #matrix(): Matrix {
    const environment = () => {
      this.at += 1
      this.expect('{')
      let name = ''
      while (this.next !== undefined && !this.is('}')) name += this.tokens[this.at++]!.text
      this.expect('}')
      return name
    }
    const name = environment()
    if (!/^(?:[pbvBV]?matrix|smallmatrix|array)\*?$/.test(name)) throw new NotMathematics(name)
    if (name.startsWith('array') && this.accept('{')) while (this.next !== undefined && !this.accept('}')) this.at += 1
    const rows: Expression[][] = [[]]
    while (this.next !== undefined && !this.is('\\end')) {
      if (this.accept('&')) continue
      if (this.accept('\\\\')) {
        rows.push([])
        continue
      }
      rows.at(-1)!.push(this.expression())
    }
    environment()
    return { kind: 'matrix', rows: rows.filter((row) => row.length > 0) }
  }
}
