#include <algorithm>

#include "cuda/attention/sm80.h"
#include "cuda/attention/sm90.h"
#include "cuda/context.h"
#include "cuda/operations.h"
#include "ops/attention.h"

namespace limo::cuda {
namespace {

// Three kinds of kernels: sm_90a, where rows are aligned for TMA; sm_80 and later, with any strides; plain ones for float32 and for heads
// that are too wide for the others.
enum class Kernels { kSm90, kSm80, kPlain };

bool loads_by_tma(const Tensor& rows) { return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && rows.row_stride % 8 == 0; }

template <class... Rows>
Kernels kernels_for(const CudaContext& context, int64_t head_dim, const Tensor& q, const Rows&... others) {
  if (q.dtype != DType::kBF16 || head_dim > kMostSm80Channels) return Kernels::kPlain;
  const bool by_tma = head_dim % 8 == 0 && loads_by_tma(q) && (loads_by_tma(others) && ...);
  return context.capability() == 90 && by_tma ? Kernels::kSm90 : Kernels::kSm80;
}

// The list of blocks of rows, uploaded once per run: all layers share it.
CudaContext::List<Block> blocks_of(CudaContext& context, const Tensor& cu_seqlens, int rows_per_block, BlockRows rows) {
  const int kind = 2 * rows_per_block + (rows == BlockRows::kKeys);
  return context.list<Block>(cu_seqlens, kind, [&] { return list_blocks(context.integers(cu_seqlens), cu_seqlens.rows, rows_per_block, rows); });
}

template <class T>
AttentionArguments<T> arguments(const Attention& op, CudaContext& context, int rows_per_block) {
  const auto blocks = blocks_of(context, op.cu_seqlens, rows_per_block, BlockRows::kQueries);
  AttentionArguments<T> a{};
  a.out = op.out.row<T>(0);
  a.lse = op.lse.f32();
  a.q = op.q.row<T>(0);
  a.k = op.k.row<T>(0);
  a.v = op.v.row<T>(0);
  a.out_stride = op.out.row_stride;
  a.lse_stride = op.lse.row_stride;
  a.q_stride = op.q.row_stride;
  a.k_stride = op.k.row_stride;
  a.v_stride = op.v.row_stride;
  a.rows = op.q.rows;
  a.heads = static_cast<int>(op.lse.cols);
  a.head_dim = static_cast<int>(op.head_dim);
  a.kv_heads = static_cast<int>(op.k.cols / a.head_dim);
  a.scale = static_cast<float>(op.scale);
  a.query_blocks = blocks.data;
  a.query_block_count = static_cast<int>(blocks.count);
  return a;
}

template <class T>
AttentionBackwardArguments<T> arguments(const AttentionBackward& op, CudaContext& context, int rows_per_block) {
  const auto query_blocks = blocks_of(context, op.cu_seqlens, rows_per_block, BlockRows::kQueries);
  const auto key_blocks = blocks_of(context, op.cu_seqlens, rows_per_block, BlockRows::kKeys);
  AttentionBackwardArguments<T> a{};
  a.d_q = op.d_q.row<T>(0);
  a.d_k = op.d_k.row<T>(0);
  a.d_v = op.d_v.row<T>(0);
  a.delta = op.delta.f32();
  a.d_out = op.d_out.row<T>(0);
  a.out = op.out.row<T>(0);
  a.lse = op.lse.f32();
  a.q = op.q.row<T>(0);
  a.k = op.k.row<T>(0);
  a.v = op.v.row<T>(0);
  a.d_q_stride = op.d_q.row_stride;
  a.d_k_stride = op.d_k.row_stride;
  a.d_v_stride = op.d_v.row_stride;
  a.delta_stride = op.delta.row_stride;
  a.d_out_stride = op.d_out.row_stride;
  a.out_stride = op.out.row_stride;
  a.lse_stride = op.lse.row_stride;
  a.q_stride = op.q.row_stride;
  a.k_stride = op.k.row_stride;
  a.v_stride = op.v.row_stride;
  a.rows = op.q.rows;
  a.heads = static_cast<int>(op.lse.cols);
  a.head_dim = static_cast<int>(op.head_dim);
  a.kv_heads = static_cast<int>(op.k.cols / a.head_dim);
  a.scale = static_cast<float>(op.scale);
  a.query_blocks = query_blocks.data;
  a.key_blocks = key_blocks.data;
  a.query_block_count = static_cast<int>(query_blocks.count);
  a.key_block_count = static_cast<int>(key_blocks.count);
  return a;
}

// Bytes of a list of blocks of rows: a sequence has one that is not whole.
template <class Op>
size_t most_list_bytes(const Op& op) {
  constexpr int64_t kFewestRows = std::min({kGenericRows, kSm80ForwardRows, kSm80BackwardRows, kSm90BackwardRows});
  return static_cast<size_t>(op.q.rows / kFewestRows + op.cu_seqlens.rows) * sizeof(Block);
}

}  // namespace

template <>
size_t check_limits(const Attention& op, const CudaContext&) {
  check_heads(op);
  return most_list_bytes(op);
}

template <>
size_t check_limits(const AttentionBackward& op, const CudaContext&) {
  check_heads(op);
  return 2 * most_list_bytes(op);
}

void run(const Attention& op, CudaContext& context) {
  switch (kernels_for(context, static_cast<int64_t>(op.head_dim), op.q, op.k, op.v, op.out)) {
    case Kernels::kSm90:
      return attention_forward_sm90(arguments<Bf16>(op, context, sm90_forward_rows(static_cast<int>(op.head_dim))), context.multiprocessors(),
                                    context.stream());
    case Kernels::kSm80: return attention_forward_sm80(arguments<Bf16>(op, context, kSm80ForwardRows), context.stream());
    case Kernels::kPlain:
      if (op.q.dtype == DType::kBF16) attention_forward_generic(arguments<Bf16>(op, context, kGenericRows), context.stream());
      else attention_forward_generic(arguments<float>(op, context, kGenericRows), context.stream());
  }
}

void run(const AttentionBackward& op, CudaContext& context) {
  switch (kernels_for(context, static_cast<int64_t>(op.head_dim), op.q, op.k, op.v, op.out, op.d_out, op.d_q, op.d_k, op.d_v)) {
    case Kernels::kSm90: return attention_backward_sm90(arguments<Bf16>(op, context, kSm90BackwardRows), context.stream());
    case Kernels::kSm80: return attention_backward_sm80(arguments<Bf16>(op, context, kSm80BackwardRows), context.stream());
    case Kernels::kPlain:
      if (op.q.dtype == DType::kBF16) attention_backward_generic(arguments<Bf16>(op, context, kGenericRows), context.stream());
      else attention_backward_generic(arguments<float>(op, context, kGenericRows), context.stream());
  }
}

}  // namespace limo::cuda
