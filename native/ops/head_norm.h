#pragma once

#include "runtime/op_spec.h"

namespace limo {

// RMS norm of each head by itself (Qwen3 normalises queries and keys so): for head h of D channels
// out[t,hD+i] = x[t,hD+i] · rstd[t,h] · weight[i],  rstd[t,h] = 1 / sqrt(mean_i(x[t,hD+i]²) + eps)
struct HeadNorm {
  static constexpr const char* kName = "head_norm";
  Tensor out;     // [T, Q], written; Q = H·D
  Tensor rstd;    // [T, H], written; kept for the backward pass
  Tensor x;       // [T, Q]
  Tensor weight;  // [D]
  double eps = 0;

  static constexpr OperandSpec<HeadNorm> kOperands[] = {
      {"out", &HeadNorm::out, Access::kWrite, "T Q"},
      {"rstd", &HeadNorm::rstd, Access::kWrite, "T H", ElementType::kF32},
      {"x", &HeadNorm::x, Access::kRead, "T Q"},
      {"weight", &HeadNorm::weight, Access::kRead, "D"},
  };
  static constexpr AttributeSpec<HeadNorm> kAttributes[] = {{"eps", &HeadNorm::eps}};
};

// The gradient of HeadNorm: RmsNormBackward head by head, with d_weight[i] += Σ_t Σ_h d_out·x·rstd. Either gradient may be absent.
struct HeadNormBackward {
  static constexpr const char* kName = "head_norm_backward";
  Tensor d_x;       // [T, Q], written
  Tensor d_weight;  // [D], accumulated
  Tensor d_out;     // [T, Q]
  Tensor x;         // [T, Q]
  Tensor rstd;      // [T, H]
  Tensor weight;    // [D]

  static constexpr OperandSpec<HeadNormBackward> kOperands[] = {
      {"d_x", &HeadNormBackward::d_x, Access::kWrite, "T Q", ElementType::kCompute, true},
      {"d_weight", &HeadNormBackward::d_weight, Access::kAccumulate, "D", ElementType::kF32, true},
      {"d_out", &HeadNormBackward::d_out, Access::kRead, "T Q"},
      {"x", &HeadNormBackward::x, Access::kRead, "T Q"},
      {"rstd", &HeadNormBackward::rstd, Access::kRead, "T H", ElementType::kF32},
      {"weight", &HeadNormBackward::weight, Access::kRead, "D"},
  };
};

}  // namespace limo
