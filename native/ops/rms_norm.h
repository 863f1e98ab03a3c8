#pragma once

#include "runtime/op_spec.h"

namespace limo {

// sum[t,c] = x[t,c] + residual[t,c]   (x alone without a residual)
// out[t,c] = sum[t,c] · rstd[t] · weight[c],  rstd[t] = 1 / sqrt(mean_c(sum[t,c]²) + eps)
// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019. Sums in float32.
struct RmsNorm {
  static constexpr const char* kName = "rms_norm";
  Tensor out;       // [T, C], written
  Tensor rstd;      // [T], written; kept for the backward pass
  Tensor sum;       // [T, C], written; present exactly when residual is; kept for the backward pass
  Tensor x;         // [T, C]
  Tensor residual;  // [T, C]
  Tensor weight;    // [C]
  double eps = 0;

  static constexpr OperandSpec<RmsNorm> kOperands[] = {
      {"out", &RmsNorm::out, Access::kWrite, "T C"},
      {"rstd", &RmsNorm::rstd, Access::kWrite, "T", ElementType::kF32},
      {"sum", &RmsNorm::sum, Access::kWrite, "T C", ElementType::kCompute, true},
      {"x", &RmsNorm::x, Access::kRead, "T C"},
      {"residual", &RmsNorm::residual, Access::kRead, "T C", ElementType::kCompute, true},
      {"weight", &RmsNorm::weight, Access::kRead, "C"},
  };
  static constexpr AttributeSpec<RmsNorm> kAttributes[] = {{"eps", &RmsNorm::eps}};
};

// With n[c] = x[t,c]·rstd[t] and g[c] = d_out[t,c]·weight[c], x being the sum that was normalised:
//   d_x[t,c] = rstd[t]·(g[c] − n[c]·mean_c(g·n)) + d_sum[t,c]     (the gradient of x and of the residual alike)
//   d_weight[c] += Σ_t d_out[t,c]·n[c]
// d_x is absent where nothing below is trained, d_weight where the weight is not.
struct RmsNormBackward {
  static constexpr const char* kName = "rms_norm_backward";
  Tensor d_x;       // [T, C], written
  Tensor d_weight;  // [C], accumulated
  Tensor d_out;     // [T, C]
  Tensor d_sum;     // [T, C], the gradient that reaches the sum by other ways
  Tensor x;         // [T, C]
  Tensor rstd;      // [T]
  Tensor weight;    // [C]

  static constexpr OperandSpec<RmsNormBackward> kOperands[] = {
      {"d_x", &RmsNormBackward::d_x, Access::kWrite, "T C", ElementType::kCompute, true},
      {"d_weight", &RmsNormBackward::d_weight, Access::kAccumulate, "C", ElementType::kF32, true},
      {"d_out", &RmsNormBackward::d_out, Access::kRead, "T C"},
      {"d_sum", &RmsNormBackward::d_sum, Access::kRead, "T C", ElementType::kCompute, true},
      {"x", &RmsNormBackward::x, Access::kRead, "T C"},
      {"rstd", &RmsNormBackward::rstd, Access::kRead, "T", ElementType::kF32},
      {"weight", &RmsNormBackward::weight, Access::kRead, "C"},
  };
};

}  // namespace limo
