import type { Fraction } from './fraction.js'

/** An answer as it was read. Expressions are nested in lists, relations and so on, never the other way round. */
export type Expression =
  | { kind: 'number'; value: Fraction /** Written with a decimal point. */; isDecimal: boolean }
  | { kind: 'symbol'; name: string }
  | { kind: 'infinity' }
  | { kind: 'sum' | 'product'; terms: Expression[] }
  | { kind: 'quotient' | 'power'; left: Expression; right: Expression }
  | { kind: 'negative'; of: Expression }
  | { kind: 'plus-minus'; left: Expression | undefined; right: Expression; isMinusPlus: boolean }
  | { kind: 'percent'; of: Expression }
  | { kind: 'call'; name: string; arguments: Expression[] }

export type Relation = '=' | '<' | '>' | '<=' | '>=' | '!=' | 'in' | ':'

export type Answer =
  | Expression
  /** `(1, 2)`, `[0, 1)`: a point, or an interval. */
  | { kind: 'tuple'; open: '(' | '['; close: ')' | ']'; items: Answer[] }
  | { kind: 'set'; items: Answer[] }
  /** `1, 2` and `1 or 2`. */
  | { kind: 'list'; items: Answer[] }
  | { kind: 'union' | 'intersection' | 'difference'; parts: Answer[] }
  | { kind: 'matrix'; rows: Expression[][] }
  /** `a < x < b`: one relation fewer than items. */
  | { kind: 'chain'; items: Answer[]; relations: Relation[] }
  | { kind: 'text'; text: string }
