import { type Graph, type Node, readTensors, writtenTensors } from '../../graph/graph.js'
import { Tensor } from '../../graph/tensor.js'

/**
 * Rewrites the graph so that the layers in `layers` are run forward again just before their backward pass, instead of
 * holding their activations until then. Tensors marked `keep` are held all the same. The results have the same bits: the
 * same operations run on the same values.
 */
export function recomputeLayers(graph: Graph, layers: ReadonlySet<number>): void {
  // Copies of nodes would wait for the wrong ones: queues and waits come after this.
  if (graph.nodes.some(({ queue, after }) => queue !== 'compute' || after.length > 0))
    throw new Error('recomputeLayers comes before what puts nodes into queues')
  for (const layer of layers) recomputeLayer(graph, layer)
}

function recomputeLayer(graph: Graph, layer: number): void {
  const forward = graph.nodes.filter((node) => node.layer === layer && node.phase === 'forward')
  const backward = graph.nodes.filter((node) => node.layer === layer && node.phase === 'backward')
  const first = backward[0]
  if (!first) return

  const madeHere = new Set(forward.flatMap((node) => writtenTensors(node).map((tensor) => tensor.storage)))
  const needed = (tensor: Tensor) => madeHere.has(tensor.storage) && !tensor.storage.keep
  const wanted = new Set(backward.flatMap(readTensors).filter(needed).map(storageOf))
  const again: Node[] = []
  for (const node of [...forward].reverse()) {
    if (!writtenTensors(node).some((tensor) => !tensor.storage.keep && wanted.has(tensor.storage))) continue
    const { operands, attributes } = node.op.recompute?.(node) ?? node
    const copy: Node = { ...node, operands, attributes, phase: 'recompute' }
    again.unshift(copy)
    for (const tensor of readTensors(copy)) if (needed(tensor)) wanted.add(tensor.storage)
  }

  const copies = new Map<Tensor, Tensor>()
  for (const node of again) for (const tensor of writtenTensors(node)) if (!tensor.storage.keep) copyOf(tensor, copies)
  const replace = (operands: Node['operands']) =>
    Object.fromEntries(Object.entries(operands).map(([name, tensor]) => [name, replaced(tensor, copies)]))
  for (const node of again) node.operands = replace(node.operands)
  for (const node of backward) node.operands = replace(node.operands)
  graph.nodes.splice(graph.nodes.indexOf(first), 0, ...again)
}

function storageOf(tensor: Tensor): Tensor {
  return tensor.storage
}

function copyOf(tensor: Tensor, copies: Map<Tensor, Tensor>): Tensor {
  const storage = tensor.storage
  let copy = copies.get(storage)
  if (!copy) {
    copy = new Tensor({ name: `${storage.name}.again`, kind: 'activation', shape: storage.shape, dtype: storage.dtype })
    copies.set(storage, copy)
  }
  return copy
}

function replaced(tensor: Tensor, copies: Map<Tensor, Tensor>): Tensor {
  const copy = copies.get(tensor.storage)
  if (!copy) return tensor
  return tensor.base ? copy.columns(tensor.columnOffset, tensor.shape[1]!, `${tensor.name}.again`) : copy
}
