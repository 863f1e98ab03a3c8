import type { Graph } from '../graph.js'
import type { OpDefinition } from '../op.js'
import { isDynamic, type Tensor } from '../tensor.js'
import { contracts } from './contracts.js'

/** Keys that a task of attention_decode takes; the native side's kDecodeSplitKeys. */
const SPLIT_KEYS = 512

export const cacheAppendOp: OpDefinition = contracts.cache_append

export const attentionPrefillOp: OpDefinition = contracts.attention_prefill

export const attentionDecodeOp: OpDefinition = contracts.attention_decode

/** The keys and values of one layer, each [N, K·D], in pages of `pageSize` rows, and where those of each sequence lie. */
export interface PagedCache {
  k: Tensor
  v: Tensor
  pageSize: number
  /** [S, P] int32; [T, P] in a decode step, which has one token per sequence. */
  pageTable: Tensor
  /** Tokens of each sequence in the cache, those of the run included. */
  lengths: Tensor
}

/** Writes the keys and values [T, K·D] of new tokens to the rows `slots` [T] of the cache. */
export function cacheAppend(graph: Graph, args: { cache: PagedCache; k: Tensor; v: Tensor; slots: Tensor }): void {
  const { cache, k, v, slots } = args
  graph.append(cacheAppendOp, { k_cache: cache.k, v_cache: cache.v, k, v, slots })
}

interface AttentionArguments {
  q: Tensor
  cache: PagedCache
  headDim: number
  /** Factor of the scores. */
  scale: number
  name: string
}

/** out [T, H·D]: the tokens of each sequence attend to all of its tokens up to themselves, which are in the cache. */
export function attentionPrefill(graph: Graph, args: AttentionArguments & { cuSeqlens: Tensor }): Tensor {
  const { q, cuSeqlens, name } = args
  const { k, v, pageTable, lengths } = args.cache
  const out = graph.activation(name, [...q.shape])
  graph.append(
    attentionPrefillOp,
    { out, q, k_cache: k, v_cache: v, page_table: pageTable, lengths, cu_seqlens: cuSeqlens },
    attributes(args),
  )
  return out
}

/** out [T, H·D]: one token of each sequence attends to all of its tokens; at most `maxTokens` sequences. */
export function attentionDecode(graph: Graph, args: AttentionArguments & { maxTokens: number }): Tensor {
  const { q, maxTokens, headDim, name } = args
  const { k, v, pageSize, pageTable, lengths } = args.cache
  const [tokens, columns] = q.shape as [number, number]
  const out = graph.activation(name, [...q.shape])
  const splits = Math.ceil((pageTable.shape[1]! * pageSize) / SPLIT_KEYS)
  const rows = (isDynamic(tokens) ? maxTokens : tokens) * splits
  const partial = graph.activation(`${name}.partial`, [rows, columns + (2 * columns) / headDim], 'f32')
  graph.append(attentionDecodeOp, { out, partial, q, k_cache: k, v_cache: v, page_table: pageTable, lengths }, attributes(args))
  return out
}

function attributes({ headDim, scale, cache }: AttentionArguments) {
  return { head_dim: headDim, scale, page_size: cache.pageSize }
}
