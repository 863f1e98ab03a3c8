import {
  areSame,
  callable,
  compare,
  isDict,
  isIn,
  isMissing,
  isText,
  isTrue,
  isWhole,
  LibraryInterpreter,
  missing,
  none,
  Scope,
  text,
  truth,
  type Value,
  valuesIn,
  whole,
} from './jinja-values.js'
import { pythonFilter } from './python-filters.js'
import { bindTargets, loopAt } from './python-loop.js'
import { attributeByName } from './python-methods.js'
import { arithmetic } from './python-operators.js'
import { testNamed } from './python-tests.js'
import { textOf } from './python-text.js'

/** A statement or an expression, with what is read of it here. */
interface Node {
  type: string
  value?: unknown
  operator?: { value: string }
  [part: string]: unknown
}

/** Bound on the iterations of all loops of one text: more than any conversation needs, and done in seconds. */
const MAX_ITERATIONS = 1e6

/** `break` and `continue`, with what the iteration has written before it. */
class LoopControl extends Error {
  written = ''

  constructor(readonly kind: 'Break' | 'Continue') {
    super(`${kind.toLowerCase()} outside of a loop`)
  }
}

/**
 * The library's interpreter, but a template writes what Jinja in Python writes: True and None, lists and dicts as Python's, 1.0 as
 * 1.0; loops have a scope for each iteration, go over nothing where nothing is defined, and keep what was written before `continue`; a
 * string is made of characters. What Python does not do fails: an attribute of something undefined, a number added to a string.
 */
export class PythonInterpreter extends LibraryInterpreter {
  #iterations = 0

  constructor(scope: Scope) {
    super(scope)
    // The library writes every body of statements by this method.
    const evaluateBlock = (statements: Node[], inner: Scope) => text(this.#block(statements, inner))
    Object.assign(this, { evaluateBlock })
  }

  override evaluate(statement: unknown, scope: Scope): Value {
    const node = statement as Node | undefined
    const other = node === undefined ? undefined : this.#evaluate(node, scope)
    return other ?? super.evaluate(statement, scope)
  }

  /** Undefined where the library is right. */
  #evaluate(node: Node, scope: Scope): Value | undefined {
    switch (node.type) {
      case 'Held':
        return node.value as Value
      case 'For':
        return text(this.#loop(node, scope))
      case 'Break':
      case 'Continue':
        throw new LoopControl(node.type)
      case 'Macro':
        return this.#macro(node, scope)
      case 'FilterStatement':
        return this.#of({ ...node, type: 'FilterExpression', operand: held(text(this.#block(node.body, scope))) }, scope)
      case 'BinaryExpression':
        return this.#binary(node, scope)
      case 'FilterExpression':
        return this.#filter(node, scope)
      case 'TestExpression': {
        const test = testNamed((node.test as Node).value as string)
        return truth(test(this.#of(node.operand, scope), missing()) !== (node.negate === true))
      }
      case 'MemberExpression':
        return this.#member(node, scope)
      case 'CallExpression': {
        const called = this.#of(node.callee, scope)
        if (called.type !== 'FunctionValue') throw new Error(`${nameOf(node.callee as Node)}() is not known here`)
        return super.evaluate({ ...node, callee: held(called) }, scope)
      }
      default:
        return undefined
    }
  }

  #of(node: unknown, scope: Scope): Value {
    return this.evaluate(node, scope)
  }

  #block(statements: unknown, scope: Scope): string {
    let written = ''
    try {
      for (const statement of statements as Node[]) {
        const value = this.#of(statement, scope)
        if (!silent.has(statement.type)) written += textOf(value)
      }
    } catch (error) {
      if (error instanceof LoopControl) error.written = written + error.written
      throw error
    }
    return written
  }

  #loop({ loopvar, iterable, body, defaultBlock }: Node, scope: Scope): string {
    const { type, lhs, test } = iterable as Node
    const isFiltered = type === 'SelectExpression'
    const bind = (item: Value): Scope => {
      const inner = new Scope(scope)
      bindTargets(loopvar as Node, item, inner)
      return inner
    }
    const all = valuesIn(this.#of(isFiltered ? lhs : iterable, scope))
    this.#iterations += all.length
    if (this.#iterations > MAX_ITERATIONS) throw new Error(`its loops go on for more than ${MAX_ITERATIONS} iterations`)
    const items = isFiltered ? all.filter((item) => isTrue(this.#of(test, bind(item)))) : all
    let written = ''
    // As Python's Jinja has it, an iteration that `continue` or `break` ends does not count for `else`.
    let isDone = false
    for (const [index, item] of items.entries()) {
      const inner = bind(item)
      inner.setVariable('loop', loopAt(items, index))
      try {
        written += this.#block(body, inner)
        isDone = true
      } catch (error) {
        if (!(error instanceof LoopControl)) throw error
        written += error.written
        if (error.kind === 'Break') break
      }
    }
    return isDone ? written : written + this.#block(defaultBlock, scope)
  }

  /** A macro sees what is defined where it stands, and not what its caller has. */
  #macro(node: Node, scope: Scope): Value {
    super.evaluate(node, scope)
    const { value: name } = node.name as { value: string }
    const { value: run } = scope.lookupVariable(name) as unknown as { value: (given: Value[], from: Scope) => Value }
    scope.setVariable(
      name,
      callable((given, from) => {
        const own = new Scope(scope)
        const caller = from.variables.get('caller')
        if (caller !== undefined) own.setVariable('caller', caller)
        return run(given, own)
      }),
    )
    return none()
  }

  #binary(node: Node, scope: Scope): Value | undefined {
    const operator = node.operator!.value
    if (operator === 'and' || operator === 'or') return undefined
    const [left, right] = [this.#of(node.left, scope), this.#of(node.right, scope)]
    switch (operator) {
      case '==':
        return truth(areSame(left, right))
      case '!=':
        return truth(!areSame(left, right))
      case 'in':
        return truth(isIn(left, right))
      case 'not in':
        return truth(!isIn(left, right))
      case '<':
        return truth(compare(left, right) < 0)
      case '>':
        return truth(compare(left, right) > 0)
      case '<=':
        return truth(compare(left, right) <= 0)
      case '>=':
        return truth(compare(left, right) >= 0)
      case '~':
        return text(textOf(left) + textOf(right))
      default:
        return arithmetic(operator, left, right)
    }
  }

  #filter(node: Node, scope: Scope): Value | undefined {
    const { type, value, callee, args = [] } = node.filter as Node
    const filter = pythonFilter((type === 'Identifier' ? value : (callee as Node).value) as string)
    if (filter === undefined || (args as Node[]).some((arg) => arg.type.endsWith('SpreadExpression'))) return undefined
    const operand = this.#of(node.operand, scope)
    const positional: Value[] = []
    const named = new Map<string, Value>()
    for (const arg of args as Node[]) {
      if (arg.type === 'KeywordArgumentExpression') named.set((arg.key as { value: string }).value, this.#of(arg.value, scope))
      else positional.push(this.#of(arg, scope))
    }
    return filter(operand, { positional, named })
  }

  #member(node: Node, scope: Scope): Value {
    const object = this.#of(node.object, scope)
    const property = node.property as Node
    if (isMissing(object)) throw new Error(`${nameOf(node.object as Node)} is undefined, and has no ${nameOf(property)}`)
    if (node.computed !== true && property.type === 'Identifier') {
      const found = attributeByName(object, property.value as string)
      if (found !== undefined) return found
    } else if (property.type !== 'SliceExpression') {
      const key = node.computed === true ? this.#of(property, scope) : whole(property.value as number)
      if (isText(object) && isWhole(key)) {
        const character = Array.from(object.value).at(key.value)
        return character === undefined ? missing() : text(character)
      }
      // Python finds nothing under a key of another type.
      if (isDict(object) && !isText(key)) return missing()
      return super.evaluate({ ...node, object: held(object), property: held(key), computed: true }, scope)
    }
    return super.evaluate({ ...node, object: held(object) }, scope)
  }
}

/** A node that stands for its value, so that nothing is evaluated twice. */
function held(value: Value): Node {
  return { type: 'Held', value }
}

/** Statements that write nothing themselves. */
const silent: ReadonlySet<string> = new Set(['Set', 'Macro', 'Comment'])

function nameOf({ type, value, object, property, computed }: Node): string {
  if (type === 'Identifier') return value as string
  if (type === 'MemberExpression') {
    const name = nameOf(property as Node)
    return nameOf(object as Node) + (computed === true ? `[${name}]` : `.${name}`)
  }
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : 'a value'
}
