#pragma once

#include "runtime/op_spec.h"

namespace limo {

// The experts of each token, weighed: y[t,n] = Σ_k weights[t,k] · Σ_c weight[experts[t,k],n,c]·x[t,c]
// An expert outside of [0, E) adds nothing: nobody checks what `route` or another operation has written. Sums in float32, over c, then in
// the order of k. It reads the weights of an expert for each of its tokens anew, which is right for the few tokens of a step of generation.
struct ExpertLinear {
  static constexpr const char* kName = "expert_linear";
  Tensor y;        // [T, N], written
  Tensor x;        // [T, C]
  Tensor weight;   // [E, N, C]
  Tensor experts;  // [T, K] int32
  Tensor weights;  // [T, K]

  static constexpr OperandSpec<ExpertLinear> kOperands[] = {
      {"y", &ExpertLinear::y, Access::kWrite, "T N"},
      {"x", &ExpertLinear::x, Access::kRead, "T C"},
      {"weight", &ExpertLinear::weight, Access::kRead, "E N C"},
      {"experts", &ExpertLinear::experts, Access::kRead, "T K", ElementType::kDeviceI32},
      {"weights", &ExpertLinear::weights, Access::kRead, "T K", ElementType::kF32},
  };
};

}  // namespace limo
