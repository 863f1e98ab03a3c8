import { attentionScale, type ModelConfig, rotaryInverseFrequencies } from '../config/model-config.js'

/** Inputs of the reference: a model's config, its weights by Hugging Face names, the ids of a sequence. */
export interface ReferenceInputs {
  config: ModelConfig
  read: (name: string) => Promise<Float32Array>
  ids: Int32Array
}

type Rows = Float64Array[]

/**
 * The losses of the first tokens of a sequence, in double: a causal model needs nothing of what comes later, so that models too
 * large to be computed this way as a whole can still be held against it.
 */
export async function firstLosses({ config, read, ids }: ReferenceInputs, count: number): Promise<number[]> {
  const C = config.hiddenSize
  const table = await read('model.embed_tokens.weight')
  let x: Rows = Array.from({ length: count }, (_, t) => Float64Array.from(table.subarray(ids[t]! * C, (ids[t]! + 1) * C)))
  const norm = async (rows: Rows, name: string) => {
    const weight = await read(`${name}.weight`)
    return rows.map((row) => normalise(row, weight, config.rmsNormEps))
  }
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const name = `model.layers.${layer}`
    const project = async (rows: Rows, part: string, bias = false) => {
      const weight = await read(`${name}.${part}.weight`)
      return multiply(rows, weight, bias ? await read(`${name}.${part}.bias`) : undefined)
    }
    const attended = await norm(x, `${name}.input_layernorm`)
    const [q, k, v] = [
      await project(attended, 'self_attn.q_proj', config.attentionBias),
      await project(attended, 'self_attn.k_proj', config.attentionBias),
      await project(attended, 'self_attn.v_proj', config.attentionBias),
    ]
    if (config.qkNorm)
      for (const [rows, part] of [[q, 'q_norm'] as const, [k, 'k_norm'] as const])
        normaliseHeads(rows, await read(`${name}.self_attn.${part}.weight`), config.rmsNormEps)
    rotate(q, config)
    rotate(k, config)
    x = sum(x, await project(attend({ q, k, v }, config), 'self_attn.o_proj'))
    const fed = await norm(x, `${name}.post_attention_layernorm`)
    const [gate, up] = [await project(fed, 'mlp.gate_proj'), await project(fed, 'mlp.up_proj')]
    const gated = gate.map((row, t) => row.map((value, i) => (value / (1 + Math.exp(-value))) * up[t]![i]!))
    x = sum(x, await project(gated, 'mlp.down_proj'))
  }
  const vocabulary = config.tieWordEmbeddings ? table : await read('lm_head.weight')
  const logits = multiply(await norm(x, 'model.norm'), vocabulary)
  return logits.map((row, t) => {
    const max = row.reduce((a, b) => Math.max(a, b))
    return max + Math.log(row.reduce((total, z) => total + Math.exp(z - max), 0)) - row[ids[t + 1]!]!
  })
}

function normalise(row: Float64Array, weight: Float32Array, eps: number): Float64Array {
  const rstd = 1 / Math.sqrt(row.reduce((total, value) => total + value * value, 0) / row.length + eps)
  return row.map((value, i) => value * rstd * weight[i]!)
}

/** Each head of weight.length channels by itself, in place. */
function normaliseHeads(rows: Rows, weight: Float32Array, eps: number): void {
  for (const row of rows)
    for (let start = 0; start < row.length; start += weight.length)
      row.set(normalise(row.slice(start, start + weight.length), weight, eps), start)
}

/** rows·weightᵀ + bias. */
function multiply(rows: Rows, weight: Float32Array, bias?: Float32Array): Rows {
  return rows.map((row) => {
    const out = new Float64Array(weight.length / row.length)
    for (let n = 0, at = 0; n < out.length; n++) {
      let total = bias?.[n] ?? 0
      for (let k = 0; k < row.length; k++, at++) total += row[k]! * weight[at]!
      out[n] = total
    }
    return out
  })
}

function sum(a: Rows, b: Rows): Rows {
  return a.map((row, t) => row.map((value, i) => value + b[t]![i]!))
}

/** Rotates the heads of rows at the positions of their indices, halves paired. */
function rotate(rows: Rows, config: ModelConfig): void {
  const half = config.headDim / 2
  const frequencies = rotaryInverseFrequencies(config)
  for (const [t, row] of rows.entries()) {
    for (let i = 0; i < row.length; i++) {
      const p = i % config.headDim
      if (p >= half) continue
      const [cos, sin, a, b] = [Math.cos(t * frequencies[p]!), Math.sin(t * frequencies[p]!), row[i]!, row[i + half]!]
      row[i] = a * cos - b * sin
      row[i + half] = b * cos + a * sin
    }
  }
}

function attend({ q, k, v }: Record<'q' | 'k' | 'v', Rows>, config: ModelConfig): Rows {
  const { headDim: D, numAttentionHeads: H } = config
  const scale = attentionScale(config)
  const group = H / config.numKeyValueHeads
  return q.map((query, t) => {
    const out = new Float64Array(H * D)
    for (let h = 0; h < H; h++) {
      const [from, to] = [h * D, Math.floor(h / group) * D]
      const weights = k.slice(0, t + 1).map((key) => {
        let score = 0
        for (let i = 0; i < D; i++) score += query[from + i]! * key[to + i]!
        return Math.exp(score * scale)
      })
      const total = weights.reduce((a, b) => a + b)
      for (const [u, weight] of weights.entries()) for (let i = 0; i < D; i++) out[from + i]! += (weight / total) * v[u]![to + i]!
    }
    return out
  })
}
