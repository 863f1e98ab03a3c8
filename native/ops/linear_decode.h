#pragma once

#include "runtime/op_spec.h"

namespace limo {

// y[t,n] = Σ_k x[t,k]·weight[n,k] + bias[n], for the few rows of a step of generation: the weights are read once, at the speed of memory. A
// row's bits depend on that row alone, not on the other rows or their number: so a sequence's tokens do not depend on its batch. Float32
// sums in one fixed order.
struct LinearDecode {
  static constexpr const char* kName = "linear_decode";
  Tensor y;       // [T, N], written
  Tensor x;       // [T, K]
  Tensor weight;  // [N, K]
  Tensor bias;    // [N]

  static constexpr OperandSpec<LinearDecode> kOperands[] = {
      {"y", &LinearDecode::y, Access::kWrite, "T N"},
      {"x", &LinearDecode::x, Access::kRead, "T K"},
      {"weight", &LinearDecode::weight, Access::kRead, "N K"},
      {"bias", &LinearDecode::bias, Access::kRead, "N", ElementType::kCompute, true},
  };
};

// logits[s,v] = Σ_c hidden[rows[s],c]·weight[v,c], float32: the scores of the vocabulary after some tokens of a run, with the sums of
// linear_decode.
struct Logits {
  static constexpr const char* kName = "logits";
  Tensor logits;       // [S, V], written
  Tensor hidden_rows;  // [S, C], written; working memory
  Tensor hidden;       // [T, C]
  Tensor weight;       // [V, C]
  Tensor rows;         // [S] int32, each in [0, T)

  static constexpr OperandSpec<Logits> kOperands[] = {
      {"logits", &Logits::logits, Access::kWrite, "S V", ElementType::kF32},
      {"hidden_rows", &Logits::hidden_rows, Access::kWrite, "S C"},
      {"hidden", &Logits::hidden, Access::kRead, "T C"},
      {"weight", &Logits::weight, Access::kRead, "V C"},
      {"rows", &Logits::rows, Access::kRead, "S", ElementType::kI32},
  };
};

}  // namespace limo
