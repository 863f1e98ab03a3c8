import type { BackendName } from '../config/device-name.js'
import type { Dtype } from '../native/addon-types.js'
import type { OpContract } from './op.js'
import type { Dimension } from './tensor.js'

/** The shape and type of an operand, or of working memory. */
export interface OperandShape {
  shape: readonly Dimension[]
  dtype: Dtype
}

/** What a backend needs for a call of an operation besides its operands, by name: it keeps nothing from one call to the next. */
export function workingMemoryOf(
  op: OpContract,
  operands: Readonly<Record<string, OperandShape>>,
  backend: BackendName,
): Record<string, OperandShape> {
  const needed: Record<string, OperandShape> = {}
  for (const memory of op.workingMemory ?? []) {
    if (memory.backend !== backend || (memory.only && memory.only !== computeDtype(op, operands))) continue
    const sizes = sizesByLetter(op, operands)
    needed[memory.name] = { shape: memory.shape.split(' ').map((letter) => sizes.get(letter)!), dtype: memory.dtype }
  }
  return needed
}

/** The type of the operands whose type is the graph's. */
function computeDtype(op: OpContract, operands: Readonly<Record<string, OperandShape>>): Dtype | undefined {
  return Object.entries(operands).find(([name]) => op.operands[name]!.dtype === undefined)?.[1].dtype
}

function sizesByLetter(op: OpContract, operands: Readonly<Record<string, OperandShape>>): Map<string, Dimension> {
  const sizes = new Map<string, Dimension>()
  for (const [name, { shape }] of Object.entries(operands))
    for (const [i, letter] of op.operands[name]!.shape.split(' ').entries()) sizes.set(letter, shape[i]!)
  return sizes
}
