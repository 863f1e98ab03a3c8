#pragma once

#include "runtime/op_spec.h"

namespace limo {

// R is at most this many rows.
constexpr int64_t kMaxScoredRows = 4096;

// The vocabulary projection and its cross-entropy, forward and backward at once, over R scored rows at a time, so that
// logits for all rows never exist. For each row t with labels[t] ≠ −100, with z = hidden[t]·weightᵀ:
//   token_loss[t] = log Σ_v exp(z[v]) − z[labels[t]]          (0 where not scored)
//   loss = Σ_t loss_weights[t]·token_loss[t]
//   d_z[v] = loss_weights[t]·(exp(z[v] − lse) − [v = labels[t]]),  d_hidden[t] = d_z·weight,  d_weight += d_zᵀ·hidden[t]
// The rows are split into the fewest chunks that R allows, of about the same size, by the number of scored rows alone.
// Rows that are not scored are left out of the products; their d_hidden is 0. Either gradient may be absent; without both it only
// evaluates. The loss is summed in double in the order of t.
struct LinearCrossEntropy {
  static constexpr const char* kName = "linear_cross_entropy";
  Tensor loss;           // [1], written
  Tensor token_loss;     // [T], written
  Tensor d_hidden;       // [T, C], written
  Tensor d_weight;       // [V, C], accumulated
  Tensor logits;         // [R, V], written; working memory
  Tensor hidden_rows;    // [R, C], written; working memory
  Tensor d_hidden_rows;  // [R, C], written; working memory, present exactly when d_hidden is
  Tensor hidden;         // [T, C]
  Tensor weight;         // [V, C]
  Tensor labels;         // [T] int32, −100 or in [0, V)
  Tensor loss_weights;   // [T]

  static constexpr OperandSpec<LinearCrossEntropy> kOperands[] = {
      {"loss", &LinearCrossEntropy::loss, Access::kWrite, "1", ElementType::kF32},
      {"token_loss", &LinearCrossEntropy::token_loss, Access::kWrite, "T", ElementType::kF32},
      {"d_hidden", &LinearCrossEntropy::d_hidden, Access::kWrite, "T C", ElementType::kCompute, true},
      {"d_weight", &LinearCrossEntropy::d_weight, Access::kAccumulate, "V C", ElementType::kF32, true},
      {"logits", &LinearCrossEntropy::logits, Access::kWrite, "R V", ElementType::kF32},
      {"hidden_rows", &LinearCrossEntropy::hidden_rows, Access::kWrite, "R C"},
      {"d_hidden_rows", &LinearCrossEntropy::d_hidden_rows, Access::kWrite, "R C", ElementType::kCompute, true},
      {"hidden", &LinearCrossEntropy::hidden, Access::kRead, "T C"},
      {"weight", &LinearCrossEntropy::weight, Access::kRead, "V C"},
      {"labels", &LinearCrossEntropy::labels, Access::kRead, "T", ElementType::kI32},
      {"loss_weights", &LinearCrossEntropy::loss_weights, Access::kRead, "T", ElementType::kF32},
  };
};

}  // namespace limo
