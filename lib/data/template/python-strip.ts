/** White space of Python's `str.strip`: U+001C to U+001F and U+0085 are, U+FEFF is not. */
export const whiteSpace =
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'

type Strip = (text: unknown, characters?: unknown) => string

/** Python's `str.strip`, `str.lstrip` and `str.rstrip`, by their names. */
const stripFunctions: Readonly<Record<string, Strip>> = {
  strip: (text, characters) => strip(text, characters, true, true),
  lstrip: (text, characters) => strip(text, characters, true, false),
  rstrip: (text, characters) => strip(text, characters, false, true),
}

function strip(text: unknown, characters: unknown, atStart: boolean, atEnd: boolean): string {
  if (typeof text !== 'string') throw new Error('strip, lstrip, rstrip and trim take a string')
  const stripped = typeof characters === 'string' ? characters : whiteSpace
  let start = 0
  let end = text.length
  while (atStart && start < end && stripped.includes(text[start]!)) start += 1
  while (atEnd && end > start && stripped.includes(text[end - 1]!)) end -= 1
  return text.slice(start, end)
}

const functionName = (method: string) => `limo_${method}`

/** The variables that a template needs after {@link callPythonStrip}. */
export const stripVariables: Readonly<Record<string, Strip>> = Object.fromEntries(
  Object.entries(stripFunctions).map(([method, run]) => [functionName(method), run]),
)

interface TemplateNode {
  type?: string
  value?: unknown
  object?: unknown
  property?: TemplateNode
  computed?: boolean
  callee?: TemplateNode
  args?: unknown[]
  operand?: unknown
  filter?: TemplateNode
}

/**
 * Has a parsed template call Python's functions for `text.strip('\n')`, the like, and the filter `trim`. Those of the library
 * take all white space whatever characters they are given, so that Qwen3's template would lose the indentation of an answer.
 */
export function callPythonStrip(node: unknown): void {
  if (typeof node !== 'object' || node === null) return
  for (const inner of Object.values(node)) callPythonStrip(inner)
  const { type, callee, filter, args = [] } = node as TemplateNode
  const method = callee?.property?.value
  if (type === 'CallExpression' && callee?.type === 'MemberExpression' && callee.computed !== true && isStrip(method)) {
    replace(node, method, [callee.object, ...args])
  }
  if (type === 'FilterExpression') {
    const { operand } = node as TemplateNode
    if (filter?.value === 'trim') replace(node, 'strip', [operand])
    if (filter?.type === 'CallExpression' && filter.callee?.value === 'trim')
      replace(node, 'strip', [operand, ...(filter.args ?? [])])
  }
}

function isStrip(method: unknown): method is string {
  return typeof method === 'string' && Object.hasOwn(stripFunctions, method)
}

function replace(node: object, method: string, args: unknown[]): void {
  Object.assign(node, { type: 'CallExpression', callee: { type: 'Identifier', value: functionName(method) }, args })
}
