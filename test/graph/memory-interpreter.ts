import { type Graph, type Node, readTensors, writtenTensors } from '../../lib/graph/graph.js'
import type { MemoryPlan } from '../../lib/graph/memory-plan.js'
import { dimensionSize, dtypeBytes, type Tensor } from '../../lib/graph/tensor.js'

/** body(address in bytes, name of the element) for every element of a tensor in memory. */
function eachElement(tensor: Tensor, plan: MemoryPlan, body: (address: number, element: string) => void): void {
  const { offset, rowStride } = plan.place(tensor)
  const rows = dimensionSize(tensor.shape[0]!, plan.bounds)
  const columns = tensor.shape[1] ?? 1
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      body(
        offset + (row * rowStride + column) * dtypeBytes(tensor.dtype),
        `${tensor.storage.name}[${row},${tensor.columnOffset + column}]`,
      )
}

const isPlanned = (tensor: Tensor) => tensor.kind === 'activation' || tensor.kind === 'output'

function addressesOf(tensor: Tensor, plan: MemoryPlan): number[] {
  const addresses: number[] = []
  eachElement(tensor, plan, (address) => addresses.push(address))
  return addresses
}

/** What one operation may not do: write over what it reads, except element for element where the operation allows it. */
function checkNode(node: Node, plan: MemoryPlan): string | undefined {
  const operands = Object.entries(node.operands).filter(([, tensor]) => isPlanned(tensor))
  const addresses = new Map(operands.map(([name, tensor]) => [name, addressesOf(tensor, plan)]))
  const isWritten = (name: string) => node.op.operands[name]!.access !== 'read'
  for (const [written] of operands.filter(([name]) => isWritten(name)))
    for (const [other] of operands.filter(([name]) => name !== written)) {
      const [to, from] = [addresses.get(written)!, addresses.get(other)!]
      const taken = new Set(to)
      if (!from.some((address) => taken.has(address))) continue
      if (isWritten(other)) return `${written} and ${other} are written to the same place`
      const sources = (node.op.inPlace ?? []).filter(([name]) => name === written).map(([, source]) => source)
      // The operand itself, or another name for just the same elements.
      const allowed = String(to) === String(from) && sources.some((source) => String(addresses.get(source)) === String(to))
      if (!allowed) return `${written} lies over ${other}`
    }
  return undefined
}

/**
 * Runs a graph on names instead of numbers: every byte range remembers which element of which tensor was written to it last, and
 * every read must find the element that it means there.
 *
 * @returns what is wrong with the plan, or undefined
 */
export function interpret(graph: Graph, plan: MemoryPlan): string | undefined {
  const memory = new Map<number, string>()
  const misread = (tensor: Tensor): string | undefined => {
    let wrong: string | undefined
    eachElement(tensor, plan, (address, element) => {
      if (address < 0 || address + dtypeBytes(tensor.dtype) > plan.bytes) wrong = `${element} lies outside the arena`
      if (memory.get(address) !== element) wrong ??= `${element} is expected at ${address} but ${memory.get(address)} is there`
    })
    return wrong
  }
  for (const [index, node] of graph.nodes.entries()) {
    const place = `node ${index} (${node.op.name})`
    for (const tensor of readTensors(node).filter(isPlanned)) {
      const wrong = misread(tensor)
      if (wrong) return `${place} reads ${tensor.name}: ${wrong}`
    }
    const wrong = checkNode(node, plan)
    if (wrong) return `${place}: ${wrong}`
    for (const tensor of [...writtenTensors(node).filter(isPlanned), ...Object.values(plan.workingMemory(node))])
      eachElement(tensor, plan, (address, element) => memory.set(address, element))
  }
  for (const output of graph.outputs) {
    const wrong = misread(output)
    if (wrong) return `output: ${wrong}`
  }
  return undefined
}
