import type { Dtype } from '../native/addon-types.js'
import type { BackwardContext } from './backward.js'
import type { Node } from './graph.js'

/** How an operation uses an operand: reads it, overwrites it, adds to it, or reads and overwrites it. */
export type Access = 'read' | 'write' | 'accumulate' | 'update'

export interface OperandRule {
  access: Access
  /** Dimensions by letter, as in the operation's header in native/ops: a letter is the same size in all operands. */
  shape: string
  dtype?: Dtype
  optional?: true
}

/** An operation as the graph sees it: its operands and shapes, its gradient, and what it allows the planner to do. */
export interface OpDefinition {
  /** The name in the native registry. */
  name: string
  operands: Readonly<Record<string, OperandRule>>
  attributes?: readonly string[]
  /** Pairs [written, read] that may share their memory when the read one is not needed later. */
  inPlace?: readonly (readonly [string, string])[]
  /** Emits the operations that carry the gradient of the written operands to the read ones. */
  gradient?: (node: Node, context: BackwardContext) => void
  /** Another form of the node for recomputation, when the tensors that are kept make part of its work needless. */
  recompute?: (node: Node) => Pick<Node, 'operands' | 'attributes'>
}

export const read = (shape: string, dtype?: Dtype): OperandRule => ({ access: 'read', shape, ...(dtype ? { dtype } : {}) })
export const write = (shape: string): OperandRule => ({ access: 'write', shape })
export const accumulate = (shape: string): OperandRule => ({ access: 'accumulate', shape })
export const update = (shape: string): OperandRule => ({ access: 'update', shape })
export const optional = (rule: OperandRule): OperandRule => ({ ...rule, optional: true })
