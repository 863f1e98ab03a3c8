import { type Graph, type Node, readTensors, writtenTensors } from './graph.js'
import { dimensionSize, dtypeBytes, type Tensor } from './tensor.js'

/** Tensors start at multiples of this: a cache line, and the widest vector. */
const ALIGNMENT = 64

/** The sizes that memory is planned for. */
export interface Bounds {
  maxTokens: number
  maxSequences: number
}

/** Where a tensor lies in its arena. */
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
}

/** Bytes of a dense tensor at its largest. */
export function tensorBytes(tensor: Tensor, bounds: Bounds): number {
  return tensor.shape.reduce((size, dimension) => size * dimensionSize(dimension, bounds), dtypeBytes(tensor.dtype))
}

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

interface Block {
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
export function planMemory(graph: Graph, bounds: Bounds): MemoryPlan {
  const aliases = findAliases(graph)
  const root = (tensor: Tensor): Tensor => {
    let storage = tensor.storage
    for (let alias = aliases.get(storage); alias; alias = aliases.get(storage)) storage = alias.storage
    return storage
  }
  const blocks = new Map<Tensor, Block>()
  graph.nodes.forEach((node, index) => {
    for (const tensor of [...readTensors(node), ...writtenTensors(node)]) {
      if (tensor.kind !== 'activation' && tensor.kind !== 'output') continue
      const owner = root(tensor)
      const block = blocks.get(owner)
      // Outputs are read after the run.
      const last = tensor.kind === 'output' ? graph.nodes.length : index
      if (block) block.last = Math.max(block.last, last)
      else blocks.set(owner, { tensor: owner, bytes: aligned(tensorBytes(owner, bounds)), first: index, last, offset: 0 })
    }
  })
  const bytes = assignOffsets([...blocks.values()])
  return { bounds, bytes, place: (tensor) => placeOf(tensor, aliases, blocks) }
}

function placeOf(tensor: Tensor, aliases: Map<Tensor, Tensor>, blocks: Map<Tensor, Block>): Placement {
  let storage = tensor.storage
  let column = tensor.columnOffset
  for (let alias = aliases.get(storage); alias; alias = aliases.get(storage)) {
    column += alias.columnOffset
    storage = alias.storage
  }
  const rowStride = storage.shape[1] ?? 1
  return { offset: blocks.get(storage)!.offset + column * dtypeBytes(tensor.dtype), rowStride }
}

function assignOffsets(blocks: Block[]): number {
  const placed: Block[] = []
  let total = 0
  // Of equal size, the earlier first: the order must not depend on the engine's sort.
  const bySize = [...blocks].sort((a, b) => b.bytes - a.bytes || a.first - b.first)
  for (const block of bySize) {
    const neighbours = placed.filter((other) => other.first <= block.last && block.first <= other.last)
    neighbours.sort((a, b) => a.offset - b.offset)
    let offset = 0
    for (const other of neighbours) {
      if (offset + block.bytes <= other.offset) break
      offset = Math.max(offset, other.offset + other.bytes)
    }
    block.offset = offset
    total = Math.max(total, offset + block.bytes)
    placed.push(block)
  }
  return total
}

/** Storage → the tensor whose memory it takes over. */
function findAliases(graph: Graph): Map<Tensor, Tensor> {
  const aliases = new Map<Tensor, Tensor>()
  const lastUse = new Map<Tensor, number>()
  const firstUse = new Map<Tensor, number>()
  const uses = new Map<Tensor, { tensor: Tensor; index: number }[]>()
  graph.nodes.forEach((node, index) => {
    for (const tensor of [...readTensors(node), ...writtenTensors(node)]) {
      lastUse.set(tensor.storage, index)
      if (!firstUse.has(tensor.storage)) firstUse.set(tensor.storage, index)
      const list = uses.get(tensor.storage) ?? []
      list.push({ tensor, index })
      uses.set(tensor.storage, list)
    }
  })
  // An operand that takes over memory must not be taken over itself while its new owner lives: one taker for each storage.
  const taken = new Set<Tensor>()

  const tryAlias = (node: Node, index: number, writtenName: string, readName: string) => {
    const written = node.operands[writtenName]
    const source = node.operands[readName]
    if (!written || !source || written.kind !== 'activation' || source.kind !== 'activation') return
    const target = written.storage
    if (aliases.has(target) || firstUse.get(target) !== index || target === source.storage || taken.has(source.storage)) return
    if (written.dtype !== source.dtype) return
    // Another operand of the same operation must not read what is overwritten, unless it is the same tensor.
    const usedLater = uses.get(source.storage)!.some((use) => use.index > index && use.tensor.overlaps(source))
    if (written.base) {
      // A view takes over a view only together with its siblings, so the bases must match column by column.
      const sameLayout =
        source.base !== undefined &&
        written.columnOffset === source.columnOffset &&
        String(target.shape) === String(source.storage.shape) &&
        lastUse.get(source.storage) === index
      if (!sameLayout) return
      aliases.set(target, source.storage)
      taken.add(source.storage)
    } else if (!usedLater && String(written.shape) === String(source.shape)) {
      aliases.set(target, source)
      // Disjoint views of one storage may each be taken over; a whole one only once.
      if (!source.base) taken.add(source.storage)
    }
  }
  graph.nodes.forEach((node, index) => {
    for (const [written, source] of node.op.inPlace ?? []) tryAlias(node, index, written, source)
  })
  return aliases
}
