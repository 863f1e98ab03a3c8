#pragma once

#include "runtime/op_spec.h"

namespace limo {

// y[t,n] = Σ_k x[t,k]·weight[n,k] + bias[n]
struct Linear {
  static constexpr const char* kName = "linear";
  Tensor y;       // [T, N], written
  Tensor x;       // [T, K]
  Tensor weight;  // [N, K]
  Tensor bias;    // [N]

  static constexpr OperandSpec<Linear> kOperands[] = {
      {"y", &Linear::y, Access::kWrite, "T N"},
      {"x", &Linear::x, Access::kRead, "T K"},
      {"weight", &Linear::weight, Access::kRead, "N K"},
      {"bias", &Linear::bias, Access::kRead, "N", ElementType::kCompute, true},
  };
};

// d_x[t,k] = Σ_n d_y[t,n]·weight[n,k]
struct LinearBackwardInput {
  static constexpr const char* kName = "linear_backward_input";
  Tensor d_x;     // [T, K], written
  Tensor d_y;     // [T, N]
  Tensor weight;  // [N, K]

  static constexpr OperandSpec<LinearBackwardInput> kOperands[] = {
      {"d_x", &LinearBackwardInput::d_x, Access::kWrite, "T K"},
      {"d_y", &LinearBackwardInput::d_y, Access::kRead, "T N"},
      {"weight", &LinearBackwardInput::weight, Access::kRead, "N K"},
  };
};

// d_weight[n,k] += Σ_t d_y[t,n]·x[t,k],  d_bias[n] += Σ_t d_y[t,n]; either may be absent.
struct LinearBackwardWeight {
  static constexpr const char* kName = "linear_backward_weight";
  Tensor d_weight;  // [N, K], accumulated
  Tensor d_bias;    // [N], accumulated
  Tensor d_y;       // [T, N]
  Tensor x;         // [T, K]

  static constexpr OperandSpec<LinearBackwardWeight> kOperands[] = {
      {"d_weight", &LinearBackwardWeight::d_weight, Access::kAccumulate, "N K", ElementType::kF32, true},
      {"d_bias", &LinearBackwardWeight::d_bias, Access::kAccumulate, "N", ElementType::kF32, true},
      {"d_y", &LinearBackwardWeight::d_y, Access::kRead, "T N"},
      {"x", &LinearBackwardWeight::x, Access::kRead, "T K"},
  };
};

}  // namespace limo
