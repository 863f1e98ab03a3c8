import type { Graph } from '../graph.js'
import { type OpDefinition, read, write } from '../op.js'
import { isDynamic, type Tensor } from '../tensor.js'

/** Keys that a task of attention_decode takes; the native side's kDecodeSplitKeys. */
const SPLIT_KEYS = 512

export const cacheAppendOp: OpDefinition = {
  name: 'cache_append',
  operands: {
    k_cache: { access: 'update', shape: 'N W' },
    v_cache: { access: 'update', shape: 'N W' },
    k: read('T W'),
    v: read('T W'),
    slots: read('T', 'i32'),
  },
}

export const attentionPrefillOp: OpDefinition = {
  name: 'attention_prefill',
  operands: {
    out: write('T Q'),
    q: read('T Q'),
    k_cache: read('N W'),
    v_cache: read('N W'),
    page_table: read('S P', 'i32'),
    lengths: read('S', 'i32'),
    cu_seqlens: read('B', 'i32'),
  },
  attributes: ['head_dim', 'scale', 'page_size'],
}

export const attentionDecodeOp: OpDefinition = {
  name: 'attention_decode',
  operands: {
    out: write('T Q'),
    partial: write('M E', 'f32'),
    q: read('T Q'),
    k_cache: read('N W'),
    v_cache: read('N W'),
    page_table: read('T P', 'i32'),
    lengths: read('T', 'i32'),
  },
  attributes: ['head_dim', 'scale', 'page_size'],
}

/** The keys and values of one layer, each [N, K·D], in pages of `pageSize` rows, and where those of each sequence lie. */
export interface PagedCache {
  k: Tensor
  v: Tensor
  pageSize: number
  /** [S, P] int32; of a step of one token for each sequence, [T, P]. */
  pageTable: Tensor
  /** Tokens of each sequence in the cache, those of the run included. */
  lengths: Tensor
}

/** Writes the keys and values [T, K·D] of new tokens to the rows `slots` [T] of the cache. */
export function cacheAppend(graph: Graph, args: { cache: PagedCache; k: Tensor; v: Tensor; slots: Tensor }): void {
  const { cache, k, v, slots } = args
  graph.append(cacheAppendOp, { k_cache: cache.k, v_cache: cache.v, k, v, slots })
}

/** out [T, H·D]: the tokens of each sequence attend to all of its tokens up to themselves, which are in the cache. */
export function attentionPrefill(
  graph: Graph,
  args: { q: Tensor; cache: PagedCache; cuSeqlens: Tensor; headDim: number; name: string },
): Tensor {
  const { q, cuSeqlens, headDim, name } = args
  const { k, v, pageSize, pageTable, lengths } = args.cache
  const out = graph.activation(name, [...q.shape])
  graph.append(
    attentionPrefillOp,
    { out, q, k_cache: k, v_cache: v, page_table: pageTable, lengths, cu_seqlens: cuSeqlens },
    attributes(headDim, pageSize),
  )
  return out
}

/** out [T, H·D]: one token of each sequence attends to all of its tokens; at most `maxTokens` sequences. */
export function attentionDecode(
  graph: Graph,
  args: { q: Tensor; cache: PagedCache; maxTokens: number; headDim: number; name: string },
): Tensor {
  const { q, maxTokens, headDim, name } = args
  const { k, v, pageSize, pageTable, lengths } = args.cache
  const [tokens, columns] = q.shape as [number, number]
  const out = graph.activation(name, [...q.shape])
  const splits = Math.ceil((pageTable.shape[1]! * pageSize) / SPLIT_KEYS)
  const rows = (isDynamic(tokens) ? maxTokens : tokens) * splits
  const partial = graph.activation(`${name}.partial`, [rows, columns + (2 * columns) / headDim], 'f32')
  graph.append(
    attentionDecodeOp,
    { out, partial, q, k_cache: k, v_cache: v, page_table: pageTable, lengths },
    attributes(headDim, pageSize),
  )
  return out
}

function attributes(headDim: number, pageSize: number) {
  return { head_dim: headDim, scale: 1 / Math.sqrt(headDim), page_size: pageSize }
}
