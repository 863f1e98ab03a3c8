import type { OpDescription, ProgramDescription, TensorDescription } from '../native/addon-types.js'
import type { Graph, Node } from './graph.js'
import type { MemoryPlan } from './memory-plan.js'
import { shapeText, type Tensor } from './tensor.js'

/** A place that lasts for the run: of parameters, gradients, optimizer state, inputs and constants. */
export interface FixedPlacement {
  arena: number
  /** Bytes. */
  offset: number
}

/** Where the tensors of a program lie. */
export interface ProgramOptions {
  memory: MemoryPlan
  /** Index of the arena that the memory plan is for. */
  activationArena: number
  /** Places of tensors of every other kind. */
  place: (tensor: Tensor) => FixedPlacement
}

/** Writes the graph as the flat list of operations that a device compiles. */
export function describeProgram(graph: Graph, options: ProgramOptions): ProgramDescription {
  const describe = (tensor: Tensor): TensorDescription => {
    const shape = [...tensor.shape]
    if (tensor.kind !== 'activation' && tensor.kind !== 'output') return { ...options.place(tensor), dtype: tensor.dtype, shape }
    const { offset, rowStride } = options.memory.place(tensor)
    return { arena: options.activationArena, offset, dtype: tensor.dtype, shape, ...(shape.length === 2 ? { rowStride } : {}) }
  }
  const numbers = new Map(graph.nodes.map((node, index) => [node, index]))
  const describeNode = (node: Node): OpDescription => ({
    op: node.op.name,
    operands: Object.fromEntries(
      Object.entries({ ...node.operands, ...options.memory.workingMemory(node) }).map(([name, tensor]) => [
        name,
        describe(tensor),
      ]),
    ),
    attributes: { ...node.attributes },
    ...(node.queue !== 'compute' && { queue: node.queue }),
    ...(node.after.length > 0 && { after: node.after.map((awaited) => numbers.get(awaited)!) }),
  })
  const named = (tensors: Tensor[]) => Object.fromEntries(tensors.map((tensor) => [tensor.name, describe(tensor)]))
  return {
    ...options.memory.bounds,
    ops: graph.nodes.map(describeNode),
    inputs: named(graph.inputs),
    outputs: named(graph.outputs),
  }
}

/** The program as text, one operation a line: number, phase, name, each operand with its shape and place, attributes. */
export function programText(
  graph: Graph,
  program: ProgramDescription,
  { memory, arenaNames }: { memory: MemoryPlan; arenaNames: readonly string[] },
): string {
  const lines = graph.nodes.map((node, index) => {
    const op = program.ops[index]!
    const operands = Object.entries({ ...node.operands, ...memory.workingMemory(node) }).map(([name, tensor]) => {
      const { arena, offset } = op.operands[name]!
      const access = node.op.operands[name]?.access ?? 'write'
      const mark = access === 'read' ? '' : access === 'write' ? '=' : '+='
      return `${name}${mark} ${tensor.name}${shapeText(tensor.shape)}@${arenaNames[arena]}+${offset}`
    })
    const attributes = Object.entries(node.attributes).map(
      ([name, value]) => `${name}=${typeof value === 'number' ? value : `$${value.scalar}`}`,
    )
    const waits = op.after ? [`after ${op.after.join(', ')}`] : []
    const queue = op.queue ? ` ${op.queue}` : ''
    const layer = node.layer === undefined ? '' : ` layer ${node.layer}`
    return `${String(index).padStart(4)} ${node.phase}${layer}${queue}  ${node.op.name}  ${[...operands, ...attributes, ...waits].join('  ')}`
  })
  return `${lines.join('\n')}\n`
}
