import { compareEquations, compareInequalities } from './compare-relations.js'
import { ValueComparison, type Verdict } from './compare-values.js'
import { type CallNode, call, type Expression, isCall, type ListNode, listOf, type RelationNode, spelled } from './expression.js'
import { isMatrixExpression, vectorEntries, withMatricesJoined } from './matrices.js'
import {
  areNamesInOrder,
  type NamedValue,
  namedValue,
  separateNames,
  valuesOfNamed,
  withCommonArguments,
  withoutNumbers,
  withSignsChosen,
} from './named-values.js'
import { compareSets, isSetOfNumbers, realSet } from './real-sets.js'
import { asList, intervalOf, isEmpty, isOrdered, isSet, setParts, subject, withSeconds } from './shapes.js'

/** Budget of comparisons of parts for two answers: lists of 100 items each take 20,000 at most. */
const MOST_COMPARISONS = 20_000

/** Compares two answers as they were read: what kinds of answers they are decides how. */
export class ExpressionComparison {
  private readonly values = new ValueComparison()
  private comparisons = 0
  private readonly spellings = new WeakMap<Expression, string>()

  compare(first: Expression, second: Expression): Verdict {
    return this.any(withSignsChosen(withMatricesJoined(first)), withSignsChosen(withMatricesJoined(second)))
  }

  private any(a: Expression, b: Expression): Verdict {
    this.comparisons += 1
    if (this.comparisons > MOST_COMPARISONS) return 'undecided'
    if (this.spelling(a) === this.spelling(b)) return 'same'
    if (isCall(a, 'time') && isCall(b, 'time')) return this.times(a, b)
    if (isCall(a, 'pmod') && isCall(b, 'pmod')) return this.residues(a, b)
    // A time is no ratio, unless the other side is one.
    if (isCall(a, 'time')) return this.any(call(':', ...a.of), b)
    if (isCall(b, 'time')) return this.any(a, call(':', ...b.of))
    const [namedA, namedB] = [namedValue(a), namedValue(b)]
    if (namedA !== undefined && namedB !== undefined) return this.named(a as RelationNode, b as RelationNode, namedA, namedB)
    if (namedA !== undefined && b.kind !== 'relation') return this.valueOfNamed(a, namedA, b)
    if (namedB !== undefined && a.kind !== 'relation') return this.valueOfNamed(b, namedB, a)
    return (
      this.sets(a, b) ??
      this.relations(a, b) ??
      this.matrices(a, b) ??
      this.lists(a, b) ??
      this.ratios(a, b) ??
      this.values.compare(a, b)
    )
  }

  /** 1 modulo 3 is 4 modulo 3, and no 1 modulo 4. */
  private residues(a: CallNode, b: CallNode): Verdict {
    const [first, second] = [a.of[0]!, b.of[0]!]
    const modulus = this.any(a.of[1]!, b.of[1]!)
    if (modulus !== 'same') return modulus
    const rest = this.values.exact.of(call('/', call('+', first, call('negate', second)), a.of[1]!))
    if (rest === undefined) return this.any(first, second) === 'same' ? 'same' : 'undecided'
    return rest.bottom === 1n ? 'same' : 'different'
  }

  /** 2:40 is not 1:20; whether both may have been meant as ratios cannot be told. */
  private times(a: CallNode, b: CallNode): Verdict {
    // 10:00 may be hours or minutes: whether it is 10:00:00 cannot be told.
    const isLonger = a.of.length !== b.of.length
    const [partsA, partsB] = isLonger ? [withSeconds(a), withSeconds(b)] : [a.of, b.of]
    if (this.inOrder(partsA, partsB) === 'same') return isLonger ? 'undecided' : 'same'
    return this.any(call(':', ...a.of), call(':', ...b.of)) === 'same' ? 'undecided' : 'different'
  }

  /** 1 : 2 : 3 and 2 : 4 : 6. */
  private ratios(a: Expression, b: Expression): Verdict | undefined {
    if (!isCall(a, ':') || !isCall(b, ':') || a.of.length < 3) return undefined
    const [first, ...rest] = [a.of[0]!, ...a.of.slice(1)]
    return this.inOrder(
      rest.map((part) => call('/', part, first)),
      b.of.slice(1).map((part) => call('/', part, b.of[0]!)),
    )
  }

  /** Two equations that say what a name is: the same name, or functions that differ in their argument's name alone. */
  private named(a: RelationNode, b: RelationNode, namedA: NamedValue, namedB: NamedValue): Verdict {
    const [functionA, functionB] = [withCommonArguments(namedA), withCommonArguments(namedB)]
    if (functionA && functionB && spelled(functionA.name) === spelled(functionB.name))
      return this.any(functionA.value, functionB.value)
    if (spelled(namedA.name) === spelled(namedB.name)) return this.any(namedA.value, namedB.value)
    if (namedA.name.kind === 'list' || namedB.name.kind === 'list') return this.lists(a, b) ?? 'undecided'
    return compareEquations(a, b, this.values) === 'same' ? 'same' : 'undecided'
  }

  private valueOfNamed(equation: Expression, { value }: NamedValue, other: Expression): Verdict {
    const verdict = this.any(value, other)
    if (verdict === 'same' || other.kind !== 'list') return verdict
    // (x, y) = (1, 2) against x = 1, y = 2.
    const separate = separateNames(equation)
    return separate.length > 1 ? this.any(listOf(separate), other) : verdict
  }

  private sets(a: Expression, b: Expression): Verdict | undefined {
    if (!isSetOfNumbers(a) && !isSetOfNumbers(b)) return undefined
    const [subjectA, subjectB] = [subject(a), subject(b)]
    if (subjectA !== undefined && subjectB !== undefined && !subjectA.some((name) => subjectB.includes(name))) return 'undecided'
    const [setA, setB] = [realSet(a, this.values), realSet(b, this.values)]
    if (setA !== undefined && setB !== undefined) return compareSets(setA, setB, this.values)
    for (const name of ['union', 'intersection'] as const) {
      const [partsA, partsB] = [setParts(a, name), setParts(b, name)]
      const areSmaller = partsA.length > 1 && partsB.length > 1
      if (name === 'union' ? partsA.length > 1 || partsB.length > 1 : areSmaller) return this.unordered(partsA, partsB)
    }
    return undefined
  }

  private relations(a: Expression, b: Expression): Verdict | undefined {
    if (a.kind !== 'relation' && b.kind !== 'relation') return undefined
    if (a.kind === 'relation' && b.kind === 'relation') {
      const isEquation = a.operators.concat(b.operators).every((operator) => operator === '=')
      return isEquation ? compareEquations(a, b, this.values) : compareInequalities(a, b, this.values, (x, y) => this.any(x, y))
    }
    const [relation, other] = (a.kind === 'relation' ? [a, b] : [b, a]) as [RelationNode, Expression]
    const range = intervalOf(relation)
    // x = 1, 2 are two values, and no ends.
    return range !== undefined && other.kind === 'list' && other.open !== '' ? this.any(range, other) : 'undecided'
  }

  private matrices(a: Expression, b: Expression): Verdict | undefined {
    if (a.kind === 'matrix' && b.kind === 'matrix') {
      const isAlike = a.rows.length === b.rows.length && a.rows[0]!.length === b.rows[0]!.length
      return isAlike ? this.inOrder(a.rows.flat(), b.rows.flat()) : 'undecided'
    }
    // A vector may be written as a column, a row or a point.
    const [matrix, other] = a.kind === 'matrix' ? [a, b] : [b, a]
    if (matrix.kind === 'matrix') {
      const entries = vectorEntries(matrix)
      return entries !== undefined && other.kind === 'list' && other.open !== '{' ? this.inOrder(entries, other.of) : 'undecided'
    }
    return isMatrixExpression(a) || isMatrixExpression(b) ? 'undecided' : undefined
  }

  private lists(a: Expression, b: Expression): Verdict | undefined {
    if (a.kind !== 'list' && b.kind !== 'list') return undefined
    // A set that has the empty set for its member is not empty.
    if (isEmpty(a) || isEmpty(b)) return 'different'
    const [bareA, bareB] = [asList(a), asList(b)]
    const listA = { ...bareA, of: withoutNumbers(bareA.of, bareB.of) }
    const listB = { ...bareB, of: withoutNumbers(bareB.of, bareA.of) }
    const [valuesA, valuesB] = [valuesOfNamed(listA.of), valuesOfNamed(listB.of)]
    const isNamed = (valuesA === undefined) !== (valuesB === undefined)
    // Two angles that are 90 are not one that is.
    if (isNamed && listA.of.length !== listB.of.length) return 'undecided'
    // y = 2, x = 1 is the point (1, 2), where it is one.
    const [named, other] = valuesA === undefined ? [listB, listA] : [listA, listB]
    if (isNamed && isOrdered(other) && !areNamesInOrder(named.of)) return 'undecided'
    const verdict = this.listItems(listA, listB)
    if (verdict === 'same') return verdict
    const [separateA, separateB] = [listA.of.flatMap(separateNames), listB.of.flatMap(separateNames)]
    const isSeparated = separateA.length !== listA.of.length || separateB.length !== listB.of.length
    if (isSeparated && this.unordered(separateA, separateB) === 'same') return 'same'
    if (!isNamed) return verdict
    return this.listItems(valuesA ? { ...listA, of: valuesA } : listA, valuesB ? { ...listB, of: valuesB } : listB)
  }

  private listItems(a: ListNode, b: ListNode): Verdict {
    const [isOrderedA, isOrderedB] = [isOrdered(a), isOrdered(b)]
    if (!isOrderedA && !isOrderedB) return this.unordered(a.of, b.of, a.open === '{' && b.open === '{')
    if (a.open === '{' || b.open === '{') return 'undecided'
    const verdict = this.inOrder(a.of, b.of)
    if (!isOrderedA || !isOrderedB) return verdict
    return verdict === 'same' && a.open + a.close !== b.open + b.close ? 'undecided' : verdict
  }

  private inOrder(a: Expression[], b: Expression[]): Verdict {
    if (a.length !== b.length) return 'different'
    const verdicts = a.map((item, index) => this.any(item, b[index]!))
    if (verdicts.includes('different')) return 'different'
    return verdicts.includes('undecided') ? 'undecided' : 'same'
  }

  /** Each item has to be among the others; how often does not matter. In sets, {1} is no 1. */
  private unordered(a: Expression[], b: Expression[], areSets = false): Verdict {
    const verdicts = [...a.map((item) => this.among(item, b, areSets)), ...b.map((item) => this.among(item, a, areSets))]
    if (verdicts.includes('different')) return 'different'
    return verdicts.includes('undecided') ? 'undecided' : 'same'
  }

  private among(item: Expression, others: Expression[], areSets: boolean): Verdict {
    let isCertain = true
    for (const other of others) {
      const verdict = areSets && isSet(item) !== isSet(other) ? 'different' : this.any(item, other)
      if (verdict === 'same') return 'same'
      isCertain &&= verdict === 'different'
    }
    return isCertain ? 'different' : 'undecided'
  }

  private spelling(expression: Expression): string {
    let text = this.spellings.get(expression)
    if (text === undefined) {
      text = spelled(expression)
      this.spellings.set(expression, text)
    }
    return text
  }
}
