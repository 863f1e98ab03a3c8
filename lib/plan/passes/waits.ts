import { type Graph, type Node, readTensors, writtenTensors } from '../../graph/graph.js'
import type { Queue } from '../../graph/op.js'

/**
 * The last pass, after all that add nodes. Lets every node wait for those of other queues whose tensors it needs or would write over: where one of the two writes, the later waits
 * for the earlier. Which tensors share memory is decided after this, so that they live as long as something may touch them.
 */
export function addWaits(graph: Graph): void {
  const earlier: Node[] = []
  for (const node of graph.nodes) {
    const latest = new Map<Queue, Node>()
    for (const other of earlier) if (other.queue !== node.queue && conflict(other, node)) latest.set(other.queue, other)
    node.after = [...new Set([...node.after, ...latest.values()])]
    earlier.push(node)
  }
}

function conflict(a: Node, b: Node): boolean {
  const meets = (written: Node, other: Node) =>
    writtenTensors(written).some((tensor) =>
      [...readTensors(other), ...writtenTensors(other)].some((touched) => tensor.overlaps(touched)),
    )
  return meets(a, b) || meets(b, a)
}
