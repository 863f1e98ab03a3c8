#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "cuda/attention/blocks.h"

// Arguments of the attention kernels; ops/attention.h has the formulas. Pointers are the device's; strides are elements between rows; head
// h of a row begins at element h · head_dim. lse and delta have one number for each head of a row.
namespace limo::cuda {

template <class T>
struct AttentionArguments {
  T* out;
  float* lse;
  const T *q, *k, *v;
  int64_t out_stride, lse_stride, q_stride, k_stride, v_stride;
  int64_t rows;
  int heads, kv_heads, head_dim;
  float scale;
  const Block* query_blocks;
  int query_block_count;
};

template <class T>
struct AttentionBackwardArguments {
  T *d_q, *d_k, *d_v;
  float* delta;
  const T *d_out, *out;
  const float* lse;
  const T *q, *k, *v;
  int64_t d_q_stride, d_k_stride, d_v_stride, delta_stride, d_out_stride, out_stride, lse_stride, q_stride, k_stride, v_stride;
  int64_t rows;
  int heads, kv_heads, head_dim;
  float scale;
  const Block *query_blocks, *key_blocks;
  int query_block_count, key_block_count;
};

}  // namespace limo::cuda
