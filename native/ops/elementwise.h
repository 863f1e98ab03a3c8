#pragma once

#include "runtime/op_spec.h"

namespace limo {

// out = a + b; out may be a or b.
struct Add {
  static constexpr const char* kName = "add";
  Tensor out;  // [T, C], written
  Tensor a;    // [T, C]
  Tensor b;    // [T, C]

  static constexpr OperandSpec<Add> kOperands[] = {
      {"out", &Add::out, Access::kWrite, "T C"},
      {"a", &Add::a, Access::kRead, "T C"},
      {"b", &Add::b, Access::kRead, "T C"},
  };
};

// out = x
struct Copy {
  static constexpr const char* kName = "copy";
  static constexpr bool kMovesMemory = true;
  static constexpr bool kCrossesDevices = true;
  Tensor out;  // [T, C], written
  Tensor x;    // [T, C]

  static constexpr OperandSpec<Copy> kOperands[] = {
      {"out", &Copy::out, Access::kWrite, "T C"},
      {"x", &Copy::x, Access::kRead, "T C"},
  };
};

// out = x, rounded to the nearest bfloat16, ties to even
struct Cast {
  static constexpr const char* kName = "cast";
  Tensor out;  // [N] bfloat16, written
  Tensor x;    // [N] float32

  static constexpr OperandSpec<Cast> kOperands[] = {
      {"out", &Cast::out, Access::kWrite, "N", ElementType::kBF16},
      {"x", &Cast::x, Access::kRead, "N", ElementType::kF32},
  };
};

// out = 0
struct Zero {
  static constexpr const char* kName = "zero";
  static constexpr bool kMovesMemory = true;
  Tensor out;  // [N], written

  static constexpr OperandSpec<Zero> kOperands[] = {{"out", &Zero::out, Access::kWrite, "N", ElementType::kF32}};
};

}  // namespace limo
