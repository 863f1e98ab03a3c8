import type { BackendName } from '../config/device-name.js'
import { type Graph, type Node, readTensors, writtenTensors } from './graph.js'
import { spansOf } from './schedule.js'
import { dimensionSize, dtypeBytes, Tensor } from './tensor.js'
import { workingMemoryOf } from './working-memory.js'

/** Tensors start at multiples of this: a cache line, and the widest vector. */
const ALIGNMENT = 64

/** The sizes that memory is planned for. */
export interface Bounds {
  maxTokens: number
  maxSequences: number
}

/** Place of a tensor in its arena. */
export interface Placement {
  /** Bytes. */
  offset: number
  /** Elements between rows. */
  rowStride: number
}

/** The places of all activations and outputs of a graph in one arena. */
export interface MemoryPlan {
  bounds: Bounds
  /** Bytes of the arena. */
  bytes: number
  place(tensor: Tensor): Placement
  /** What the backend needs besides the operands of a node, by name; it has a place as activations do. */
  workingMemory(node: Node): Readonly<Record<string, Tensor>>
}

/** Bytes of a dense tensor at its largest. */
export function tensorBytes(tensor: Tensor, bounds: Bounds): number {
  return tensor.shape.reduce((size, dimension) => size * dimensionSize(dimension, bounds), dtypeBytes(tensor.dtype))
}

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

interface Allocation {
  tensor: Tensor
  bytes: number
  first: number
  last: number
  offset: number
}

/**
 * Gives every activation an offset such that tensors that live at the same time do not overlap: the largest first, each at
 * the lowest place that is free for its whole life. An operation may write over an operand that it is the last to read
 * (`inPlace`).
 */
export function planMemory(graph: Graph, bounds: Bounds, backend: BackendName = 'cpu'): MemoryPlan {
  const aliases = findAliases(graph)
  const working = new Map<Node, Record<string, Tensor>>()
  const allocations = new Map<Tensor, Allocation>()
  const spans = spansOf(graph.nodes)
  graph.nodes.forEach((node, index) => {
    const span = spans[index]!
    for (const tensor of [...readTensors(node), ...writtenTensors(node)]) {
      if (tensor.kind !== 'activation' && tensor.kind !== 'output') continue
      const owner = locate(tensor, aliases).storage
      const allocation = allocations.get(owner)
      // Outputs are read after the run.
      const { first } = span
      const last = tensor.kind === 'output' ? graph.nodes.length : span.last
      if (allocation)
        Object.assign(allocation, { first: Math.min(allocation.first, first), last: Math.max(allocation.last, last) })
      else allocations.set(owner, { tensor: owner, bytes: aligned(tensorBytes(owner, bounds)), first, last, offset: 0 })
    }
  })
  graph.nodes.forEach((node, index) => {
    for (const [name, { shape, dtype }] of Object.entries(workingMemoryOf(node.op, node.operands, backend))) {
      const tensor = new Tensor({ name: `${name} of ${index}`, kind: 'activation', shape: [...shape], dtype })
      allocations.set(tensor, { tensor, bytes: aligned(tensorBytes(tensor, bounds)), first: index, last: index, offset: 0 })
      working.set(node, { ...working.get(node), [name]: tensor })
    }
  })
  const bytes = assignOffsets([...allocations.values()])
  return {
    bounds,
    bytes,
    place: (tensor) => placeOf(tensor, aliases, allocations),
    workingMemory: (node) => working.get(node) ?? {},
  }
}

/** Follows aliases to the buffer that a tensor lies in, and its first column there. */
function locate(tensor: Tensor, aliases: Map<Tensor, Tensor>): { storage: Tensor; column: number } {
  let storage = tensor.storage
  let column = tensor.columnOffset
  for (let alias = aliases.get(storage); alias; alias = aliases.get(storage)) {
    column += alias.columnOffset
    storage = alias.storage
  }
  return { storage, column }
}

function placeOf(tensor: Tensor, aliases: Map<Tensor, Tensor>, allocations: Map<Tensor, Allocation>): Placement {
  const { storage, column } = locate(tensor, aliases)
  return { offset: allocations.get(storage)!.offset + column * dtypeBytes(tensor.dtype), rowStride: storage.shape[1] ?? 1 }
}

function assignOffsets(allocations: Allocation[]): number {
  const placed: Allocation[] = []
  let total = 0
  // Ties by first use: the order must not depend on the engine's sort.
  const bySize = [...allocations].sort((a, b) => b.bytes - a.bytes || a.first - b.first)
  for (const allocation of bySize) {
    const neighbours = placed.filter((other) => other.first <= allocation.last && allocation.first <= other.last)
    neighbours.sort((a, b) => a.offset - b.offset)
    let offset = 0
    for (const other of neighbours) {
      if (offset + allocation.bytes <= other.offset) break
      offset = Math.max(offset, other.offset + other.bytes)
    }
    allocation.offset = offset
    total = Math.max(total, offset + allocation.bytes)
    placed.push(allocation)
  }
  return total
}

interface Use {
  tensor: Tensor
  /** The node's number. */
  index: number
}

/** Storage → the tensor whose memory it takes over. */
function findAliases(graph: Graph): Map<Tensor, Tensor> {
  const aliases = new Map<Tensor, Tensor>()
  const uses = usesByStorage(graph)
  // A buffer may be reused either by one whole tensor or by several disjoint column views. Never both: the tensors that reuse
  // it have different lifetimes.
  const taken = new Map<Tensor, 'whole' | 'part'>()

  /** The memory of `source` that `written` may reuse, if this node is the last to read `source`. */
  const memoryToTake = (written: Tensor, source: Tensor, index: number): Tensor | undefined => {
    if (written.kind !== 'activation' || source.kind !== 'activation' || written.dtype !== source.dtype) return undefined
    const isComputed = ({ index }: Use) => graph.nodes[index]!.queue === 'compute'
    if (![written, source].every(({ storage }) => uses.get(storage)!.every(isComputed))) return undefined
    const target = written.storage
    if (
      taken.get(source.storage) === 'whole' ||
      aliases.has(target) ||
      uses.get(target)![0]!.index !== index ||
      target === source.storage
    )
      return undefined
    const usesOfSource = uses.get(source.storage)!
    if (written.base) {
      // A view reuses a view only together with its siblings, so the bases must match column by column.
      const sameLayout =
        source.base && written.columnOffset === source.columnOffset && String(target.shape) === String(source.storage.shape)
      return sameLayout && usesOfSource.at(-1)!.index === index && !taken.has(source.storage) ? source.storage : undefined
    }
    const usedLater = usesOfSource.some((use) => use.index > index && use.tensor.overlaps(source))
    return usedLater || String(written.shape) !== String(source.shape) ? undefined : source
  }

  graph.nodes.forEach((node, index) => {
    for (const [writtenName, sourceName] of node.op.inPlace ?? []) {
      const [written, source] = [node.operands[writtenName], node.operands[sourceName]]
      const memory = written && source && memoryToTake(written, source, index)
      if (!memory) continue
      aliases.set(written.storage, memory)
      if (writesOverWhatItReads(node, aliases)) aliases.delete(written.storage)
      else taken.set(memory.storage, memory.base ? 'part' : 'whole')
    }
  })
  return aliases
}

function usesByStorage(graph: Graph): Map<Tensor, Use[]> {
  const uses = new Map<Tensor, Use[]>()
  graph.nodes.forEach((node, index) => {
    for (const tensor of [...readTensors(node), ...writtenTensors(node)]) {
      const list = uses.get(tensor.storage)
      if (list) list.push({ tensor, index })
      else uses.set(tensor.storage, [{ tensor, index }])
    }
  })
  return uses
}

/** Whether an operation would write over an operand other than element for element as its `inPlace` allows. */
function writesOverWhatItReads(node: Node, aliases: Map<Tensor, Tensor>): boolean {
  const operands = Object.entries(node.operands).map(([name, tensor]) => ({
    ...locate(tensor, aliases),
    name,
    width: tensor.shape[1] ?? 1,
    isWritten: node.op.operands[name]!.access !== 'read',
  }))
  type Place = (typeof operands)[number]
  const overlap = (a: Place, b: Place) =>
    a.storage === b.storage && a.column < b.column + b.width && b.column < a.column + a.width
  const same = (a: Place, b: Place) => a.storage === b.storage && a.column === b.column && a.width === b.width
  const mayLieOver = (written: Place, other: Place) =>
    !other.isWritten &&
    same(written, other) &&
    operands.some(
      (source) => same(written, source) && node.op.inPlace?.some(([to, from]) => to === written.name && from === source.name),
    )
  return operands.some(
    (written) =>
      written.isWritten && operands.some((other) => other !== written && overlap(written, other) && !mayLieOver(written, other)),
  )
}
