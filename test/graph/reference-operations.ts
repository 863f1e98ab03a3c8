import { type AttentionCase, attend, attendBackward } from '../ops/attention-reference.js'
import { embed, embedBackward } from '../ops/embedding-reference.js'
import { project } from '../ops/linear-cross-entropy-reference.js'
import { backwardBias, backwardInput, backwardWeight, forward, type Shape } from '../ops/linear-reference.js'
import { rmsNorm, rmsNormBackward } from '../ops/rms-norm-reference.js'
import { rotaryTable, rotate } from '../ops/rope-reference.js'
import { swiglu, swigluBackward } from '../ops/swiglu-reference.js'
import type { ReferenceOperands } from './reference-interpreter.js'

type ReferenceOperation = (operands: ReferenceOperands) => void

const sum = (a: Float64Array, b: Float64Array) => a.map((value, i) => value + b[i]!)

/** What is normalised is the sum as it is stored, as recomputing a layer from that sum has to give the same. */
const norm: ReferenceOperation = (o) => {
  if (o.has('residual')) o.store('sum', sum(o.load('x'), o.load('residual')))
  const { out, rstd } = rmsNorm(o.load(o.has('residual') ? 'sum' : 'x'), o.load('weight'), o.attribute('eps'))
  o.store('out', out)
  o.store('rstd', rstd)
}

const normBackward: ReferenceOperation = (o) => {
  const dSum = o.has('d_sum') ? o.load('d_sum') : undefined
  const { dX, dWeight } = rmsNormBackward(o.load('d_out'), o.load('x'), o.load('rstd'), o.load('weight'), dSum)
  o.store('d_x', dX)
  o.store('d_weight', dWeight)
}

/** The shape of a product whose operands `inner` and `outer` are of those widths, a row for each token. */
function shapeOf(o: ReferenceOperands, inner: string, outer: string): Shape {
  return { tokens: o.load(inner).length / o.columns(inner), inner: o.columns(inner), outer: o.columns(outer) }
}

function attentionCase(o: ReferenceOperands): AttentionCase {
  const bounds = o.load('cu_seqlens')
  const dim = o.attribute('head_dim')
  return {
    lengths: Array.from(bounds.subarray(1), (end, s) => end - bounds[s]!),
    heads: o.columns('q') / dim,
    kvHeads: o.columns('k') / dim,
    dim,
    q: o.load('q'),
    k: o.load('k'),
    v: o.load('v'),
    scale: o.attribute('scale'),
  }
}

/** Every operation of a decoder and its gradients in double, by the names of the native registry; working memory stays unwritten. */
export const referenceOperations: Readonly<Record<string, ReferenceOperation>> = {
  embedding(o) {
    o.store('out', embed(o.load('table'), o.load('ids'), o.columns('out')))
  },
  embedding_backward(o) {
    const none = new Float64Array(o.load('d_table').length)
    o.store(
      'd_table',
      embedBackward(none, o.load('d_out'), o.load('ids'), o.columns('d_out'), (sum) => sum),
    )
  },
  rms_norm: norm,
  rms_norm_backward: normBackward,
  head_norm: norm,
  head_norm_backward: normBackward,
  linear(o) {
    const { values } = forward(shapeOf(o, 'x', 'y'), o.load('x'), o.load('weight'))
    const bias = o.has('bias') ? o.load('bias') : undefined
    o.store('y', bias ? values.map((value, i) => value + bias[i % bias.length]!) : values)
  },
  linear_backward_input(o) {
    o.store('d_x', backwardInput(shapeOf(o, 'd_x', 'd_y'), o.load('d_y'), o.load('weight')).values)
  },
  linear_backward_weight(o) {
    const shape = shapeOf(o, 'x', 'd_y')
    o.store('d_weight', backwardWeight(shape, o.load('d_y'), o.load('x')).values)
    o.store('d_bias', backwardBias(shape, o.load('d_y')).values)
  },
  rotary_table(o) {
    const { cos, sin } = rotaryTable(o.load('positions'), o.load('inverse_frequency'))
    o.store('cos', cos)
    o.store('sin', sin)
  },
  rope(o) {
    const [x, half] = [o.load('x'), o.columns('cos')]
    const shape = { tokens: x.length / o.columns('x'), heads: o.columns('x') / (2 * half), half }
    o.store('out', rotate(x, o.load('cos'), o.load('sin'), shape, o.attribute('direction')).out)
  },
  attention(o) {
    const { out, lse } = attend(attentionCase(o))
    o.store('out', out.values)
    o.store('lse', lse.values)
  },
  attention_backward(o) {
    const { dQ, dK, dV } = attendBackward(attentionCase(o), o.load('d_out'), o.load('out'), o.load('lse'))
    o.store('d_q', dQ.values)
    o.store('d_k', dK.values)
    o.store('d_v', dV.values)
  },
  swiglu(o) {
    o.store('out', swiglu(o.load('gate'), o.load('up')))
  },
  swiglu_backward(o) {
    const { dGate, dUp } = swigluBackward(o.load('d_out'), o.load('gate'), o.load('up'))
    o.store('d_gate', dGate)
    o.store('d_up', dUp)
  },
  linear_cross_entropy(o) {
    const [columns, hidden, weight] = [o.columns('hidden'), o.load('hidden'), o.load('weight')]
    const sizes = { tokens: hidden.length / columns, columns, vocabulary: weight.length / columns }
    const labels = o.load('labels')
    const { loss, tokenLoss, dHidden, dWeight } = project({
      ...sizes,
      hidden,
      weight,
      labels,
      lossWeights: o.load('loss_weights'),
    })
    o.store('loss', loss.values)
    o.store('token_loss', tokenLoss.values)
    o.store('d_hidden', dHidden.values)
    o.store('d_weight', dWeight.values)
  },
  add(o) {
    o.store('out', sum(o.load('a'), o.load('b')))
  },
  copy(o) {
    o.store('out', o.load('x'))
  },
}
