import type { OperandRule } from '../../lib/graph/op.js'

/* Rules of operations that only tests have. */

export const read = (shape: string): OperandRule => ({ access: 'read', shape })
export const write = (shape: string): OperandRule => ({ access: 'write', shape })
