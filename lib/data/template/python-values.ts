interface TemplateNode {
  type?: string
  operator?: { type: string; value: string }
  left?: unknown
  right?: unknown
  callee?: TemplateNode
  computed?: boolean
  object?: unknown
  property?: TemplateNode
  operand?: unknown
  filter?: TemplateNode
  value?: unknown
}

const names = { same: 'limo_same', differ: 'limo_differ', capitalize: 'limo_capitalize' } as const

/** The variables that a template needs after {@link callPythonOperators}. */
export const operatorVariables: Readonly<Record<string, (...of: unknown[]) => unknown>> = {
  [names.same]: (a, b) => areSame(a, b),
  [names.differ]: (a, b) => !areSame(a, b),
  [names.capitalize]: (text) => {
    if (typeof text !== 'string') throw new Error('capitalize takes a string')
    const [first = '', ...rest] = text
    return first.toUpperCase() + rest.join('').toLowerCase()
  },
}

/**
 * Has a parsed template compare as Python does: what is not defined is not none, '1' is not 1, and lists and dicts are the same by
 * what they hold. JavaScript's `==`, which the library takes, says otherwise. `%` has the sign of its divisor, and `capitalize`
 * lowers the letters behind the first.
 */
export function callPythonOperators(node: unknown): void {
  if (typeof node !== 'object' || node === null) return
  for (const inner of Object.values(node)) callPythonOperators(inner)
  const { type, operator, left, right, callee, filter, operand } = node as TemplateNode
  if (type === 'BinaryExpression' && (operator?.value === '==' || operator?.value === '!=')) {
    const isNegated = operator.value === '!='
    // Functions are given the same for none and for what is not defined: the test `is none` tells them apart.
    const other = isNone(right) ? left : isNone(left) ? right : undefined
    if (other === undefined) replaceByCall(node, isNegated ? names.differ : names.same, [left, right])
    else
      Object.assign(node, {
        type: 'TestExpression',
        operand: other,
        negate: isNegated,
        test: { type: 'Identifier', value: 'none' },
      })
  }
  if (type === 'BinaryExpression' && operator?.value === '%') {
    // As operations, which keep whole numbers and others apart: ((a % b) + b) % b.
    const binary = (value: string, of: unknown) => ({
      type: 'BinaryExpression',
      operator: { ...operator, value },
      left: of,
      right,
    })
    Object.assign(node, { left: binary('+', binary('%', left)) })
  }
  const isMethod = type === 'CallExpression' && callee?.type === 'MemberExpression' && callee.computed !== true
  if (isMethod && callee.property?.value === 'capitalize') replaceByCall(node, names.capitalize, [callee.object])
  if (type === 'FilterExpression' && filter?.type === 'Identifier' && filter.value === 'capitalize')
    replaceByCall(node, names.capitalize, [operand])
}

function isNone(node: unknown): boolean {
  const { type, value } = (node ?? {}) as TemplateNode
  return type === 'Identifier' && (value === 'none' || value === 'None')
}

function replaceByCall(node: object, name: string, args: unknown[]): void {
  Object.assign(node, { type: 'CallExpression', callee: { type: 'Identifier', value: name }, args })
}

/** Values as the library has them inside of lists and dicts: `{ type, value }`. */
function bare(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'value' in value && 'type' in value ? value.value : value
}

function areSame(first: unknown, second: unknown): boolean {
  const [a, b] = [bare(first), bare(second)]
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => areSame(item, b[at]))
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && areSame(value, b.get(key)))
  // True is 1 in Python.
  const number = (value: unknown) => (typeof value === 'boolean' ? Number(value) : value)
  return number(a) === number(b)
}
