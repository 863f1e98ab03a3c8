#pragma once

#include "runtime/op_spec.h"

namespace limo {

// cos[t,p] = cos(positions[t] · inverse_frequency[p]), sin likewise; angles in double, because at position 16,384 the
// product rounded to float32 is already off by a thousandth of a radian.
struct RotaryTable {
  static constexpr const char* kName = "rotary_table";
  Tensor cos;                // [T, P], written
  Tensor sin;                // [T, P], written
  Tensor positions;          // [T] int32, ≥ 0
  Tensor inverse_frequency;  // [P]

  static constexpr OperandSpec<RotaryTable> kOperands[] = {
      {"cos", &RotaryTable::cos, Access::kWrite, "T P", ElementType::kF32},
      {"sin", &RotaryTable::sin, Access::kWrite, "T P", ElementType::kF32},
      {"positions", &RotaryTable::positions, Access::kRead, "T", ElementType::kI32},
      {"inverse_frequency", &RotaryTable::inverse_frequency, Access::kRead, "P", ElementType::kF32},
  };
};

// Rotary position embedding (Su et al., "RoFormer", 2021) with the halves paired, as Hugging Face has it: in each head of
// 2P channels, with a = x[p], b = x[p + P] and s = direction · sin[t,p]:
//   out[p] = a·cos − b·s,  out[p + P] = b·cos + a·s
// direction is 1 for the rotation and −1 for its inverse, which is the gradient. out may be x itself.
struct Rope {
  static constexpr const char* kName = "rope";
  Tensor out;  // [T, Q], written; Q a multiple of 2P
  Tensor x;    // [T, Q]
  Tensor cos;  // [T, P]
  Tensor sin;  // [T, P]
  double direction = 1;

  static constexpr OperandSpec<Rope> kOperands[] = {
      {"out", &Rope::out, Access::kWrite, "T Q"},
      {"x", &Rope::x, Access::kRead, "T Q"},
      {"cos", &Rope::cos, Access::kRead, "T P", ElementType::kF32},
      {"sin", &Rope::sin, Access::kRead, "T P", ElementType::kF32},
  };
  static constexpr AttributeSpec<Rope> kAttributes[] = {{"direction", &Rope::direction}};
};

}  // namespace limo
