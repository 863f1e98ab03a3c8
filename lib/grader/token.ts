import type { Rational } from '../answer/rational.js'

/** The smallest part of an answer that the parser reads. */
export interface Token {
  /** `structure` reads its arguments in a way of its own: `frac`, `sqrt`, `begin`, …; `word` is no mathematics. */
  kind: 'number' | 'time' | 'name' | 'function' | 'structure' | 'sign' | 'separator' | 'text' | 'word' | 'environment'
  text: string
  isSpaceBefore: boolean
  value?: Rational
  digits?: number
}
