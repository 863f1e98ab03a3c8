import { callable, dict, missing, type Scope, truth, type Value, valuesIn, whole } from './jinja-values.js'

/** A name, or several names for the items of a value. */
export interface LoopTarget {
  type: string
  value?: unknown
}

/** Gives an item of a loop its name. */
export function bindTargets(target: LoopTarget, item: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.setVariable(target.value as string, item)
    return
  }
  const [targets, items] = [target.value as LoopTarget[], valuesIn(item)]
  if (targets.length !== items.length) throw new Error(`a loop over ${targets.length} names was given ${items.length} values`)
  for (const [at, inner] of targets.entries()) bindTargets(inner, items[at]!, scope)
}

/** The variable `loop` of an iteration. */
export function loopAt(items: readonly Value[], index: number): Value {
  const left = items.length - index
  return dict([
    ['index', whole(index + 1)],
    ['index0', whole(index)],
    ['revindex', whole(left)],
    ['revindex0', whole(left - 1)],
    ['first', truth(index === 0)],
    ['last', truth(left === 1)],
    ['length', whole(items.length)],
    ['previtem', items[index - 1] ?? missing()],
    ['nextitem', items[index + 1] ?? missing()],
    ['cycle', callable((given) => given[index % given.length] ?? missing())],
  ])
}
