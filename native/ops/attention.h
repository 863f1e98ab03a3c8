#pragma once

#include "runtime/op_spec.h"

namespace limo {

constexpr int64_t kMaxHeadDim = 512;

// Causal attention of packed sequences with grouped queries: sequence s covers rows cu_seqlens[s] … cu_seqlens[s+1] − 1
// and nothing crosses its bounds. Query head h reads key/value head h / (H / K). For row t, over u ≤ t of its sequence:
//   score[u] = scale · q[t]·k[u],  lse[t] = log Σ_u exp(score[u]),  out[t] = Σ_u exp(score[u] − lse[t]) · v[u]
// Computed in blocks with an online softmax (Dao, "FlashAttention-2", 2023), so memory is O(T).
struct Attention {
  static constexpr const char* kName = "attention";
  Tensor out;         // [T, Q], written; Q = H·D
  Tensor lse;         // [T, H], written; kept for the backward pass
  Tensor q;           // [T, Q]
  Tensor k;           // [T, W]; W = K·D
  Tensor v;           // [T, W]
  Tensor cu_seqlens;  // [S] int32: 0 = first < … < last = T
  double head_dim = 0;
  double scale = 0;

  static constexpr OperandSpec<Attention> kOperands[] = {
      {"out", &Attention::out, Access::kWrite, "T Q"},
      {"lse", &Attention::lse, Access::kWrite, "T H", ElementType::kF32},
      {"q", &Attention::q, Access::kRead, "T Q"},
      {"k", &Attention::k, Access::kRead, "T W"},
      {"v", &Attention::v, Access::kRead, "T W"},
      {"cu_seqlens", &Attention::cu_seqlens, Access::kRead, "S", ElementType::kI32},
  };
  static constexpr AttributeSpec<Attention> kAttributes[] = {{"head_dim", &Attention::head_dim},
                                                             {"scale", &Attention::scale}};
};

// With p[t,u] = exp(score[u] − lse[t]), recomputed block by block, and delta[t] = d_out[t]·out[t]:
//   d_v[u] = Σ_t p[t,u]·d_out[t],  d_s[t,u] = p[t,u]·(d_out[t]·v[u] − delta[t])·scale
//   d_q[t] = Σ_u d_s[t,u]·k[u],    d_k[u] = Σ_t d_s[t,u]·q[t]      (sums over the query heads of a group as well)
struct AttentionBackward {
  static constexpr const char* kName = "attention_backward";
  Tensor d_q;    // [T, Q], written
  Tensor d_k;    // [T, W], written
  Tensor d_v;    // [T, W], written
  Tensor delta;  // [T, H], written; working memory
  Tensor d_out;  // [T, Q]
  Tensor out;    // [T, Q]
  Tensor lse;    // [T, H]
  Tensor q;      // [T, Q]
  Tensor k;      // [T, W]
  Tensor v;      // [T, W]
  Tensor cu_seqlens;  // [S] int32
  double head_dim = 0;
  double scale = 0;
  Tensor d_q_sum;  // [T, Q] float32: gradients of queries, summed block of keys by block of keys; of the CPU, where d_q is bfloat16

  static constexpr OperandSpec<AttentionBackward> kOperands[] = {
      {"d_q", &AttentionBackward::d_q, Access::kWrite, "T Q"},
      {"d_k", &AttentionBackward::d_k, Access::kWrite, "T W"},
      {"d_v", &AttentionBackward::d_v, Access::kWrite, "T W"},
      {"delta", &AttentionBackward::delta, Access::kWrite, "T H", ElementType::kF32},
      {"d_out", &AttentionBackward::d_out, Access::kRead, "T Q"},
      {"out", &AttentionBackward::out, Access::kRead, "T Q"},
      {"lse", &AttentionBackward::lse, Access::kRead, "T H", ElementType::kF32},
      {"q", &AttentionBackward::q, Access::kRead, "T Q"},
      {"k", &AttentionBackward::k, Access::kRead, "T W"},
      {"v", &AttentionBackward::v, Access::kRead, "T W"},
      {"cu_seqlens", &AttentionBackward::cu_seqlens, Access::kRead, "S", ElementType::kI32},
  };
  static constexpr WorkingMemorySpec<AttentionBackward> kWorkingMemory[] = {
      {Backend::kCpu, "d_q_sum", &AttentionBackward::d_q_sum, "T Q", ElementType::kF32, true},
  };
  static constexpr AttributeSpec<AttentionBackward> kAttributes[] = {{"head_dim", &AttentionBackward::head_dim},
                                                                     {"scale", &AttentionBackward::scale}};
};

}  // namespace limo
