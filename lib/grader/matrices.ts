import { call, type Expression, isCall, isWithin, type MatrixNode, withParts } from './expression.js'

/** Largest product of matrices that is expanded: products grow with every factor. */
const MOST_PARTS = 4000

/** An expression with sums, products and multiples of matrices computed, so far as their sizes allow. */
export function withMatricesJoined(expression: Expression): Expression {
  const joined = withParts(expression, withMatricesJoined)
  if (joined.kind !== 'call' || !joined.of.some((part) => part.kind === 'matrix')) return joined
  const [first, ...rest] = joined.of as [Expression, ...Expression[]]
  if (joined.name === 'negate' && first.kind === 'matrix') return mapped(first, (entry) => call('negate', entry))
  if (joined.name === '/' && first.kind === 'matrix' && rest[0]!.kind !== 'matrix') {
    return mapped(first, (entry) => call('/', entry, rest[0]!))
  }
  if (joined.name !== '+' && joined.name !== '*') return joined
  let product: Expression | undefined = first
  for (const factor of rest) {
    product = pair(joined.name, product, factor)
    if (product === undefined || !isWithin(product, MOST_PARTS)) return joined
  }
  return product
}

function pair(name: string, left: Expression, right: Expression): Expression | undefined {
  if (left.kind !== 'matrix' && right.kind !== 'matrix') return call(name, left, right)
  if (name === '+') return left.kind === 'matrix' && right.kind === 'matrix' ? added(left, right) : undefined
  if (left.kind !== 'matrix') return mapped(right as MatrixNode, (entry) => call('*', left, entry))
  return right.kind === 'matrix' ? multiplied(left, right) : mapped(left, (entry) => call('*', entry, right))
}

function mapped({ rows }: MatrixNode, change: (entry: Expression) => Expression): MatrixNode {
  return { kind: 'matrix', rows: rows.map((row) => row.map(change)) }
}

function added(left: MatrixNode, right: MatrixNode): MatrixNode | undefined {
  if (left.rows.length !== right.rows.length || left.rows[0]!.length !== right.rows[0]!.length) return undefined
  return { kind: 'matrix', rows: left.rows.map((row, y) => row.map((entry, x) => call('+', entry, right.rows[y]![x]!))) }
}

function multiplied(left: MatrixNode, right: MatrixNode): MatrixNode | undefined {
  const [inner, width] = [right.rows.length, right.rows[0]!.length]
  if (left.rows[0]!.length !== inner) return undefined
  const columns = Array.from({ length: width }, (_, x) => right.rows.map((row) => row[x]!))
  const dot = (row: Expression[], column: Expression[]) => call('+', ...row.map((entry, at) => call('*', entry, column[at]!)))
  return { kind: 'matrix', rows: left.rows.map((row) => columns.map((column) => dot(row, column))) }
}

/** A column or a row as a list of its entries. */
export function vectorEntries(expression: Expression): Expression[] | undefined {
  if (expression.kind !== 'matrix') return undefined
  if (expression.rows.length === 1) return expression.rows[0]
  return expression.rows[0]!.length === 1 ? expression.rows.flat() : undefined
}

export function isMatrixExpression(expression: Expression): boolean {
  return (
    expression.kind === 'matrix' ||
    ((isCall(expression, '*') || isCall(expression, '+')) && expression.of.some(isMatrixExpression))
  )
}
