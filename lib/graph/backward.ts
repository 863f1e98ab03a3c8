import { NativeError } from '../errors.js'
import { type Graph, readTensors, writtenTensors } from './graph.js'
import type { GradientContext, Node } from './op.js'
import { addOp, copyOp } from './ops/elementwise.js'
import type { Tensor } from './tensor.js'

/** The gradients of one walk backward. */
class BackwardContext implements GradientContext {
  private readonly gradients = new Map<Tensor, Tensor>()
  /** Gradients of tensors that have views: one dense tensor, into whose columns the views' gradients are written. */
  private readonly baseGradients = new Map<Tensor, Tensor>()
  private readonly writtenViews = new Map<Tensor, Tensor[]>()

  constructor(readonly graph: Graph) {}

  gradientOf(tensor: Tensor): Tensor | undefined {
    const own = this.gradients.get(tensor)
    const views = this.writtenViews.get(tensor)
    if (!views) return own
    if (own)
      throw new NativeError(
        'PROGRAM_INVALID',
        `expected ${tensor.name} to be used as a whole or by its views but it is used by both`,
        {
          tensor: tensor.name,
        },
      )
    this.checkCover(tensor, views)
    return this.baseGradients.get(tensor)
  }

  outputGradient(node: Node, name: string): Tensor {
    const gradient = this.gradientOf(node.operands[name]!)
    if (!gradient)
      throw new NativeError(
        'PROGRAM_INVALID',
        `no gradient reaches ${name} of ${node.op.name} (${writtenTensors(node)[0]!.name})`,
        { op: node.op.name },
      )
    return gradient
  }

  wants(tensor: Tensor): boolean {
    return this.graph.isTrained(tensor)
  }

  newGradient(tensor: Tensor): Tensor {
    const name = `d.${tensor.name}`
    if (!tensor.base || !this.wants(tensor) || this.gradients.has(tensor)) return this.graph.activation(name, [...tensor.shape])
    let base = this.baseGradients.get(tensor.base)
    if (!base) {
      base = this.graph.activation(`d.${tensor.base.name}`, [...tensor.base.shape])
      this.baseGradients.set(tensor.base, base)
      this.writtenViews.set(tensor.base, [])
    }
    this.writtenViews.get(tensor.base)!.push(tensor)
    return base.columns(tensor.columnOffset, tensor.shape[1]!, name)
  }

  flow(tensor: Tensor, gradient: Tensor): void {
    if (!this.wants(tensor)) return
    const before = this.gradients.get(tensor)
    if (!before) {
      this.place(tensor, gradient)
      return
    }
    if (tensor.base) {
      this.graph.append(addOp, { out: before, a: before, b: gradient })
      return
    }
    const out = this.graph.activation(`d.${tensor.name}`, [...tensor.shape])
    this.graph.append(addOp, { out, a: before, b: gradient })
    this.gradients.set(tensor, out)
  }

  replace(tensor: Tensor, gradient: Tensor): void {
    if (!this.wants(tensor)) return
    const before = this.gradients.get(tensor)
    if (before && tensor.base) this.graph.append(copyOp, { out: before, x: gradient })
    else this.place(tensor, gradient)
  }

  /** Sets the gradient of `tensor`. The gradient of a view must be a view of its base's gradient: the base reads it there. */
  private place(tensor: Tensor, gradient: Tensor): void {
    const isInPlace =
      gradient.base && gradient.base === this.baseGradients.get(tensor.base!) && gradient.columnOffset === tensor.columnOffset
    if (!tensor.base || isInPlace) {
      this.gradients.set(tensor, gradient)
      return
    }
    const own = this.newGradient(tensor)
    this.graph.append(copyOp, { out: own, x: gradient })
    this.gradients.set(tensor, own)
  }

  parameterGradient(parameter: Tensor): Tensor | undefined {
    return this.wants(parameter) ? this.graph.gradientOf(parameter) : undefined
  }

  private checkCover(base: Tensor, views: Tensor[]): void {
    const sorted = [...views].sort((a, b) => a.columnOffset - b.columnOffset)
    let column = 0
    for (const view of sorted) {
      if (view.columnOffset !== column) break
      column += view.shape[1]!
    }
    if (column !== base.shape[1])
      throw new NativeError(
        'PROGRAM_INVALID',
        `expected the gradients of the views of ${base.name} to cover it once, column by column`,
        {
          tensor: base.name,
        },
      )
  }
}

/**
 * Appends the backward graph: walks the nodes once, last to first, and lets each operation's rule carry gradients on, as far down as
 * there is something trained. It starts from operations that make gradients themselves (linear_cross_entropy).
 */
export function appendBackward(graph: Graph): void {
  const context = new BackwardContext(graph)
  const forward = [...graph.nodes]
  graph.phase = 'backward'
  for (const node of forward.reverse()) {
    if (!node.op.gradient || !readTensors(node).some((tensor) => graph.isTrained(tensor))) continue
    const emit = () => node.op.gradient!(node, context)
    if (node.layer === undefined) emit()
    else graph.layer(node.layer, emit)
  }
  graph.phase = 'forward'
}
