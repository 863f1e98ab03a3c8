import type { BackendName } from '../config/device-name.js'
import type { ComputeDtype, Dtype } from '../native/addon-types.js'
import type { Tensor } from './tensor.js'

/** A number, or the name of a scalar that each run gives. */
export type AttributeValue = number | { scalar: string }

/** Nodes of one queue run in their order, those of different queues at the same time but for what they wait for. */
export type Queue = 'compute' | 'copy' | 'communication'

/** One operation with its operands in place. */
export interface Node {
  op: OpDefinition
  operands: Readonly<Record<string, Tensor>>
  attributes: Readonly<Record<string, AttributeValue>>
  /** The layer of the model it belongs to, if any: the unit of recomputation. */
  layer: number | undefined
  phase: 'forward' | 'recompute' | 'backward'
  queue: Queue
  /** Earlier nodes of other queues that it waits for. */
  after: readonly Node[]
}

/** The context of a gradient rule. Gradients of activations are written once; gradients of parameters are accumulated. */
export interface GradientContext {
  /** The graph, to append operations to. */
  readonly graph: {
    readonly dtype: ComputeDtype
    append(op: OpDefinition, operands: Record<string, Tensor | undefined>, attributes?: Record<string, AttributeValue>): Node
    activation(name: string, shape: number[], dtype?: Dtype): Tensor
  }
  /** The gradient that has reached a tensor, if any. */
  gradientOf(tensor: Tensor): Tensor | undefined
  /** The gradient that has reached an operand that the node writes, or an error: every such operation is on the way to the loss. */
  outputGradient(node: Node, operand: string): Tensor
  /** Whether the gradient of a tensor is of use: it is trained, or made from what is. */
  wants(tensor: Tensor): boolean
  /** A new tensor for the gradient of `tensor` to be written to; for a view, the same columns of its base's gradient. */
  newGradient(tensor: Tensor): Tensor
  /** Says that `gradient` flows into `tensor`; a second one is added to the first. Nothing happens where it is not wanted. */
  flow(tensor: Tensor, gradient: Tensor): void
  /** Makes `gradient` the whole gradient of `tensor`: earlier flows are already in it. */
  replace(tensor: Tensor, gradient: Tensor): void
  /** The tensor in which a parameter's gradient is accumulated; none for one that is not trained. */
  parameterGradient(parameter: Tensor): Tensor | undefined
}

/** Access to an operand: read, overwrite, add to, or read and overwrite. */
export type Access = 'read' | 'write' | 'accumulate' | 'update'

export interface OperandRule {
  access: Access
  /** Dimensions by letter, as in the operation's header in native/ops: a letter is the same size in all operands. */
  shape: string
  /** Without one the graph's: such operands of a call are all float32 or all bfloat16. */
  dtype?: Dtype
  optional?: true
  /** Integers that an operation may have written: others are known to the host, and no operation writes them. */
  onDevice?: true
}

/** Working memory that one backend needs for an operation, beside its operands. */
export interface WorkingMemoryRule {
  name: string
  backend: BackendName
  /** Dimensions by the letters of the operands. */
  shape: string
  dtype: Dtype
  /** Needed for a computation of that type alone. */
  only?: ComputeDtype
}

/** An operation as its header in native/ops states it: lib/graph/ops/contracts.ts has all of them. */
export interface OpContract {
  /** The name in the native registry. */
  name: string
  operands: Readonly<Record<string, OperandRule>>
  attributes?: readonly string[]
  workingMemory?: readonly WorkingMemoryRule[]
}

/** An operation as the graph sees it: its contract, its gradient, and the memory that the planner may share. */
export interface OpDefinition extends OpContract {
  /** Pairs [written, read] that may share their memory when the read one is not needed later. */
  inPlace?: readonly (readonly [string, string])[]
  /** Emits the operations that carry the gradient of the written operands to the read ones. */
  gradient?: (node: Node, context: GradientContext) => void
  /** Another form of the node for recomputation, when the tensors that are kept make part of its work needless. */
  recompute?: (node: Node) => Pick<Node, 'operands' | 'attributes'>
}
