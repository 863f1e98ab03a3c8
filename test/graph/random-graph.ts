import { Graph } from '../../lib/graph/graph.js'
import type { OpDefinition } from '../../lib/graph/op.js'
import type { Tensor } from '../../lib/graph/tensor.js'
import { TOKENS } from '../../lib/native/addon-types.js'
import { Random } from '../../lib/random/random.js'
import { read, write } from './operand-rules.js'

// Operations as the real ones are, as far as memory goes: one written over one read, over either of two, two over two, none.
const shapes: OpDefinition[] = [
  { name: 'source', operands: { out: write('T C') } },
  { name: 'unary', operands: { out: write('T C'), x: read('T C') }, inPlace: [['out', 'x']] },
  { name: 'product', operands: { out: write('T C'), x: read('T K') } },
  {
    name: 'binary',
    operands: { out: write('T C'), a: read('T C'), b: read('T C') },
    inPlace: [
      ['out', 'a'],
      ['out', 'b'],
    ],
  },
  {
    name: 'pair',
    operands: { first: write('T C'), second: write('T C'), a: read('T C'), b: read('T C'), d: read('T C') },
    inPlace: [
      ['first', 'a'],
      ['second', 'b'],
    ],
  },
  {
    name: 'half pair',
    operands: { first: write('T C'), second: write('T C'), a: read('T C'), b: read('T C') },
    inPlace: [['first', 'a']],
  },
  {
    name: 'crossed',
    operands: { first: write('T C'), second: write('T C'), a: read('T C'), b: read('T C') },
    inPlace: [
      ['second', 'a'],
      ['first', 'b'],
    ],
  },
]

/** A tensor being built: how many of its columns have been written. */
interface Storage {
  tensor: Tensor
  width: number
  writtenColumns: number
}

/**
 * A random graph of activations in which every element is written once before it is read. Tensors are whole, or views of columns
 * of others, for reading and for writing; the columns of a tensor may be written by different operations.
 */
export function randomGraph(seed: number, nodes: number): Graph {
  const random = new Random(seed)
  const graph = new Graph()
  const storages: Storage[] = []
  let names = 0

  const written = (width: number): Tensor => {
    const open = storages.find((storage) => storage.writtenColumns > 0 && storage.width - storage.writtenColumns >= width)
    if (open && random.below(2) === 0) return nextColumns(open, width)
    const whole = random.below(3) > 0
    const storage: Storage = {
      tensor: undefined as unknown as Tensor,
      width: whole ? width : width * (2 + random.below(2)),
      writtenColumns: 0,
    }
    const isOutput = whole && random.below(12) === 0
    storage.tensor = isOutput
      ? graph.output(`t${names++}`, [TOKENS, width])
      : graph.activation(`t${names++}`, [TOKENS, storage.width])
    storages.push(storage)
    if (!whole) return nextColumns(storage, width)
    storage.writtenColumns = width
    return storage.tensor
  }
  const nextColumns = (storage: Storage, width: number): Tensor => {
    const view = storage.tensor.columns(storage.writtenColumns, width, `${storage.tensor.name}.${storage.writtenColumns}`)
    storage.writtenColumns += width
    return view
  }
  /** Columns that have been written, lately ones more often; undefined where none are wide enough. */
  const readable = (width: number): Tensor | undefined => {
    const wide = storages.filter(({ writtenColumns }) => writtenColumns >= width)
    if (wide.length === 0) return undefined
    const { tensor, width: whole, writtenColumns } = wide[Math.max(random.below(wide.length), random.below(wide.length))]!
    if (whole === width && random.below(4) > 0) return tensor
    // Mostly at multiples of the width, so that views meet again.
    const places = random.below(4) > 0 ? width : 1
    const offset = random.below(Math.floor((writtenColumns - width) / places) + 1) * places
    return tensor.columns(offset, width, `${tensor.name}[${offset}]`)
  }

  while (graph.nodes.length < nodes) {
    const op = random.pick(shapes)
    const [columns, inner] = [random.pick([2, 2, 4]), random.pick([2, 4])]
    const operands: Record<string, Tensor> = {}
    const entries = Object.entries(op.operands)
    const reads = entries
      .filter(([, { access }]) => access === 'read')
      .map(([name, { shape }]) => [name, readable(shape === 'T K' ? inner : columns)] as const)
    if (reads.some(([, tensor]) => tensor === undefined)) continue
    for (const [name, tensor] of reads) operands[name] = tensor!
    // The same tensor twice, now and then.
    if (operands.a && operands.b && random.below(6) === 0) operands.b = operands.a
    for (const [name, { access }] of entries) if (access === 'write') operands[name] = written(columns)
    graph.append(op, operands)
  }
  return graph
}
