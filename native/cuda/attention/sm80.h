#pragma once

#include <initializer_list>

#include "cuda/attention/generic.h"
#include "cuda/attention/sm80_backward.h"
#include "cuda/attention/sm80_forward.h"
#include "cuda/runtime.h"

// Launches of attention on any device since sm_80. Lists of blocks lie on the device and are cut into the rows that a function
// names: list_blocks(…, rows, BlockRows::kQueries), and BlockRows::kKeys for the keys of the backward pass.
namespace limo::cuda {

constexpr int kMostSm80Channels = 128;
constexpr int kSm80ForwardRows = sm80::kQueries;
constexpr int kSm80BackwardRows = sm80::kRows;
constexpr int kGenericRows = generic::kRows;

// Whether all rows of all heads begin at multiples of 16 bytes.
inline bool heads_are_aligned(int head_dim, std::initializer_list<const void*> data, std::initializer_list<int64_t> strides) {
  bool aligned = head_dim % 8 == 0;
  for (const void* pointer : data) aligned = aligned && reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
  for (const int64_t stride : strides) aligned = aligned && stride % 8 == 0;
  return aligned;
}

// Heads of at most 128 channels; query blocks of kSm80ForwardRows.
inline void attention_forward_sm80(const AttentionArguments<Bf16>& a, cudaStream_t stream) {
  const bool aligned = heads_are_aligned(a.head_dim, {a.out, a.q, a.k, a.v}, {a.out_stride, a.q_stride, a.k_stride, a.v_stride});
  const dim3 grid(a.query_block_count, a.heads);
  if (a.head_dim <= 64) launch(sm80::attention_forward_kernel<64>, grid, sm80::kThreads, sm80::kForwardSharedBytes<64>, stream, a, aligned);
  else launch(sm80::attention_forward_kernel<128>, grid, sm80::kThreads, sm80::kForwardSharedBytes<128>, stream, a, aligned);
}

template <class T>
void attention_delta(const AttentionBackwardArguments<T>& a, cudaStream_t stream) {
  const int64_t blocks = (a.rows * a.heads + generic::kWarps - 1) / generic::kWarps;
  if (heads_are_aligned(a.head_dim, {a.d_out, a.out}, {a.d_out_stride, a.out_stride}))
    launch(generic::attention_delta_kernel<T, 4>, static_cast<unsigned>(blocks), generic::kThreads, 0, stream, a);
  else launch(generic::attention_delta_kernel<T, 1>, static_cast<unsigned>(blocks), generic::kThreads, 0, stream, a);
}

// Heads of at most 128 channels; blocks of kSm80BackwardRows. Writes delta first.
inline void attention_backward_sm80(const AttentionBackwardArguments<Bf16>& a, cudaStream_t stream) {
  const bool aligned = heads_are_aligned(a.head_dim, {a.d_q, a.d_k, a.d_v, a.d_out, a.q, a.k, a.v},
                                         {a.d_q_stride, a.d_k_stride, a.d_v_stride, a.d_out_stride, a.q_stride, a.k_stride, a.v_stride});
  const dim3 keys(a.key_block_count, a.kv_heads), queries(a.query_block_count, a.heads);
  attention_delta(a, stream);
  if (a.head_dim <= 64) {
    launch(sm80::attention_backward_keys_kernel<64>, keys, sm80::kThreads, sm80::kBackwardSharedBytes<64>, stream, a, aligned);
    launch(sm80::attention_backward_queries_kernel<64>, queries, sm80::kThreads, sm80::kBackwardSharedBytes<64>, stream, a, aligned);
  } else {
    launch(sm80::attention_backward_keys_kernel<128>, keys, sm80::kThreads, sm80::kBackwardSharedBytes<128>, stream, a, aligned);
    launch(sm80::attention_backward_queries_kernel<128>, queries, sm80::kThreads, sm80::kBackwardSharedBytes<128>, stream, a, aligned);
  }
}

// T is float or Bf16; heads of at most 512 channels; query blocks of kGenericRows.
template <class T>
void attention_forward_generic(const AttentionArguments<T>& a, cudaStream_t stream) {
  launch(generic::attention_forward_kernel<T>, {static_cast<unsigned>(a.query_block_count), static_cast<unsigned>(a.heads)},
         generic::kThreads, generic::kSharedBytes, stream, a);
}

// Blocks of kGenericRows. Writes delta first.
template <class T>
void attention_backward_generic(const AttentionBackwardArguments<T>& a, cudaStream_t stream) {
  attention_delta(a, stream);
  launch(generic::attention_backward_keys_kernel<T>, {static_cast<unsigned>(a.key_block_count), static_cast<unsigned>(a.kv_heads)},
         generic::kThreads, generic::kSharedBytes, stream, a);
  launch(generic::attention_backward_queries_kernel<T>, {static_cast<unsigned>(a.query_block_count), static_cast<unsigned>(a.heads)},
         generic::kThreads, generic::kSharedBytes, stream, a);
}

}  // namespace limo::cuda
