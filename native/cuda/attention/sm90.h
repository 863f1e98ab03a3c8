#pragma once

#include <cmath>

#include "cuda/attention/arguments.h"
#include "cuda/attention/sm80.h"
#include "cuda/attention/sm90_backward_keys.h"
#include "cuda/attention/sm90_backward_queries.h"
#include "cuda/attention/sm90_forward.h"
#include "cuda/runtime.h"

// Launches of attention on sm_90, for heads of at most 128 channels whose rows are aligned (heads_are_aligned) and a scale > 0.
// Lists of blocks lie on the device and are cut into the rows that a function names: list_blocks(…, rows, BlockRows::kQueries),
// and BlockRows::kKeys for the keys of the backward pass.
namespace limo::cuda {

constexpr int kMostSm90Channels = 128;
constexpr int kSm90BackwardRows = sm90::kBackwardRows;
inline int sm90_forward_rows(int head_dim) {
  return head_dim <= 64 ? sm90::ForwardShape<64>::kRows : sm90::ForwardShape<128>::kRows;
}

namespace sm90 {

// The tensor of a projection's heads as TMA sees it: [D, heads, T].
struct HeadTensor {
  const Bf16* data;
  int head_dim, heads;
  int64_t rows, row_stride;

  TensorMap map(const int (&box)[3]) const {
    constexpr int64_t kBytes = sizeof(Bf16);
    return make_tensor_map_3d(data, {head_dim, heads, rows}, {head_dim * kBytes, row_stride * kBytes}, box);
  }
};

template <int kHeadDim>
void launch_forward(const AttentionArguments<Bf16>& a, int multiprocessors, cudaStream_t stream) {
  using Shape = ForwardShape<kHeadDim>;
  const float scale_log2 = a.scale * kLog2E;
  ForwardParameters p{};
  p.out = {a.out, a.out_stride, a.head_dim};
  p.lse = a.lse;
  p.lse_stride = a.lse_stride;
  p.blocks = a.query_blocks;
  p.items = a.query_block_count * a.heads;
  p.heads = a.heads;
  p.heads_per_group = a.heads / a.kv_heads;
  p.scale = a.scale;
  p.score_scale = {scale_log2, std::exp2(std::ceil(std::log2(scale_log2)))};
  const ForwardMaps maps = {HeadTensor{a.q, a.head_dim, a.heads, a.rows, a.q_stride}.map(Shape::Queries::kBox),
                            HeadTensor{a.k, a.head_dim, a.kv_heads, a.rows, a.k_stride}.map(Shape::Keys::kBox),
                            HeadTensor{a.v, a.head_dim, a.kv_heads, a.rows, a.v_stride}.map(Shape::Keys::kBox)};
  const int grid = p.items < multiprocessors ? p.items : multiprocessors;
  launch(attention_forward_kernel<kHeadDim>, static_cast<unsigned>(grid), Shape::kThreads, Shape::kSharedBytes, stream, maps, p);
}

// Boxes of as many rows as the kernel's tiles of queries and of keys.
template <class Shape>
BackwardMaps backward_maps(const AttentionBackwardArguments<Bf16>& a) {
  using Queries = typename Shape::Queries;
  using Keys = typename Shape::Keys;
  return {HeadTensor{a.q, a.head_dim, a.heads, a.rows, a.q_stride}.map(Queries::kBox),
          HeadTensor{a.k, a.head_dim, a.kv_heads, a.rows, a.k_stride}.map(Keys::kBox),
          HeadTensor{a.v, a.head_dim, a.kv_heads, a.rows, a.v_stride}.map(Keys::kBox),
          HeadTensor{a.d_out, a.head_dim, a.heads, a.rows, a.d_out_stride}.map(Queries::kBox)};
}

template <int kHeadDim>
void launch_backward(const AttentionBackwardArguments<Bf16>& a, cudaStream_t stream) {
  BackwardParameters p{};
  p.d_q = {a.d_q, a.d_q_stride, a.head_dim};
  p.d_k = {a.d_k, a.d_k_stride, a.head_dim};
  p.d_v = {a.d_v, a.d_v_stride, a.head_dim};
  p.lse = a.lse;
  p.delta = a.delta;
  p.lse_stride = a.lse_stride;
  p.delta_stride = a.delta_stride;
  p.heads = a.heads;
  p.kv_heads = a.kv_heads;
  p.heads_per_group = a.heads / a.kv_heads;
  p.scale = a.scale;
  p.scale_log2 = a.scale * kLog2E;

  using ByKeys = KeysShape<kHeadDim>;
  p.blocks = a.key_blocks;
  launch(attention_backward_keys_kernel<kHeadDim>, static_cast<unsigned>(a.key_block_count * a.kv_heads), kBackwardThreads,
         ByKeys::kSharedBytes, stream, backward_maps<ByKeys>(a), p);

  using ByQueries = QueriesShape<kHeadDim>;
  p.blocks = a.query_blocks;
  launch(attention_backward_queries_kernel<kHeadDim>, static_cast<unsigned>(a.query_block_count * a.heads), kBackwardThreads,
         ByQueries::kSharedBytes, stream, backward_maps<ByQueries>(a), p);
}

}  // namespace sm90

// Query blocks of sm90_forward_rows(head_dim), those of most keys first.
inline void attention_forward_sm90(const AttentionArguments<Bf16>& a, int multiprocessors, cudaStream_t stream) {
  if (a.query_block_count == 0) return;
  if (a.head_dim <= 64) sm90::launch_forward<64>(a, multiprocessors, stream);
  else sm90::launch_forward<128>(a, multiprocessors, stream);
}

// Blocks of kSm90BackwardRows. Writes delta first; then d_k and d_v by blocks of keys, and d_q by blocks of queries. Scores and their
// gradients are computed twice for that, 7 products instead of 5, and in return nothing is summed in an order that changes from
// run to run.
inline void attention_backward_sm90(const AttentionBackwardArguments<Bf16>& a, cudaStream_t stream) {
  if (a.rows == 0) return;
  attention_delta(a, stream);
  if (a.head_dim <= 64) sm90::launch_backward<64>(a, stream);
  else sm90::launch_backward<128>(a, stream);
}

}  // namespace limo::cuda
