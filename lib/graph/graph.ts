import { NativeError } from '../errors.js'
import type { ComputeDtype, Dtype } from '../native/addon-types.js'
import type { AttributeValue, Node, OpDefinition, OperandRule, Queue } from './op.js'
import { type Dimension, isDynamic, shapeText, Tensor } from './tensor.js'

export type { AttributeValue, Node } from './op.js'

/**
 * A list of operations in the order of their execution, built by the functions of `lib/graph/ops`.
 *
 * @example
 * const graph = new Graph()
 * const x = graph.input('x', [TOKENS, 64])
 * const y = linear(graph, { x, weight: graph.parameter('w', [32, 64]), name: 'y' })
 * graph.markOutput(y)
 */
export class Graph {
  readonly nodes: Node[] = []
  readonly parameters = new Map<string, Tensor>()
  readonly gradients = new Map<Tensor, Tensor>()
  readonly inputs: Tensor[] = []
  readonly constants = new Map<Tensor, Float32Array>()
  readonly outputs: Tensor[] = []
  /** Storages of trained parameters and of all that is made from them. */
  private readonly trained = new Set<Tensor>()
  private layerNow: number | undefined
  /** The phase that appended nodes get. */
  phase: Node['phase'] = 'forward'

  /** `dtype`: of parameters and activations. */
  constructor(readonly dtype: ComputeDtype = 'f32') {}

  /** A weight of the model; asking twice for a name gives the same tensor. One that is not trainable gets no gradient. */
  parameter(name: string, shape: readonly Dimension[], { trainable = true } = {}): Tensor {
    const known = this.parameters.get(name)
    if (known) return known
    const tensor = new Tensor({ name, kind: 'parameter', shape: [...shape], dtype: this.dtype })
    this.parameters.set(name, tensor)
    if (trainable) this.trained.add(tensor)
    return tensor
  }

  /** Whether a tensor is a trained parameter or made from one, so that it has a gradient. */
  isTrained(tensor: Tensor): boolean {
    return this.trained.has(tensor.storage)
  }

  /** The tensor that a parameter's gradient is accumulated in, float32, of the same shape. */
  gradientOf(parameter: Tensor): Tensor {
    let gradient = this.gradients.get(parameter)
    if (!gradient) {
      gradient = new Tensor({ name: `d.${parameter.name}`, kind: 'gradient', shape: parameter.shape })
      this.gradients.set(parameter, gradient)
    }
    return gradient
  }

  /** A tensor that every run brings. */
  input(name: string, shape: Dimension[], dtype: Dtype = 'f32'): Tensor {
    const tensor = new Tensor({ name, kind: 'input', shape, dtype })
    this.inputs.push(tensor)
    return tensor
  }

  /** A vector that is written once, before the first run. */
  constant(name: string, values: Float32Array): Tensor {
    const tensor = new Tensor({ name, kind: 'constant', shape: [values.length] })
    this.constants.set(tensor, values)
    return tensor
  }

  activation(name: string, shape: Dimension[], dtype: Dtype = this.dtype): Tensor {
    return new Tensor({ name, kind: 'activation', shape, dtype })
  }

  /** Makes an activation an output: a run gives its values back under its name. */
  markOutput(tensor: Tensor): void {
    tensor.kind = 'output'
    this.outputs.push(tensor)
  }

  /** A float32 tensor whose values a run gives back under its name. */
  output(name: string, shape: Dimension[]): Tensor {
    const tensor = new Tensor({ name, kind: 'output', shape })
    this.outputs.push(tensor)
    return tensor
  }

  /** Nodes appended by `body` belong to layer `index`. */
  layer<T>(index: number, body: () => T): T {
    const before = this.layerNow
    this.layerNow = index
    try {
      return body()
    } finally {
      this.layerNow = before
    }
  }

  /**
   * Appends an operation after checking its operands against its rule.
   *
   * @throws NativeError PROGRAM_INVALID naming the operation, the operand and both shapes
   */
  append(
    op: OpDefinition,
    operands: Record<string, Tensor | undefined>,
    attributes: Record<string, AttributeValue> = {},
    { queue = 'compute', after = [] }: { queue?: Queue; after?: readonly Node[] } = {},
  ): Node {
    const present: Record<string, Tensor> = {}
    const sizes = new Map<string, Dimension>()
    for (const [name, rule] of Object.entries(op.operands)) {
      const tensor = operands[name]
      if (tensor) {
        checkOperand(op, name, rule, tensor, sizes, this.dtype)
        present[name] = tensor
      } else if (!rule.optional) {
        throw new NativeError('PROGRAM_INVALID', `expected operand ${name} of ${op.name} but it is missing`, {
          op: op.name,
          operand: name,
        })
      }
    }
    for (const name of Object.keys(operands)) {
      if (!(name in op.operands))
        throw new NativeError('PROGRAM_INVALID', `${op.name} has no operand ${name}`, { op: op.name, operand: name })
    }
    for (const name of op.attributes ?? []) {
      if (!(name in attributes))
        throw new NativeError('PROGRAM_INVALID', `expected attribute ${name} of ${op.name} but it is missing`, {
          op: op.name,
          attribute: name,
        })
    }
    const node: Node = { op, operands: present, attributes, layer: this.layerNow, phase: this.phase, queue, after }
    this.nodes.push(node)
    if (op.gradient && readTensors(node).some((tensor) => this.isTrained(tensor)))
      for (const tensor of writtenTensors(node)) this.trained.add(tensor.storage)
    return node
  }
}

function checkOperand(
  op: OpDefinition,
  name: string,
  rule: OperandRule,
  tensor: Tensor,
  sizes: Map<string, Dimension>,
  compute: Dtype,
): void {
  const letters = rule.shape.split(' ')
  const dtype = rule.dtype ?? compute
  let holds = letters.length === tensor.shape.length
  for (let i = 0; holds && i < letters.length; i++) {
    const letter = letters[i]!
    const size = tensor.shape[i]!
    holds = (Number.isInteger(size) && size >= 1) || (i === 0 && isDynamic(size))
    if (/^\d/.test(letter)) holds &&= size === Number(letter)
    else if (sizes.has(letter)) holds &&= sizes.get(letter) === size
    else sizes.set(letter, size)
  }
  if (!holds) {
    const expected = letters
      .map((letter) => (sizes.has(letter) ? `${letter}=${shapeText([sizes.get(letter)!]).slice(1, -1)}` : letter))
      .join(', ')
    throw new NativeError(
      'PROGRAM_INVALID',
      `expected shape [${expected}] for ${name} of ${op.name} but received ${shapeText(tensor.shape)} (${tensor.name})`,
      { op: op.name, operand: name, shape: tensor.shape },
    )
  }
  if (tensor.dtype !== dtype)
    throw new NativeError(
      'PROGRAM_INVALID',
      `expected dtype ${dtype} for ${name} of ${op.name} but received ${tensor.dtype} (${tensor.name})`,
      {
        op: op.name,
        operand: name,
      },
    )
}

/** The tensors a node reads (also those it adds to), and those it writes. */
export function readTensors(node: Node): Tensor[] {
  return operandsBy(node, (rule) => rule.access !== 'write')
}

export function writtenTensors(node: Node): Tensor[] {
  return operandsBy(node, (rule) => rule.access !== 'read')
}

function operandsBy(node: Node, wanted: (rule: OperandRule) => boolean): Tensor[] {
  return Object.entries(node.operands)
    .filter(([name]) => wanted(node.op.operands[name]!))
    .map(([, tensor]) => tensor)
}
