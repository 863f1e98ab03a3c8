import type { Node, Queue } from './op.js'

const queues: readonly Queue[] = ['compute', 'copy', 'communication']

/**
 * Between which nodes of the compute queue a node may run, as positions in the list: 4.5 is after the fourth and before the fifth. Two
 * nodes whose spans do not meet run one after the other.
 */
export interface Span {
  first: number
  last: number
}

/**
 * When each node may run. A node of the compute queue runs at its own; one of another queue may run as soon as
 * what it waits for has ended, and until something of the compute queue waits for it.
 */
export function spansOf(nodes: readonly Node[]): Span[] {
  const ended = endedBefore(nodes)
  return nodes.map((node, index) => {
    if (node.queue === 'compute') return { first: index, last: index }
    const waiting = nodes.findIndex(({ queue }, other) => queue === 'compute' && ended[other]![node.queue] > index)
    return { first: ended[index]!.compute - 0.5, last: waiting < 0 ? nodes.length : waiting - 0.5 }
  })
}

/** For each queue, one more than the number of its last node that has ended; all of the queue before it have as well. */
export type Ended = Record<Queue, number>

/** What has ended when a node starts: what it waits for, the node before it in its queue, and what these waited for. */
export function endedBefore(nodes: readonly Node[]): Ended[] {
  const numbers = new Map(nodes.map((node, index) => [node, index]))
  const before: Ended[] = []
  const after: Ended[] = []
  const latest: Partial<Record<Queue, number>> = {}
  nodes.forEach((node, index) => {
    const ended: Ended = { compute: 0, copy: 0, communication: 0 }
    const last = latest[node.queue]
    for (const number of [...node.after.map((awaited) => numbers.get(awaited)!), ...(last === undefined ? [] : [last])])
      for (const queue of queues) ended[queue] = Math.max(ended[queue], after[number]![queue])
    before.push(ended)
    after.push({ ...ended, [node.queue]: index + 1 })
    latest[node.queue] = index
  })
  return before
}
