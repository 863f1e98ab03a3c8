import t from 'tap'
import { NativeError } from '../../lib/errors.js'
import { Graph } from '../../lib/graph/graph.js'
import { planMemory } from '../../lib/graph/memory-plan.js'
import { attention } from '../../lib/graph/ops/attention.js'
import { add, addOp, zeroOp } from '../../lib/graph/ops/elementwise.js'
import { embedding } from '../../lib/graph/ops/embedding.js'
import { headNorm } from '../../lib/graph/ops/head-norm.js'
import { linear } from '../../lib/graph/ops/linear.js'
import { scoredRowsPerChunk } from '../../lib/graph/ops/linear-cross-entropy.js'
import { rmsNorm, rmsNormOp } from '../../lib/graph/ops/rms-norm.js'
import { rope } from '../../lib/graph/ops/rope.js'
import { swiglu } from '../../lib/graph/ops/swiglu.js'
import { describeProgram, programText } from '../../lib/graph/program.js'
import { SEQUENCE_BOUNDS, TOKENS } from '../../lib/native/addon-types.js'

const refusal = (message: RegExp) => ({ constructor: NativeError, code: 'PROGRAM_INVALID', message })

t.test('a wrong shape is an error that names operation, operand and shapes', async (t) => {
  const graph = new Graph()
  const x = graph.input('x', [TOKENS, 8])
  const y = graph.input('y', [TOKENS, 6])
  const ids = graph.input('ids', [TOKENS], 'i32')
  const cuSeqlens = graph.input('cu_seqlens', [SEQUENCE_BOUNDS], 'i32')
  const weight = (...shape: number[]) => graph.parameter(`w${shape}`, shape)
  const refuses = (what: string, body: () => unknown, message: RegExp) => t.throws(body, refusal(message), what)

  refuses(
    'linear',
    () => linear(graph, { x, weight: weight(3, 7), name: 'y' }),
    /expected shape \[N=3, K=8\] for weight of linear but received \[3, 7\] \(w3,7\)/,
  )
  refuses(
    'bias',
    () => linear(graph, { x, weight: weight(3, 8), bias: weight(4), name: 'y' }),
    /\[N=3\] for bias of linear but received \[4\]/,
  )
  refuses('one dimension', () => linear(graph, { x: weight(8), weight: weight(3, 8), name: 'y' }), /for (y|x) of linear/)
  refuses('rms_norm', () => rmsNorm(graph, { x, weight: weight(6), eps: 0, name: 'n' }), /\[C=8\] for weight of rms_norm/)
  refuses(
    'residual',
    () => rmsNorm(graph, { x, residual: y, weight: weight(8), eps: 0, name: 'n' }),
    /\[T=T, C=8\] for residual of rms_norm but received \[T, 6\] \(y\)/,
  )
  refuses(
    'head_norm',
    () => headNorm(graph, { x, weight: weight(3), eps: 0, name: 'n' }),
    /for rstd of head_norm but received \[T, 2\.66/,
  )
  refuses('add', () => add(graph, { a: x, b: y, name: 's' }), /\[T=T, C=8\] for b of add but received \[T, 6\]/)
  refuses('swiglu', () => swiglu(graph, { gate: x, up: y, name: 's' }), /for up of swiglu/)
  refuses(
    'rope',
    () => rope(graph, { x, cos: weight(5, 2), sin: weight(5, 2), name: 'r' }),
    /\[T=T, P\] for cos of rope but received \[5, 2\]/,
  )
  refuses(
    'k and v',
    () => attention(graph, { q: x, k: x, v: y, cuSeqlens, headDim: 4, scale: 0.5, name: 'a' }),
    /\[T=T, W=8\] for v of attention/,
  )
  refuses(
    'dtype',
    () => embedding(graph, { table: weight(9, 8), ids: graph.input('f', [TOKENS]), name: 'e' }),
    /expected dtype i32 for ids of embedding but received f32 \(f\)/,
  )
  refuses(
    'a number',
    () => graph.append({ name: 'op', operands: { a: { access: 'read', shape: '1' } } }, { a: weight(2) }),
    /shape \[1\] for a of op/,
  )
  refuses('an empty dimension', () => graph.append(zeroOp, { out: graph.activation('z', [0]) }), /for out of zero/)
  refuses(
    'a dynamic second dimension',
    () => graph.append(addOp, { out: graph.activation('z', [4, TOKENS]), a: x, b: x }),
    /for out of add/,
  )
  refuses('a missing operand', () => graph.append(addOp, { out: x, a: x }), /expected operand b of add but it is missing/)
  refuses('an unknown operand', () => graph.append(addOp, { out: x, a: x, b: x, c: x }), /add has no operand c/)
  refuses(
    'a missing attribute',
    () => graph.append(rmsNormOp, { out: x, rstd: graph.input('r', [TOKENS]), x, weight: weight(8) }),
    /attribute eps of rms_norm/,
  )
  t.equal(graph.nodes.length, 0, 'and nothing is appended')
  t.equal(embedding(graph, { table: weight(9, 8), ids, name: 'e' }).name, 'e')
})

t.test('a parameter asked for twice is one tensor, and so is its gradient', async (t) => {
  const graph = new Graph()
  const w = graph.parameter('w', [2, 3])
  t.equal(graph.parameter('w', [2, 3]), w)
  t.equal(graph.gradientOf(w), graph.gradientOf(w))
  t.same([graph.gradientOf(w).shape, graph.gradientOf(w).kind], [[2, 3], 'gradient'])
})

t.test('views', async (t) => {
  const x = new Graph().activation('x', [TOKENS, 10])
  const left = x.columns(0, 6, 'left')
  const inner = left.columns(2, 3, 'inner')
  t.equal(inner.base, x, 'a view of a view looks into the tensor itself')
  t.equal(inner.columnOffset, 2)
  t.ok(
    inner.overlaps(x) &&
      inner.overlaps(left) &&
      !inner.overlaps(x.columns(5, 5, 'right')) &&
      inner.overlaps(x.columns(4, 1, 'last')),
  )
})

t.test('the text of a program', async (t) => {
  const graph = new Graph()
  const x = graph.input('x', [TOKENS, 4])
  const y = graph.layer(3, () => linear(graph, { x, weight: graph.parameter('w', [6, 4]), name: 'y' }))
  const { out } = rmsNorm(graph, { x: y.columns(2, 4, 'y.right'), weight: graph.parameter('n', [4]), eps: 1e-6, name: 'normed' })
  add(graph, { a: out, b: x, name: 'sum' })
  const memory = planMemory(graph, { maxTokens: 2, maxSequences: 1 })
  const program = describeProgram(graph, { memory, activationArena: 1, place: () => ({ arena: 0, offset: 64 }) })
  t.equal(
    programText(graph, program, { memory, arenaNames: ['weights', 'activations'] }),
    [
      '   0 forward layer 3  linear  y= y[T, 6]@activations+0  x x[T, 4]@weights+64  weight w[6, 4]@weights+64',
      '   1 forward  rms_norm  out= normed[T, 4]@activations+64  rstd= normed.rstd[T]@activations+128  x y.right[T, 4]@activations+8' +
        '  weight n[4]@weights+64  eps=0.000001',
      '   2 forward  add  out= sum[T, 4]@activations+64  a normed[T, 4]@activations+64  b x[T, 4]@weights+64',
      '',
    ].join('\n'),
  )
  t.same(program.ops[1]!.operands.x, { arena: 1, offset: 8, dtype: 'f32', shape: [TOKENS, 4], rowStride: 6 })
  t.same(program.inputs, { x: { arena: 0, offset: 64, dtype: 'f32', shape: [TOKENS, 4] } })
})

t.test('rows of the vocabulary projection at a time', async (t) => {
  for (const tokens of [296, 297, 16_384])
    t.equal(scoredRowsPerChunk(151_936, tokens), 296, `176 MiB of logits, of ${tokens} tokens as of any number`)
  t.equal(scoredRowsPerChunk(264, 16_384), 4096, 'native code takes no more')
  t.equal(scoredRowsPerChunk(264, 100), 100, 'no more than there are tokens')
  t.equal(scoredRowsPerChunk(10_000_000, 16_384), 64, 'a product of fewer rows wastes the processor')
  t.equal(scoredRowsPerChunk(5, 0), 1)
})
