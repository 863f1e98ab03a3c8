#pragma once

#include "runtime/op_spec.h"

namespace limo {

// norm = sqrt(Σ g²), summed in double in an order that depends on N alone; clip_scale = min(1, max_norm / (norm + 1e-6)) as
// PyTorch's clip_grad_norm_, 1 when max_norm is 0, and NaN where the norm is no finite float32, which AdamW takes as "do nothing".
struct GradNorm {
  static constexpr const char* kName = "grad_norm";
  Tensor norm;        // [1], written
  Tensor clip_scale;  // [1], written
  Tensor gradients;   // [N]
  double max_norm = 0;

  static constexpr OperandSpec<GradNorm> kOperands[] = {
      {"norm", &GradNorm::norm, Access::kWrite, "1", ElementType::kF32},
      {"clip_scale", &GradNorm::clip_scale, Access::kWrite, "1", ElementType::kF32},
      {"gradients", &GradNorm::gradients, Access::kRead, "N", ElementType::kF32},
  };
  static constexpr AttributeSpec<GradNorm> kAttributes[] = {{"max_norm", &GradNorm::max_norm}};
};

// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019) in the form of PyTorch and Hugging Face,
// one pass over flat arrays. With g = clip_scale·gradient and step counting from 1:
//   m ← β1·m + (1 − β1)·g,  v ← β2·v + (1 − β2)·g²
//   p ← p·(1 − lr·weight_decay) − lr/(1 − β1^step) · m / (sqrt(v)/sqrt(1 − β2^step) + eps)
// With a clip_scale that is NaN nothing is written.
struct AdamW {
  static constexpr const char* kName = "adamw";
  Tensor parameters;     // [N], read and written
  Tensor first_moment;   // [N], read and written
  Tensor second_moment;  // [N], read and written
  Tensor gradients;      // [N]
  Tensor clip_scale;     // [1]
  Tensor rounded;        // [N] bfloat16, written: the parameters rounded, for products in bfloat16
  double learning_rate = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0, step = 1;

  static constexpr OperandSpec<AdamW> kOperands[] = {
      {"parameters", &AdamW::parameters, Access::kReadWrite, "N", ElementType::kF32},
      {"first_moment", &AdamW::first_moment, Access::kReadWrite, "N", ElementType::kF32},
      {"second_moment", &AdamW::second_moment, Access::kReadWrite, "N", ElementType::kF32},
      {"gradients", &AdamW::gradients, Access::kRead, "N", ElementType::kF32},
      {"clip_scale", &AdamW::clip_scale, Access::kRead, "1", ElementType::kF32},
      {"rounded", &AdamW::rounded, Access::kWrite, "N", ElementType::kBF16, true},
  };
  static constexpr AttributeSpec<AdamW> kAttributes[] = {
      {"learning_rate", &AdamW::learning_rate}, {"beta1", &AdamW::beta1}, {"beta2", &AdamW::beta2},
      {"eps", &AdamW::eps},                     {"weight_decay", &AdamW::weight_decay}, {"step", &AdamW::step},
  };
};

}  // namespace limo
