#pragma once

#include "cuda/attention_sm90_backward_keys.h"
#include "cuda/attention_sm90_backward_queries.h"

// The backward pass of native/ops/attention.h on sm_90a: delta, then d_k and d_v by blocks of keys, then d_q by blocks of queries.
// Scores and their gradients are computed twice for that, 7 products instead of 5, and in return nothing is summed in an order
// that changes from run to run.
namespace limo::cuda {

struct AttentionBackwardSm90 {
  Bf16 *d_q, *d_k, *d_v;
  float* delta;  // [T, H]
  const Bf16 *d_out, *out;
  const float* lse;  // [T, H]
  const Bf16 *q, *k, *v;
  // Elements between rows; multiples of 8, as is head_dim. All rows start at multiples of 16 bytes.
  int64_t d_q_stride, d_k_stride, d_v_stride, d_out_stride, out_stride, q_stride, k_stride, v_stride;
  int64_t tokens;
  const Block *query_blocks, *key_blocks;  // on the device; of kAttentionBackwardRows rows, those with most to do first
  int64_t query_block_count, key_block_count;
  int heads, kv_heads, head_dim;  // head_dim ≤ 128
  float scale;
  cudaStream_t stream;
};

struct AttentionDeltaParameters {
  float* delta;
  const Bf16 *d_out, *out;
  int64_t d_out_stride, out_stride;
  int64_t count;  // tokens · heads
  int heads, head_dim;
};

// delta[t,h] = d_out[t,h]·out[t,h], a warp each, a lane 4 elements.
static __global__ void __launch_bounds__(256) attention_delta_kernel(AttentionDeltaParameters p) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * (256 / 32) + threadIdx.x / 32;
  if (number >= p.count) return;
  const int64_t token = number / p.heads, column = number % p.heads * p.head_dim + threadIdx.x % 32 * 4;
  float sum = 0;
  if (static_cast<int>(threadIdx.x % 32 * 4) < p.head_dim) {
    const uint2 a = *reinterpret_cast<const uint2*>(p.d_out + token * p.d_out_stride + column);
    const uint2 b = *reinterpret_cast<const uint2*>(p.out + token * p.out_stride + column);
    const auto low = [](uint32_t pair) { return to_float(Bf16{static_cast<uint16_t>(pair)}); };
    const auto high = [](uint32_t pair) { return to_float(Bf16{static_cast<uint16_t>(pair >> 16)}); };
    sum = low(a.x) * low(b.x) + high(a.x) * high(b.x) + low(a.y) * low(b.y) + high(a.y) * high(b.y);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) p.delta[number] = sum;
}

inline void launch_attention_delta(const AttentionBackwardSm90& a) {
  AttentionDeltaParameters p{};
  p.delta = a.delta;
  p.d_out = a.d_out;
  p.out = a.out;
  p.d_out_stride = a.d_out_stride;
  p.out_stride = a.out_stride;
  p.count = a.tokens * a.heads;
  p.heads = a.heads;
  p.head_dim = a.head_dim;
  launch(attention_delta_kernel, dim3(static_cast<unsigned>((p.count + 7) / 8)), dim3(256), 0, a.stream, p);
}

// Boxes of as many rows as the kernel's tiles of queries and of keys.
template <class Shape>
AttentionBackwardMaps attention_backward_maps(const AttentionBackwardSm90& a) {
  using Queries = typename Shape::Queries;
  using Keys = typename Shape::Keys;
  return {attention_tensor_map(a.q, a.head_dim, a.heads, a.tokens, a.q_stride, Queries::kBox),
          attention_tensor_map(a.k, a.head_dim, a.kv_heads, a.tokens, a.k_stride, Keys::kBox),
          attention_tensor_map(a.v, a.head_dim, a.kv_heads, a.tokens, a.v_stride, Keys::kBox),
          attention_tensor_map(a.d_out, a.head_dim, a.heads, a.tokens, a.d_out_stride, Queries::kBox)};
}

template <int kHeadDim>
void launch_attention_backward_sm90(const AttentionBackwardSm90& a) {
  AttentionBackwardParameters p{};
  p.d_q = {a.d_q, a.d_q_stride, a.head_dim};
  p.d_k = {a.d_k, a.d_k_stride, a.head_dim};
  p.d_v = {a.d_v, a.d_v_stride, a.head_dim};
  p.lse = a.lse;
  p.delta = a.delta;
  p.heads = a.heads;
  p.kv_heads = a.kv_heads;
  p.heads_per_group = a.heads / a.kv_heads;
  p.scale = a.scale;
  p.scale_log2 = a.scale * kLog2E;

  using ByKeys = AttentionKeysShape<kHeadDim>;
  p.blocks = a.key_blocks;
  launch(attention_backward_keys_sm90_kernel<kHeadDim>, dim3(static_cast<unsigned>(a.key_block_count * a.kv_heads)),
         dim3(kAttentionBackwardThreads), ByKeys::kSharedBytes, a.stream, attention_backward_maps<ByKeys>(a), p);

  using ByQueries = AttentionQueriesShape<kHeadDim>;
  p.blocks = a.query_blocks;
  launch(attention_backward_queries_sm90_kernel<kHeadDim>, dim3(static_cast<unsigned>(a.query_block_count * a.heads)),
         dim3(kAttentionBackwardThreads), ByQueries::kSharedBytes, a.stream, attention_backward_maps<ByQueries>(a), p);
}

inline void attention_backward_sm90(const AttentionBackwardSm90& a) {
  if (a.tokens == 0) return;
  launch_attention_delta(a);
  if (a.head_dim <= 64) launch_attention_backward_sm90<64>(a);
  else launch_attention_backward_sm90<128>(a);
}

}  // namespace limo::cuda
