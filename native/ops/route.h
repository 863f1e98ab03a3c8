#pragma once

#include "runtime/op_spec.h"

namespace limo {

// Chooses the K experts of each token with the largest logits, the largest first and of equal ones the first, and weighs them by a softmax
// over the chosen:
//   weights[t,k] = exp(z[t,experts[t,k]] − max) / Σ_j exp(z[t,experts[t,j]] − max),  max = z[t,experts[t,0]]
// As mixtures of experts do that normalise over the chosen ones (Qwen3-MoE's norm_topk_prob). In float32. A NaN is chosen last.
struct Route {
  static constexpr const char* kName = "route";
  Tensor experts;  // [T, K] int32, written: different ones of [0, E)
  Tensor weights;  // [T, K], written
  Tensor logits;   // [T, E]

  static constexpr OperandSpec<Route> kOperands[] = {
      {"experts", &Route::experts, Access::kWrite, "T K", ElementType::kDeviceI32},
      {"weights", &Route::weights, Access::kWrite, "T K", ElementType::kF32},
      {"logits", &Route::logits, Access::kRead, "T E", ElementType::kF32},
  };
};

}  // namespace limo
